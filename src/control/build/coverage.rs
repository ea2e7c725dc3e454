//! Whether every host that routes serve over TLS has a certificate there.

use super::certificates::Certificates;
use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::route::HostPattern;

/// One problem for each host that no certificate of a TLS listener covers.
pub(super) fn problems(config: &Config, certificates: &Certificates) -> Vec<Problem> {
    let mut problems = Vec::new();
    for listener in config.listeners.iter().filter(|listener| listener.tls.is_some()) {
        let serves = |names: &[crate::base::place::At<String>]| {
            names.is_empty() || names.iter().any(|name| **name == *listener.name.value)
        };
        for host in config.routes.iter().filter(|route| serves(&route.listener)).flat_map(|route| &route.host) {
            if certificates
                .iter()
                .filter(|certificate| certificate.is_for(&listener.name))
                .any(|certificate| covers(certificate, host))
            {
                continue;
            }
            let message = format!("no certificate covers `{}` on the TLS listener `{}`", shown(host), *listener.name);
            let advice = "add a [[certificate]] for it, or keep the route to plain listeners with `listener = [\"…\"]`";
            problems.push(Problem::error(host.place, message, advice));
        }
    }
    problems
}

/// Whether it will be so once everything pending is served: a new pair that loses a name which a route needs is refused
/// then, and the present one, which covers it, serves on.
fn covers(certificate: &super::Certificate, host: &HostPattern) -> bool {
    let name = shown(host);
    certificate.pair().names.covers(&name) || certificate.slot.current().names.covers(&name)
}

/// As it is written: `example.com`, `*.example.com`.
pub fn shown(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(parent) => format!("*.{parent}"),
    }
}
