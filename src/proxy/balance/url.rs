//! The address of a backend: `http://host[:port]`, `https://host[:port]`, `http://_service._tcp.name` or `unix:PATH`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::{Kind, Question};
use crate::base::host;
use crate::base::settings::{Node, Setting, Shape};
use crate::proxy::tls::PeerName;

/// Where a backend is. Without path, query or user; anything else is a problem that says what to write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    /// As it was written: the label in metrics and status.
    pub text: String,
    /// Whether it is spoken to inside TLS (`https`).
    pub secure: bool,
    /// Where connections to it go.
    pub target: Target,
    /// Whether its name ended in a dot, so that no search domain is tried with it.
    pub absolute: bool,
}

/// Where connections to a backend go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address and a port; 80 and 443 are the defaults of `http` and `https`.
    Address(SocketAddr),
    /// A host name in lower case, and a port. Every address that it has is an endpoint.
    Name(String, u16),
    /// A service in lower case, `_http._tcp.example.com`: its SRV records say hosts, ports and weights (RFC 2782).
    Service(String),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for BackendUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |advice: &str| format!("`{text}` is not a backend; {advice}");
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('\0') {
                return Err(wrong("write the path of the socket: \"unix:/run/app.sock\""));
            }
            let target = Target::Unix(path.into());
            return Ok(Self { text: text.to_owned(), secure: false, target, absolute: false });
        }
        let (secure, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => {
                let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
                return Err(wrong(&format!("write a URL: \"http://{bare}\"")));
            }
        };
        let scheme = if secure { "https" } else { "http" };
        if rest.contains('@') {
            return Err(wrong("it cannot hold a user or a password; remove what stands before the `@`"));
        }
        if let Some(end) = rest.find(['/', '?', '#']) {
            return Err(wrong(&format!(
                "it has no path: write \"{scheme}://{}\", and `rewrite` in the route",
                &rest[..end]
            )));
        }
        let (host, port) = split(rest)
            .ok_or_else(|| wrong("write a port from 1 to 65535 after the colon: \"http://10.0.0.1:8080\""))?;
        let absolute = host.ends_with('.');
        let target = match host::parse(host) {
            Ok((name, false)) if is_service(&name) => match port {
                None => Some(Target::Service(name)),
                Some(_) => {
                    let bare = format!("{scheme}://{host}");
                    return Err(wrong(&format!("the port of a service comes from its SRV records: write \"{bare}\"")));
                }
            },
            Ok((host, false)) => Some(target(host, port.unwrap_or(if secure { 443 } else { 80 }))),
            Ok((_, true)) | Err(_) => None,
        };
        target
            .map(|target| Self { text: text.to_owned(), secure, target, absolute })
            .filter(|url| !secure || url.peer_name().is_some())
            .ok_or_else(|| {
                wrong("write a host name or an address: \"http://10.0.0.1:8080\", \"http://[2001:db8::1]:8080\"")
            })
    }
}

impl BackendUrl {
    /// What its certificate has to be good for, where the pool names nothing else; none for what is not spoken to inside TLS.
    ///
    /// For a service that is the name it was looked up by (RFC 6125 §6.2.1): the hosts in its records are only DNS's word.
    pub fn peer_name(&self) -> Option<PeerName> {
        match &self.target {
            Target::Address(address) if self.secure => address.ip().to_string().parse().ok(),
            Target::Name(name, _) if self.secure => name.parse().ok(),
            Target::Service(name) if self.secure => name.splitn(3, '.').nth(2)?.parse().ok(),
            Target::Address(_) | Target::Name(..) | Target::Service(_) | Target::Unix(_) => None,
        }
    }

    /// What DNS is asked for it; nothing where it is an address or a socket.
    pub fn question(&self) -> Option<Question> {
        let (name, kind) = match &self.target {
            Target::Name(name, _) => (name, Kind::Addresses),
            Target::Service(name) => (name, Kind::Service),
            Target::Address(_) | Target::Unix(_) => return None,
        };
        Some(Question { name: name.clone(), absolute: self.absolute, kind })
    }
}

/// Whether DNS has SRV records under the name: `_service._tcp.` and a name.
fn is_service(name: &str) -> bool {
    let mut labels = name.splitn(3, '.');
    labels.next().is_some_and(|service| service.starts_with('_'))
        && labels.next() == Some("_tcp")
        && labels.next().is_some()
}

fn target(host: String, port: u16) -> Target {
    match host.parse::<IpAddr>() {
        Ok(address) => Target::Address(SocketAddr::new(address, port)),
        Err(_) => Target::Name(host, port),
    }
}

