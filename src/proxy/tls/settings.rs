//! What `[listener.tls]`, `[[certificate]]` and `[[host]]` say.

use std::path::PathBuf;

use crate::base::host;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};

/// `[listener.tls]`; `tls = true` is the default of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The lowest version offered. Default 1.2.
    pub min_version: MinVersion,
    /// The suites offered, in order of preference; empty means all of TLS 1.3 and the AEAD ECDHE suites of 1.2, AES-128 first.
    pub cipher_suites: Vec<At<CipherSuite>>,
    /// The name of the certificate for clients that send no SNI.
    pub default_certificate: Option<At<String>>,
}

/// `min_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub enum MinVersion {
    /// `"1.2"`.
    #[default]
    Tls12,
    /// `"1.3"`.
    Tls13,
}

/// One suite, checked to be one that rustls has: held by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSuite(pub rustls::CipherSuite);

/// One `[[certificate]]`: a pair of watched files.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateSettings {
    /// Its name; the stem of `cert` where the file gives none. Unique.
    pub name: At<String>,
    /// PEM file: the certificate, then its chain.
    pub cert: At<PathBuf>,
    /// PEM file: the private key. Warned about when others can read it.
    pub key: At<PathBuf>,
    /// Serves clients that send no SNI, where the listener names none.
    pub default: bool,
    /// The listeners that may serve it; empty means all.
    pub listener: Vec<At<String>>,
}

/// One `[[host]]`: what holds for a name whatever the route.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSettings {
    /// An exact name or `*.` and a name (one label, as in certificates). Lower case.
    pub name: At<String>,
    /// The lowest version for this name; the listener's where absent. The stricter one of both holds.
    pub min_version: Option<MinVersion>,
    /// Adds `Strict-Transport-Security: max-age=…` to answers over TLS for this host.
    pub hsts: Option<Period>,
}

impl Table for Settings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let min_version = section.key("min_version", "The lowest version offered.").or(MinVersion::default());
        let cipher_suites: Vec<At<CipherSuite>> = section
            .key(
                "cipher_suites",
                "The suites offered, in order of preference: IANA names, OpenSSL's accepted. Left out: every suite of TLS 1.3 and the ECDHE suites of TLS 1.2.",
            )
            .list();
        if let Some(first) = cipher_suites.first().filter(|_| min_version == MinVersion::Tls13)
            && !cipher_suites.iter().any(|suite| suite.is_tls13())
        {
            let message = "no suite in `cipher_suites` is of TLS 1.3, the only version that `min_version` leaves";
            section.problem(first.place, message, "add \"TLS13_AES_128_GCM_SHA256\", or set `min_version = \"1.2\"`");
        }
        let default_certificate =
            section.key("default_certificate", "The name of the certificate for clients that send no SNI.").optional();
        Some(Self { min_version, cipher_suites, default_certificate })
    }
}

impl Setting for MinVersion {
    fn shape() -> Shape {
        Shape::Choice(vec!["1.2", "1.3"])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&[("1.2", Self::Tls12), ("1.3", Self::Tls13)])
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Tls12 => "1.2".into(),
            Self::Tls13 => "1.3".into(),
        }
    }
}

impl Table for CertificateSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<At<String>> = section
            .key("name", "Its name in logs, metrics and `default_certificate`; the stem of `cert` where left out.")
            .optional();
        let cert: Option<At<PathBuf>> = section
            .key("cert", "PEM file: the certificate, then its chain. Watched: a changed pair is live at once.")
            .required();
        let key: Option<At<PathBuf>> =
            section.key("key", "PEM file: the private key. Only its owner should be able to read it.").required();
        let default =
            section.key("default", "Serves clients that send no SNI, where the listener names none.").or(false);
        let listener = section.key("listener", "The listeners that may serve it. Left out: all.").list();
        let cert = cert.unwrap_or_default();
        let stem = || At::new(cert.file_stem().unwrap_or_default().to_string_lossy().into_owned(), cert.place);
        Some(Self { name: name.unwrap_or_else(stem), cert, key: key.unwrap_or_default(), default, listener })
    }
}

impl Table for HostSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let name: Option<At<HostName>> =
            section.key("name", "The host name, or `*.` and a name: exactly one label in front of it.").required();
        let name = name.map(|name| At::new(name.value.0, name.place)).unwrap_or_default();
        let min_version = section
            .key("min_version", "The lowest TLS version for this name, where stricter than the listener's.")
            .optional();
        let hsts = section
            .key("hsts", "Adds `Strict-Transport-Security: max-age=…` to answers over TLS for this host. 0s to 3650d.")
            .within(Period::default()..=Period::seconds(3_650 * 86_400))
            .optional();
        Some(Self { name, min_version, hsts })
    }
}

/// A name in `[[host]]`, checked and in lower case.
struct HostName(String);

impl Setting for HostName {
    fn shape() -> Shape {
        Shape::text("a host name", "www.example.com")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match host::parse(&node.text::<Self>()?) {
            Ok((name, wildcard)) => Some(Self(if wildcard { format!("*.{name}") } else { name })),
            Err(error) => node.refuse(&error),
        }
    }
}
