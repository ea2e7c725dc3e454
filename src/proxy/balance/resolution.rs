//! What is asked of DNS for backends, and what it said last. The control plane asks; pools are built of the answers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::url::Target;
use super::{Address, BackendUrl};
use crate::base::period::Period;
use crate::base::settings::{Node, Setting, Shape};

/// What is asked for a backend. Backends with the same question share one answer, whatever their port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// In lower case, without a trailing dot.
    pub name: String,
    /// Whether no search domain is tried with it.
    pub absolute: bool,
    /// Which records.
    pub kind: Kind,
}

/// The records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A and AAAA.
    Addresses,
    /// SRV, and A and AAAA of the hosts it names.
    Service,
}

/// One address that an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address.
    pub address: IpAddr,
    /// The port, where the answer says one.
    pub port: Option<u16>,
    /// Its share among the addresses of the answer, 1 to 256.
    pub weight: u16,
    /// The host that it is an address of.
    pub host: Arc<str>,
}

/// The last good answers.
#[derive(Clone, Debug, Default)]
pub struct Resolution(HashMap<Question, Arc<[Found]>>);

impl FromIterator<(Question, Arc<[Found]>)> for Resolution {
    fn from_iter<I: IntoIterator<Item = (Question, Arc<[Found]>)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}

impl Resolution {
    /// Where a backend is: its addresses, each with its share among them. None while its name has had no good answer.
    pub fn addresses(&self, url: &BackendUrl) -> Vec<(Address, u16)> {
        let port = match &url.target {
            Target::Address(address) => return vec![(Address::Tcp(*address), 1)],
            Target::Unix(path) => return vec![(Address::Unix(path.clone()), 1)],
            Target::Name(_, port) => Some(*port),
            Target::Service(_) => None,
        };
        let found = url.question().and_then(|question| self.0.get(&question));
        let dialled = |found: &Found| {
            let port = found.port.or(port)?;
            Some((Address::Tcp(SocketAddr::new(found.address, port)), found.weight))
        };
        found.into_iter().flat_map(|found| found.iter().filter_map(dialled)).collect()
    }
}

/// `resolve`: how often names are looked up again; nothing for only at the start and at reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve(pub Option<Duration>);

impl Default for Resolve {
    fn default() -> Self {
        Self(Some(Duration::from_secs(30)))
    }
}

impl Setting for Resolve {
    fn shape() -> Shape {
        Period::shape()
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let period = Period::read(node)?;
        match period.limit() {
            Some(every) if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&every) => node.problem(
                format!("`{}` is {period}, out of range", node.key()),
                "write 1s to 1h, or \"0s\" to look names up only at the start and at reloads",
            ),
            every => Some(Self(every)),
        }
    }

    fn shown(&self) -> serde_json::Value {
        Period(self.0.unwrap_or_default()).shown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str, port: Option<u16>, weight: u16) -> Found {
        Found { address: address.parse().unwrap(), port, weight, host: "h".into() }
    }

    fn shown(resolution: &Resolution, url: &str) -> Vec<String> {
        let addresses = resolution.addresses(&url.parse().unwrap());
        addresses.iter().map(|(address, weight)| format!("{address} {weight}")).collect()
    }

    #[test]
    fn a_name_has_the_port_of_its_url_and_a_service_those_of_its_records() {
        let answer =
            |url: &str, found: Vec<Found>| (url.parse::<BackendUrl>().unwrap().question().unwrap(), Arc::from(found));
        let resolution: Resolution = [
            answer("http://a", vec![found("10.0.0.1", None, 1), found("::1", None, 1)]),
            answer("http://_web._tcp.a", vec![found("10.0.0.2", Some(81), 3), found("10.0.0.2", Some(82), 5)]),
        ]
        .into_iter()
        .collect();
        assert_eq!(shown(&resolution, "https://a:8443"), ["10.0.0.1:8443 1", "[::1]:8443 1"]);
        assert_eq!(shown(&resolution, "http://a"), ["10.0.0.1:80 1", "[::1]:80 1"]);
        assert_eq!(shown(&resolution, "http://_web._tcp.a"), ["10.0.0.2:81 3", "10.0.0.2:82 5"]);
        assert_eq!(shown(&resolution, "http://b"), Vec::<String>::new());
        assert_eq!(shown(&resolution, "http://10.0.0.9:81"), ["10.0.0.9:81 1"]);
        assert_eq!(shown(&resolution, "unix:/a.sock"), ["unix:/a.sock 1"]);
    }
}
