//! Why a handshake with a backend failed.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::{AlertDescription, CertificateError, Error};

use super::trust::Untrusted;
use crate::proxy::fault::TlsFault;
use crate::proxy::tls::cert::day;

/// The most of a detail that is kept, in bytes: a certificate may hold thousands of names.
const LONGEST: usize = 300;

/// Why there is no verified connection to a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct HandshakeFailure {
    /// What the client is told.
    pub fault: TlsFault,
    /// What the operator is told: which name, which issuer, since when.
    pub detail: String,
}

impl HandshakeFailure {
    pub(super) fn new(fault: TlsFault, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > LONGEST {
            let end = detail.floor_char_boundary(LONGEST);
            detail.truncate(end);
            detail.push('…');
        }
        Self { fault, detail }
    }
}

/// A failure of the socket, or rustls's error inside of one.
impl From<io::Error> for HandshakeFailure {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::from(error),
            None => Self::new(TlsFault::Closed, format!("the backend ended the handshake: {error}")),
        }
    }
}

impl From<&Error> for HandshakeFailure {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(reason) => Self::from(reason),
            Error::NoCertificatesPresented => Self::new(TlsFault::Certificate, "the backend showed no certificate"),
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                Self::new(TlsFault::NoSharedProtocol, "the backend speaks no HTTP version that the pool offers")
            }
            Error::AlertReceived(alert) => {
                let name = alert.as_str().unwrap_or("unknown");
                Self::new(TlsFault::AlertReceived, format!("the backend sent the alert {name}"))
            }
            Error::InvalidMessage(_) => Self::new(
                TlsFault::Protocol,
                format!("what the backend sent is no TLS: {error}; does it speak plain HTTP?"),
            ),
            other => Self::new(TlsFault::Protocol, other.to_string()),
        }
    }
}

impl From<&CertificateError> for HandshakeFailure {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::ExpiredContext { not_after, .. } => {
                let moment = UNIX_EPOCH + Duration::from_secs(not_after.as_secs());
                Self::new(TlsFault::CertificateExpired, format!("the certificate expired on {}", day(moment)))
            }
            CertificateError::Expired => Self::new(TlsFault::CertificateExpired, "the certificate has expired"),
            CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName => {
                Self::new(TlsFault::WrongName, error.to_string())
            }
            CertificateError::UnknownIssuer => Self::new(TlsFault::UnknownIssuer, error.to_string()),
            CertificateError::Other(other) => match other.0.downcast_ref::<Untrusted>() {
                Some(untrusted) => Self::new(TlsFault::UnknownIssuer, untrusted.to_string()),
                None => Self::new(TlsFault::Certificate, other.to_string()),
            },
            other => Self::new(TlsFault::Certificate, other.to_string()),
        }
    }
}
