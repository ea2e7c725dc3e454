//! What `[listener.tls]`, `[[certificate]]` and `[[host]]` say.

use std::path::PathBuf;

use crate::base::period::Period;
use crate::base::place::At;

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