/// Host and port. `None` for a port that is no port.
pub(super) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_brackets = authority.rfind(']').unwrap_or(0);
    match authority[after_brackets..].find(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at(after_brackets + at);
            let digits = port[1..].bytes().all(|byte| byte.is_ascii_digit());
            let port = port[1..].parse().ok().filter(|port| digits && *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

impl Setting for BackendUrl {
    fn shape() -> Shape {
        Shape::Text {
            what: "the URL of a backend",
            example: "http://10.0.0.1:8080",
            pattern: Some("^https?://|^unix:|\\$\\{"),
        }
    }

    /// A relative path of a Unix socket starts at the folder of the file it stands in.
    fn read(node: &Node<'_>) -> Option<Self> {
        let mut url: Self = node.parse()?;
        if let Target::Unix(path) = &mut url.target {
            *path = node.folder().join(&path);
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16) -> Target {
        Target::Name(host.to_owned(), port)
    }

    #[test]
    fn schemes_hosts_and_ports() {
        let address = |text: &str| Target::Address(text.parse().unwrap());
        for (text, secure, target) in [
            ("http://10.0.0.1:8080", false, address("10.0.0.1:8080")),
            ("http://Backend.internal", false, name("backend.internal", 80)),
            ("https://Backend.internal", true, name("backend.internal", 443)),
            ("http://Backend.internal.:81", false, name("backend.internal", 81)),
            ("https://_Web._tcp.backend.internal", true, Target::Service("_web._tcp.backend.internal".to_owned())),
            ("http://_web._tcp", false, name("_web._tcp", 80)),
            ("http://_web._udp.a:81", false, name("_web._udp.a", 81)),
            ("https://10.0.0.1:8443", true, address("10.0.0.1:8443")),
            ("http://[::1]:3000", false, address("[::1]:3000")),
            ("http://[2001:db8::1]", false, address("[2001:db8::1]:80")),
            ("unix:/run/app.sock", false, Target::Unix("/run/app.sock".into())),
            ("unix:///run/app.sock", false, Target::Unix("/run/app.sock".into())),
            ("unix:app.sock", false, Target::Unix("app.sock".into())),
        ] {
            let url: BackendUrl = text.parse().unwrap();
            assert_eq!((url.text.as_str(), url.secure, url.target), (text, secure, target));
        }
    }

    #[test]
    fn only_names_are_asked_for() {
        let question = |text: &str| text.parse::<BackendUrl>().unwrap().question();
        let of = |name: &str, absolute, kind| Some(Question { name: name.to_owned(), absolute, kind });
        assert_eq!(question("http://10.0.0.1"), None);
        assert_eq!(question("unix:app.sock"), None);
        assert_eq!(question("http://a:80"), of("a", false, Kind::Addresses));
        assert_eq!(question("https://A.:81"), of("a", true, Kind::Addresses));
        assert_eq!(question("http://_web._tcp.a"), of("_web._tcp.a", false, Kind::Service));
    }

    #[test]
    fn a_certificate_is_held_against_the_host() {
        for (text, name) in [
            ("https://Backend.internal:8443", Some("backend.internal")),
            ("https://Backend.internal.", Some("backend.internal")),
            ("https://_web._tcp.backend.internal", Some("backend.internal")),
            ("https://10.0.0.1", Some("10.0.0.1")),
            ("https://[2001:DB8::1]:8443", Some("2001:db8::1")),
            ("http://backend.internal", None),
            ("unix:app.sock", None),
        ] {
            let name_of_url = text.parse::<BackendUrl>().unwrap().peer_name();
            assert_eq!(name_of_url.map(|name| name.to_string()).as_deref(), name);
        }
    }

    #[test]
    fn what_is_no_backend_says_what_to_write() {
        for (text, advice) in [
            ("10.0.0.1:8080", "\"http://10.0.0.1:8080\""),
            ("ftp://a", "\"http://a\""),
            ("unix:", "the path of the socket"),
            ("http://a:80/", "no path: write \"http://a:80\""),
            ("https://a/b", "no path: write \"https://a\""),
            ("http://u:p@a", "before the `@`"),
            ("http://a:0", "port from 1"),
            ("http://a:+1", "port from 1"),
            ("http://a:99999", "port from 1"),
            ("http://", "host name or an address"),
            ("http://*.a", "host name or an address"),
            ("https://1.2.3", "host name or an address"),
            ("http://::1", "port from 1"),
            ("http://_web._tcp.a:80", "write \"http://_web._tcp.a\""),
        ] {
            let error = text.parse::<BackendUrl>().unwrap_err();
            assert!(error.contains(advice), "{error}");
        }
    }
}
