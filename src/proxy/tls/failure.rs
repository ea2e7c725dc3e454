//! Why a handshake failed, with a bounded label for the counter.

use std::io;

use rustls::{Error, PeerIncompatible};

/// Why a handshake failed. Before HTTP exists, so nothing of it becomes a response; counted by [`HandshakeError::cause`].
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client asked for a name that no certificate covers.
    #[error("no certificate covers the name `{name}` that the client asked for")]
    UnknownName {
        /// The name, as the client sent it: for the log, never for a label.
        name: Box<str>,
    },
    /// The client sent no name, and there is no certificate for clients that do so.
    #[error("the client sent no server name, and no certificate has the address or is the default")]
    NoName,
    /// The first bytes are no TLS.
    #[error("the client does not speak TLS{}", if *http { " but plain HTTP" } else { "" })]
    NotTls {
        /// They look like HTTP: answered with 400.
        http: bool,
    },
    /// Client and server have no version in common.
    #[error("no TLS version in common with the client")]
    NoSharedVersion,
    /// Client and server have no cipher suite in common, for the kind of key that the certificate has.
    #[error("no cipher suite in common with the client")]
    NoSharedCipher,
    /// Client and server have no key exchange group in common.
    #[error("no key exchange group in common with the client")]
    NoSharedGroup,
    /// The client cannot check the signatures of the certificate's key.
    #[error("no signature scheme in common with the client")]
    NoSharedSignature,
    /// The client asked for application protocols and we speak none of them.
    #[error("no application protocol in common with the client")]
    NoSharedProtocol,
    /// The client lacks another part that is needed.
    #[error("the client is not compatible: {0}")]
    Incompatible(String),
    /// The client broke the protocol.
    #[error("the client broke the TLS protocol: {0}")]
    Malformed(String),
    /// The client refused: most often it does not trust the certificate.
    #[error("the client sent the alert {0}")]
    AlertReceived(&'static str),
    /// The client closed or reset the connection, or stopped in the middle.
    #[error("the client went away during the handshake")]
    ClientGone,
    /// Something else; the text says what.
    #[error("the handshake failed: {0}")]
    Other(String),
}

impl HandshakeError {
    /// The label in metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::UnknownName { .. } => "unknown_name",
            Self::NoName => "no_name",
            Self::NotTls { .. } => "not_tls",
            Self::NoSharedVersion => "no_shared_version",
            Self::NoSharedCipher => "no_shared_cipher",
            Self::NoSharedGroup => "no_shared_group",
            Self::NoSharedSignature => "no_shared_signature",
            Self::NoSharedProtocol => "no_shared_protocol",
            Self::Incompatible(_) => "incompatible",
            Self::Malformed(_) => "malformed",
            Self::AlertReceived(_) => "alert_received",
            Self::ClientGone => "client_gone",
            Self::Other(_) => "other",
        }
    }
}

/// A failure of the socket, or rustls's error inside of one.
impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof};
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::from(error),
            None => match error.kind() {
                BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut | UnexpectedEof => {
                    Self::ClientGone
                }
                _ => Self::Other(error.to_string()),
            },
        }
    }
}

impl From<&Error> for HandshakeError {
    fn from(error: &Error) -> Self {
        match error {
            Error::PeerIncompatible(reason) => Self::from(reason),
            Error::NoApplicationProtocol => Self::NoSharedProtocol,
            Error::AlertReceived(alert) => Self::AlertReceived(alert.as_str().unwrap_or("unknown")),
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::DecryptError
            | Error::PeerSentOversizedRecord => Self::Malformed(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<&PeerIncompatible> for HandshakeError {
    fn from(reason: &PeerIncompatible) -> Self {
        match reason {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired => Self::NoSharedVersion,
            PeerIncompatible::NoCipherSuitesInCommon => Self::NoSharedCipher,
            PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
                Self::NoSharedGroup
            }
            PeerIncompatible::NoSignatureSchemesInCommon => Self::NoSharedSignature,
            other => Self::Incompatible(format!("{other:?}")),
        }
    }
}
