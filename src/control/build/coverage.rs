//! Whether every host that routes serve over TLS has a certificate there.

use super::certificates::{Certificates, Needed};
use crate::base::place::At;
use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::route::HostPattern;

/// One problem for each host that no certificate of a TLS listener covers.
pub(super) fn problems(config: &Config, certificates: &Certificates) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (listener, host) in hosts(config) {
        let mut allowed = certificates.iter().filter(|certificate| certificate.is_for(listener));
        if allowed.any(|certificate| covers(certificate, host)) {
            continue;
        }
        let message = format!("no certificate covers `{}` on the TLS listener `{listener}`", shown(host));
        let advice = "add a [[certificate]] for it, or keep the route to plain listeners with `listener = [\"…\"]`";
        problems.push(Problem::error(host.place, message, advice));
    }
    problems
}

/// Every name that routes need over TLS.
pub fn needed(config: &Config) -> Vec<Needed> {
    hosts(config).map(|(listener, host)| Needed { listener: listener.to_owned(), host: shown(host) }).collect()
}

/// Every host of a route, with each TLS listener that serves it.
fn hosts(config: &Config) -> impl Iterator<Item = (&str, &At<HostPattern>)> {
    let secure = config.listeners.iter().filter(|listener| listener.tls.is_some());
    secure.flat_map(|listener| {
        let name = listener.name.as_str();
        let serves = move |names: &[At<String>]| names.is_empty() || names.iter().any(|served| **served == *name);
        let routes = config.routes.iter().filter(move |route| serves(&route.listener));
        routes.flat_map(|route| &route.host).map(move |host| (name, host))
    })
}

/// Whether it will be so once everything pending is served: a new pair that loses a name which a route needs is refused
/// then, and the present one, which covers it, serves on.
fn covers(certificate: &super::Certificate, host: &HostPattern) -> bool {
    let name = shown(host);
    certificate.pair().names.covers(&name) || certificate.slot.current().names.covers(&name)
}

/// As it is written: `example.com`, `*.example.com`.
fn shown(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(parent) => format!("*.{parent}"),
    }
}
