//! Who may ask at all: against DNS rebinding a Host must be ours, against forged requests an Origin must be the Host.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, ORIGIN};
use http::{StatusCode, Uri};

use super::answer::{Answer, refused};

/// Names under which the listener is asked for.
pub(super) struct Names {
    listener: IpAddr,
    machine: Option<String>,
}

impl Names {
    /// Those of a listener at `address` on this machine.
    pub(super) fn of(address: SocketAddr) -> Self {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self::with_machine(address, machine.as_deref().map(str::trim))
    }

    fn with_machine(address: SocketAddr, machine: Option<&str>) -> Self {
        let machine = machine.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase);
        Self { listener: address.ip().to_canonical(), machine }
    }

    /// Refuses a request that reached the address `local` under a name that is not ours or from a page that is not.
    pub(super) fn check(&self, uri: &Uri, fields: &HeaderMap, local: IpAddr) -> Result<(), Box<Answer>> {
        let Some(asked) = authority(uri, fields) else {
            let advice = "send one Host field, with the address of the admin listener or localhost";
            return Err(Box::new(refused(StatusCode::BAD_REQUEST, "no host, or more than one", advice)));
        };
        if !self.is_ours(host_of(asked), local) {
            let advice = "ask under the address of the admin listener, the name of its machine, or localhost";
            return Err(Box::new(refused(StatusCode::FORBIDDEN, "the host is not this listener's", advice)));
        }
        let mut origins = fields.get_all(ORIGIN).iter();
        if !origins.all(|origin| origin.to_str().is_ok_and(|origin| is_same(origin, asked))) {
            let advice = "pages of other sites may not use the admin API";
            return Err(Box::new(refused(StatusCode::FORBIDDEN, "foreign origin", advice)));
        }
        Ok(())
    }

    fn is_ours(&self, host: &str, local: IpAddr) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let address = address.to_canonical();
            return address == local.to_canonical() || address == self.listener;
        }
        host.eq_ignore_ascii_case("localhost")
            || self.machine.as_deref().is_some_and(|machine| machine.eq_ignore_ascii_case(host))
    }
}

/// The host and port asked for: the target's where it has one (RFC 9112 §3.2.2), else the only `Host` field's.
fn authority<'a>(uri: &'a Uri, fields: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = fields.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return None;
    }
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host?.to_str().ok(),
    }
}

/// `host:port`, `[v6]:port` or either without port: the host. Anything odd stays as it is and matches no name.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let bare_v6 = host.contains(':') && !host.ends_with(']');
            if bare_v6 { authority } else { host }
        }
        _ => authority,
    }
}

/// Whether a page from `origin` is one of ours. In front of us something may speak TLS, so that either scheme is right.
fn is_same(origin: &str, asked: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(target: &str, fields: &[(&'static str, &'static str)]) -> u16 {
        let names = Names::with_machine("0.0.0.0:9901".parse().unwrap(), Some("Gate1\n".trim()));
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, value.parse().unwrap());
        }
        let verdict = names.check(&target.parse().unwrap(), &map, "10.0.0.7".parse().unwrap());
        verdict.map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn our_names_pass_with_and_without_port() {
        for host in [
            "localhost",
            "LOCALHOST:9901",
            "localhost.",
            "10.0.0.7",
            "10.0.0.7:1",
            "[::ffff:10.0.0.7]:9901",
            "gate1:9901",
            "0.0.0.0:9901",
        ] {
            assert_eq!(verdict("/", &[("host", host)]), 200, "{host}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.8",
            "",
            ":9901",
            "localhost:x",
            "user@localhost",
            "[localhost",
            "127.0.0.1.nip.io",
        ] {
            assert_eq!(verdict("/", &[("host", host)]), 403, "{host}");
        }
        assert_eq!(verdict("/", &[]), 400);
        assert_eq!(verdict("/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(verdict("http://evil.example/", &[("host", "localhost")]), 403);
    }

    #[test]
    fn only_our_own_pages_pass() {
        let with = |origin| verdict("/", &[("host", "localhost:9901"), ("origin", origin)]);
        assert_eq!(with("http://localhost:9901"), 200);
        for origin in ["http://evil.example", "null", "http://localhost:9902", "http://localhost", "file://", ""] {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }
}
