//! Listeners, compiled.

use std::sync::Arc;

use super::Built;
use super::certificates::Certificates;
use crate::base::metrics::Registry;
use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::listen::Settings;
use crate::proxy::snapshot::Listener;
use crate::proxy::tls::{Allowed, Frontend};

/// Compiles every listener. Counts and session tickets of a listener of the same name go on.
pub(super) fn compile(
    config: &Config,
    registry: &Registry,
    certificates: &Certificates,
    previous: Option<&Built>,
    problems: &mut Vec<Problem>,
) -> Vec<Arc<Listener>> {
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for settings in &config.listeners {
        let before = previous.and_then(|built| built.snapshot.listener(&settings.name)).map(Arc::as_ref);
        let tls = match frontend(settings, config, certificates, before) {
            Ok(tls) => tls,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        listeners.push(Arc::new(Listener { tls, ..plain(settings, registry, before) }));
    }
    listeners
}

fn frontend(
    settings: &Settings,
    config: &Config,
    certificates: &Certificates,
    before: Option<&Listener>,
) -> Result<Option<Arc<Frontend>>, Problem> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    let allowed = certificates
        .iter()
        .filter(|certificate| certificate.is_for(&settings.name))
        .map(|certificate| Allowed { slot: Arc::clone(&certificate.slot), default: certificate.default })
        .collect();
    let previous = before.and_then(|listener| listener.tls.as_deref());
    Frontend::build(tls, &config.hosts, allowed, previous).map(Some).map_err(|error| {
        let place = tls.cipher_suites.first().map_or(settings.name.place, |suite| suite.place);
        let text = error.to_string();
        let (message, advice) = text.split_once("; ").unwrap_or((&text, "restart the gateway"));
        Problem::error(place, message, advice)
    })
}

fn plain(settings: &Settings, registry: &Registry, before: Option<&Listener>) -> Listener {
    Listener {
        name: settings.name.value.clone(),
        label: registry.label(&settings.name),
        bind: settings.bind.iter().map(|bind| bind.value.clone()).collect(),
        proxy_protocol: settings.proxy_protocol.value,
        tls: None,
        max_connections: settings.max_connections,
        max_connections_per_ip: settings.max_connections_per_ip,
        gauge: before.map(|listener| Arc::clone(&listener.gauge)).unwrap_or_default(),
        status_path: settings.status_path.iter().map(|path| path.value.clone()).collect(),
        redirect_https: settings.redirect_https.map(|redirect| redirect.port),
        timeouts: settings.timeouts,
        limits: HeadLimits {
            uri: settings.limits.uri_size.0 as usize,
            fields_size: settings.limits.header_size.0 as usize,
            fields: usize::from(settings.limits.header_fields),
        },
        h2_streams: settings.limits.h2_streams,
    }
}
