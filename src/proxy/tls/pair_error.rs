//! Why a pair of files cannot be served, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem;

/// Why a pair of files cannot be served. Every message names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// There is no such file.
    #[error("{}: no such file; write the path of an existing PEM file", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The process may not read it.
    #[error("{}: permission denied; let the user that runs the gateway read it", file.display())]
    Denied {
        /// The file.
        file: PathBuf,
    },
    /// Reading failed for another reason.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("{}: not a file; write the path of a PEM file", file.display())]
    NoFile {
        /// The path.
        file: PathBuf,
    },
    /// Larger than 1 MiB.
    #[error("{}: larger than 1 MiB; a PEM file holds only the certificate and its chain, or the key", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// Nothing in it.
    #[error("{}: the file is empty; write the PEM text into it", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// The PEM armour is broken, as in a file that is half written.
    #[error("{}: broken PEM ({reason}); the file may be cut off or half written: write it anew", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is broken.
        reason: String,
    },
    /// No such part in the file.
    #[error("{}: no {part} in it; {advice}", file.display())]
    Nothing {
        /// The file.
        file: PathBuf,
        /// What was looked for.
        part: Part,
        /// What to do, from what the file holds instead.
        advice: &'static str,
    },
    /// The key is encrypted; nobody is there to type a passphrase.
    #[error("{}: the private key is encrypted; decrypt it with `openssl pkey -in OLD -out NEW` and give the new file", file.display())]
    Encrypted {
        /// The key file.
        file: PathBuf,
    },
    /// `cert` and `key` name each other's file.
    #[error("{} holds a private key and {} a certificate; exchange the values of `cert` and `key`", cert.display(), key.display())]
    Swapped {
        /// The file given as certificate.
        cert: PathBuf,
        /// The file given as key.
        key: PathBuf,
    },
    /// The PEM armour is sound, what is inside is not.
    #[error("{}: the {part} cannot be used ({reason}); issue it anew", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// Which part.
        part: Part,
        /// What is wrong.
        reason: String,
    },
    /// The key is not the certificate's.
    #[error(
        "{} does not belong to the first certificate in {}; give the key that was made for it, and put the server's own certificate before its chain",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// There is no subject alternative name in it.
    #[error("{}: the certificate names no host (no subject alternative names; clients ignore the common name); issue it anew with them", file.display())]
    Nameless {
        /// The certificate file.
        file: PathBuf,
    },
    /// Its time is over.
    #[error("{}: expired since {since}; renew the certificate", file.display())]
    Expired {
        /// The certificate file.
        file: PathBuf,
        /// Its last moment.
        since: String,
    },
    /// Its time has not come.
    #[error("{}: not valid before {until}; check the clock of this machine, or wait with this certificate", file.display())]
    NotYet {
        /// The certificate file.
        file: PathBuf,
        /// Its first moment.
        until: String,
    },
}

/// One half of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate with its chain.
    Certificate,
    /// The private key.
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "PEM certificate",
            Self::Key => "PEM private key",
        })
    }
}

impl PairError {
    /// The file that is at fault; the certificate's where it is both.
    pub fn file(&self) -> &Path {
        match self {
            Self::Missing { file }
            | Self::Denied { file }
            | Self::Unreadable { file, .. }
            | Self::NoFile { file }
            | Self::TooLarge { file }
            | Self::Empty { file }
            | Self::Pem { file, .. }
            | Self::Nothing { file, .. }
            | Self::Encrypted { file }
            | Self::Broken { file, .. }
            | Self::Nameless { file }
            | Self::Expired { file, .. }
            | Self::NotYet { file, .. } => file,
            Self::Swapped { cert, .. } => cert,
            Self::Mismatch { key, .. } => key,
        }
    }

    pub(super) fn from_io(error: io::Error, file: &Path) -> Self {
        let file = file.into();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing { file },
            io::ErrorKind::PermissionDenied => Self::Denied { file },
            _ => Self::Unreadable { file, source: error },
        }
    }

    pub(super) fn from_pem(error: pem::Error, file: &Path, part: Part) -> Self {
        let reason = match error {
            pem::Error::NoItemsFound => return Self::nothing((file, &[]), part),
            pem::Error::MissingSectionEnd { .. } => "the END line is missing".to_owned(),
            other => other.to_string(),
        };
        Self::Pem { file: file.into(), reason }
    }

    pub(super) fn from_rustls(error: rustls::Error, cert: &Path, key: &Path) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::Mismatch { cert: cert.into(), key: key.into() },
            rustls::Error::InvalidCertificate(reason) => {
                Self::Broken { file: cert.into(), part: Part::Certificate, reason: reason.to_string() }
            }
            other => Self::Broken { file: key.into(), part: Part::Key, reason: other.to_string() },
        }
    }

    /// Says what to do from what the file holds instead.
    pub(super) fn nothing((file, bytes): (&Path, &[u8]), part: Part) -> Self {
        /// Every DER file of a certificate or key starts with a SEQUENCE.
        const DER_SEQUENCE: u8 = 0x30;
        let advice = if bytes.first() == Some(&DER_SEQUENCE) {
            "it looks like DER: convert it with `openssl x509 -inform DER` or `openssl pkey -inform DER`"
        } else if part == Part::Certificate {
            "it has to start with `-----BEGIN CERTIFICATE-----`"
        } else {
            "it has to hold a `-----BEGIN PRIVATE KEY-----` (PKCS#8, PKCS#1 or SEC1)"
        };
        Self::Nothing { file: file.into(), part, advice }
    }
}
