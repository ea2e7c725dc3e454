//! Listeners: no address twice, no TLS without a certificate.

use std::collections::HashMap;

use super::START;
use crate::base::place::At;
use crate::base::settings::{Problem, Reader};
use crate::control::config::{AdminListen, Config};
use crate::proxy::listen::{Bind, Settings};
use crate::proxy::tls::CertificateSettings;

pub(super) fn check(config: &Config, reader: &Reader) {
    addresses(config, reader);
    proxies(config, reader);
    for listener in &config.listeners {
        let Some(tls) = &listener.tls else { continue };
        let at = listener.name.place;
        if listener.redirect_https.is_some() {
            let message = "a listener that speaks TLS cannot redirect to HTTPS";
            reader.report(Problem::error(at, message, "remove `redirect_https`, or set `tls = false`"));
        }
        let mut serving = config.certificates.iter().filter(|certificate| serves(certificate, &listener.name));
        if serving.next().is_none() {
            let message = format!("the listener `{}` speaks TLS, but no certificate is for it", listener.name.value);
            let advice = "add a [[certificate]] with `cert` and `key`, or use a [[listener]] without `tls`";
            reader.report(Problem::error(at, message, advice));
        }
        if let Some(name) = &tls.default_certificate {
            not_served(config, listener, name, reader);
        }
        two_defaults(config, listener, reader);
    }
}

/// Whether the listener called `name` may serve the certificate.
fn serves(certificate: &CertificateSettings, name: &At<String>) -> bool {
    certificate.listener.is_empty() || certificate.listener.iter().any(|listener| listener.value == name.value)
}

/// The default certificate of a listener is one that the listener may serve.
fn not_served(config: &Config, listener: &Settings, name: &At<String>, reader: &Reader) {
    let named = config.certificates.iter().find(|certificate| certificate.name == *name);
    if let Some(certificate) = named.filter(|certificate| !serves(certificate, &listener.name)) {
        let message = format!("the certificate `{}` is not for this listener", name.value);
        let advice = format!("add \"{}\" to its `listener`, or name another certificate", listener.name.value);
        let problem = Problem::error(name.place, message, advice);
        reader.report(problem.beside(certificate.name.place, "the certificate is here"));
    }
}

fn two_defaults(config: &Config, listener: &Settings, reader: &Reader) {
    let mut defaults =
        config.certificates.iter().filter(|certificate| certificate.default && serves(certificate, &listener.name));
    if let (Some(first), Some(second)) = (defaults.next(), defaults.next()) {
        let message = "two certificates are marked `default = true` for one listener";
        let problem = Problem::error(second.name.place, message, "keep the mark on one of them");
        reader.report(problem.beside(first.name.place, "the first is here"));
    }
}

/// A listener that only proxies may connect to has proxies.
fn proxies(config: &Config, reader: &Reader) {
    let trusted = &config.server.trusted_proxies;
    for listener in config.listeners.iter().filter(|listener| *listener.proxy_protocol && trusted.is_empty()) {
        let message = "only `trusted_proxies` may send PROXY headers, and there are none: nobody could connect";
        let advice =
            "set `trusted_proxies` in [server] to the networks of the proxies in front, or remove `proxy_protocol`";
        let problem = Problem::error(listener.proxy_protocol.place, message, advice);
        reader.report(match trusted.place {
            START => problem,
            place => problem.beside(place, "it belongs here"),
        });
    }
}

/// No address is bound twice; port 0 is another port each time.
fn addresses(config: &Config, reader: &Reader) {
    let mut bound = HashMap::new();
    if let AdminListen::Tcp(address) = &config.admin.listen {
        bound.insert(Bind::Tcp(address.value), (address.place, "the admin listener is here"));
    }
    for bind in config.listeners.iter().flat_map(|listener| &listener.bind) {
        if matches!(&bind.value, Bind::Tcp(address) if address.port() == 0) {
            continue;
        }
        if let Some((first, why)) = bound.insert(bind.value.clone(), (bind.place, "it is bound here as well")) {
            let message = format!("the address {} is bound twice", bind.value);
            let advice = match bind.value {
                Bind::Tcp(_) => "give one of them another address or port",
                Bind::Unix(_) => "give one of them another path",
            };
            let problem = Problem::error(bind.place, message, advice);
            reader.report(problem.beside(first, why));
        }
    }
}
