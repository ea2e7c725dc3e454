//! The names a certificate is good for, and whether they cover a host (RFC 9525 §6.3, RFC 5280 §4.2.1.6).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The DNS names, wildcards and addresses of one certificate. Names are lower case, without a final dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    exact: Vec<Box<str>>,
    /// `*.example.com` is held as `example.com`.
    wildcards: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Adds a DNS name. `false` where it is none that a client would accept: empty, `*` alone, a star that is not the whole first label.
    pub fn add_dns(&mut self, name: &str) -> bool {
        let name = without_dot(name).to_ascii_lowercase();
        let (list, held) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcards, parent),
            None => (&mut self.exact, name.as_str()),
        };
        let sound = !held.is_empty() && !held.contains('*') && held.split('.').all(|label| !label.is_empty());
        if sound && !list.iter().any(|known| **known == *held) {
            list.push(held.into());
        }
        sound
    }

    /// Adds an address.
    pub fn add_address(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }

    /// Whether a client that asked for `host` would accept the certificate. `host` is a name or an IP literal (IPv6 with or without
    /// brackets), any case, no port. A wildcard covers exactly one label. `*.example.com` as `host` asks for that very wildcard.
    /// Allocates nothing.
    pub fn covers(&self, host: &str) -> bool {
        if let Some(address) = address(host) {
            return self.covers_address(address);
        }
        let host = without_dot(host);
        let exact = || self.exact().any(|name| name.eq_ignore_ascii_case(host));
        let below = |parent: &str| self.wildcards().any(|name| name.eq_ignore_ascii_case(parent));
        match host.split_once('.') {
            Some(("*", parent)) => below(parent),
            Some((label, parent)) => exact() || (!label.is_empty() && below(parent)),
            None => exact(),
        }
    }

    /// Whether `address` stands among the names. IPv4-mapped IPv6 counts as IPv4.
    pub fn covers_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }

    /// Whether there is no name at all, so that no client can accept the certificate.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty() && self.addresses.is_empty()
    }

    /// The names without wildcards.
    pub fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|name| &**name)
    }

    /// The wildcards, without their `*.`.
    pub fn wildcards(&self) -> impl Iterator<Item = &str> {
        self.wildcards.iter().map(|name| &**name)
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }
}

/// All of them, with commas.
impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for name in self.exact() {
            write!(f, "{comma}{name}")?;
            comma = ", ";
        }
        for parent in self.wildcards() {
            write!(f, "{comma}*.{parent}")?;
            comma = ", ";
        }
        for address in self.addresses() {
            write!(f, "{comma}{address}")?;
            comma = ", ";
        }
        Ok(())
    }
}

/// The address that `host` spells, if it is an IP literal; IPv6 with or without brackets.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse().ok(),
    }
}

/// The name without the dot that makes it absolute.
pub(super) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        let mut names = Names::default();
        for name in list {
            match address(name) {
                Some(address) => names.add_address(address),
                None => assert!(names.add_dns(name), "{name}"),
            }
        }
        names
    }

    #[test]
    fn covers_what_a_client_would_accept() {
        let names = names(&["Example.com", "*.Example.ORG", "xn--bcher-kva.de", "192.0.2.1", "2001:db8::1"]);
        for host in [
            "example.com",
            "EXAMPLE.com",
            "example.com.",
            "a.example.org",
            "A.EXAMPLE.ORG.",
            "xn--bcher-kva.de",
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:DB8::1",
            "[2001:db8:0::1]",
            "*.example.org",
        ] {
            assert!(names.covers(host), "{host}");
        }
        for host in [
            "",
            ".",
            "a.example.com",
            "example.org",
            ".example.org",
            "a.b.example.org",
            "*.example.com",
            "example.com..",
            "192.0.2.2",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2.0.2.1",
            "com",
            "org",
        ] {
            assert!(!names.covers(host), "{host}");
        }
    }

    #[test]
    fn takes_no_name_that_clients_refuse() {
        let mut names = Names::default();
        for name in ["", "*", "*.", "f*.example.com", "a.*.example.com", "*.*.example.com", "a..b", ".a"] {
            assert!(!names.add_dns(name), "{name}");
        }
        assert!(names.is_empty());
        assert!(!names.covers("a.example.com"));
    }

    #[test]
    fn shows_each_name_once() {
        assert_eq!(
            names(&["a.example", "A.example.", "*.b.example", "::ffff:10.0.0.1"]).to_string(),
            "a.example, *.b.example, 10.0.0.1"
        );
    }
}
