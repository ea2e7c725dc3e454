//! What `tls` of a pool says.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use rustls_pki_types::ServerName;

use crate::base::host;
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};

/// `tls` of a pool: how its `https://` backends are verified. Left out, all of it has its defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendTlsSettings {
    /// PEM file: the only CAs that are trusted. Default: the system's.
    pub ca: Option<At<PathBuf>>,
    /// The name or address that the backends' certificate has to be good for. Default: the host of each URL.
    pub server_name: Option<At<PeerName>>,
    /// What is shown to backends that ask for a certificate. Default: nothing.
    pub pair: Option<ClientPair>,
}

/// The certificate that the gateway shows to backends.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientPair {
    /// PEM file: the certificate, then its chain.
    pub cert: At<PathBuf>,
    /// PEM file: the private key.
    pub key: At<PathBuf>,
}

/// What a certificate has to be good for: a DNS name, or an IP address.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerName(ServerName<'static>);

impl PeerName {
    pub(super) fn server_name(&self) -> &ServerName<'static> {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = host::parse(text).ok().filter(|(_, wildcard)| !wildcard);
        let name = name.and_then(|(name, _)| ServerName::try_from(name).ok());
        name.map(Self).ok_or_else(|| {
            format!("`{text}` is not a server name; write a host name or an IP address that stands in the certificate")
        })
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

impl fmt::Debug for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Setting for PeerName {
    fn shape() -> Shape {
        Shape::text("a host name or an IP address", "api.internal")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }
}

impl Table for BackendTlsSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let ca = section
            .key(
                "ca",
                "PEM file: the only CAs that are trusted. Watched. Left out: the system's, read once for all pools.",
            )
            .optional();
        let server_name = section
            .key("server_name", "The name or address that the backends' certificate has to be good for. Left out: the host of each URL.")
            .optional();
        let cert: Option<At<PathBuf>> = section
            .key("cert", "PEM file: the certificate that is shown to backends, then its chain. Watched.")
            .optional();
        let key: Option<At<PathBuf>> = section
            .key("key", "PEM file: its private key. Only its owner should be able to read it. Watched.")
            .optional();
        for (name, other) in [("cert", "key"), ("key", "cert")] {
            if let (Some(place), None) = (section.written(name), section.written(other)) {
                let advice = format!("add `{other}`, or remove `{name}`: a client certificate is a pair of files");
                section.problem(place, format!("`{name}` stands without `{other}`"), advice);
            }
        }
        let pair = cert.zip(key).map(|(cert, key)| ClientPair { cert, key });
        Some(Self { ca, server_name, pair })
    }
}

impl BackendTlsSettings {
    /// The files it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pair = self.pair.iter().flat_map(|pair| [&pair.cert.value, &pair.key.value]);
        self.ca.iter().map(|ca| &ca.value).chain(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_a_host_name_or_an_address() {
        for (text, shown) in [
            ("API.internal", "api.internal"),
            ("my_service", "my_service"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<PeerName>().unwrap().to_string(), shown);
        }
        for text in ["", "*.internal", "a b", "https://a", "a:443", "1.2.3", "bücher.example"] {
            assert!(text.parse::<PeerName>().unwrap_err().contains("is not a server name"), "{text}");
        }
    }
}
