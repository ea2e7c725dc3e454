//! A certificate with its key: read from PEM, checked as a whole, so that what exists can be served.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::names::Names;
use super::pair_error::{PairError, Part};
use super::pem_file;

/// A clock that is this far behind the issuer's does not make a certificate "not yet valid".
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// A certificate, its chain and its key, known to belong together and to be valid when they were read. Never changed: a new
/// pair takes its place in the [`CertSlot`](super::CertSlot).
pub struct Pair {
    /// The names it is good for: its subject alternative names. The common name counts for nothing, as in clients (RFC 9525 §2).
    pub names: Names,
    /// The first moment of its validity.
    pub not_before: SystemTime,
    /// The last moment of its validity.
    pub not_after: SystemTime,
    /// The serial number, in hex with colons.
    pub serial: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// SHA-256 over both files: the same digest is the same pair.
    pub digest: [u8; 32],
    /// What is worth telling, though the pair can be served.
    pub warnings: Vec<Warning>,
    pub(super) certified: Arc<CertifiedKey>,
}

/// What is worth telling of a pair that can be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The key file's mode lets its group or everyone read it.
    #[error("{file}: others can read this private key (mode {mode:04o}); do `chmod 600 {file}`")]
    OpenKey {
        /// The key file.
        file: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A subject alternative name that no client accepts.
    #[error("{file}: `{name}` in the certificate is no name that clients accept; it is ignored")]
    OddName {
        /// The certificate file.
        file: String,
        /// As it stands in the certificate.
        name: String,
    },
}

impl Pair {
    /// Reads the pair of files and checks it as a whole at the time `now`.
    ///
    /// # Errors
    /// Each names the file and says what to do.
    pub fn load(cert: &Path, key: &Path, now: SystemTime) -> Result<Self, PairError> {
        let cert_pem = pem_file::read(cert)?;
        let key_pem = pem_file::read(key)?;
        let mut pair = Self::parse((cert, &cert_pem.bytes), (key, &key_pem.bytes), now)?;
        if let Some(mode) = key_pem.open_mode() {
            pair.warnings.push(Warning::OpenKey { file: key.display().to_string(), mode });
        }
        Ok(pair)
    }

    /// The same of PEM that is in memory; the paths only name it in errors.
    ///
    /// # Errors
    /// As [`Pair::load`], but for what reading files adds.
    pub fn parse(cert: (&Path, &[u8]), key: (&Path, &[u8]), now: SystemTime) -> Result<Self, PairError> {
        let (chain, private) = (certificates(cert)?, private_key(key)?);
        let (chain, private) = match (chain, private) {
            (Some(chain), Some(private)) => (chain, private),
            (None, None) if certificates(key)?.is_some() && private_key(cert)?.is_some() => {
                return Err(PairError::Swapped { cert: cert.0.into(), key: key.0.into() });
            }
            (None, _) => return Err(PairError::nothing(cert, Part::Certificate)),
            (Some(_), None) => return Err(PairError::nothing(key, Part::Key)),
        };
        let leaf = chain[0].clone();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, private, &provider)
            .map_err(|error| PairError::from_rustls(error, cert.0, key.0))?;
        let mut pair = Self::describe(cert.0, &leaf, certified)?;
        pair.digest = digest(cert.1, key.1);
        pair.check_time(cert.0, now)?;
        Ok(pair)
    }

    fn describe(file: &Path, leaf: &CertificateDer<'_>, certified: CertifiedKey) -> Result<Self, PairError> {
        let broken = |reason: String| PairError::Broken { file: file.into(), part: Part::Certificate, reason };
        let (_, x509) = X509Certificate::from_der(leaf).map_err(|error| broken(error.to_string()))?;
        let mut warnings = Vec::new();
        let names = alternative_names(&x509, file, &mut warnings).map_err(broken)?;
        if names.is_empty() {
            return Err(PairError::Nameless { file: file.into() });
        }
        Ok(Self {
            names,
            not_before: moment(x509.validity().not_before.timestamp()),
            not_after: moment(x509.validity().not_after.timestamp()),
            serial: x509.raw_serial_as_string(),
            issuer: x509.issuer().to_string(),
            digest: [0; 32],
            warnings,
            certified: Arc::new(certified),
        })
    }

    fn check_time(&self, file: &Path, now: SystemTime) -> Result<(), PairError> {
        if now > self.not_after {
            return Err(PairError::Expired { file: file.into(), since: day(self.not_after) });
        }
        if now + CLOCK_SKEW < self.not_before {
            return Err(PairError::NotYet { file: file.into(), until: day(self.not_before) });
        }
        Ok(())
    }
}

/// Without the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("names", &self.names)
            .field("serial", &self.serial)
            .field("not_after", &day(self.not_after))
            .finish_non_exhaustive()
    }
}

/// The certificates in a PEM file, or nothing where it holds none.
fn certificates((file, pem): (&Path, &[u8])) -> Result<Option<Vec<CertificateDer<'static>>>, PairError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| PairError::from_pem(error, file, Part::Certificate))?;
    Ok((!chain.is_empty()).then_some(chain))
}

/// The first private key in a PEM file, or nothing where it holds none.
fn private_key((file, pem): (&Path, &[u8])) -> Result<Option<PrivateKeyDer<'static>>, PairError> {
    let says = |label: &[u8]| pem.windows(label.len()).any(|window| window == label);
    if says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED") {
        return Err(PairError::Encrypted { file: file.into() });
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(Some(key)),
        Err(pem::Error::NoItemsFound) => Ok(None),
        Err(error) => Err(PairError::from_pem(error, file, Part::Key)),
    }
}

fn alternative_names(x509: &X509Certificate<'_>, file: &Path, warnings: &mut Vec<Warning>) -> Result<Names, String> {
    let mut names = Names::default();
    let Some(extension) = x509.subject_alternative_name().map_err(|error| error.to_string())? else {
        return Ok(names);
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => {
                if !names.add_dns(name) {
                    warnings.push(Warning::OddName { file: file.display().to_string(), name: (*name).to_owned() });
                }
            }
            GeneralName::IPAddress(octets) => {
                if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                    names.add_address(octets.into());
                } else if let Ok(octets) = <[u8; 16]>::try_from(*octets) {
                    names.add_address(octets.into());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The lengths go in, so that a byte moved from one file to the other is a change.
fn digest(cert: &[u8], key: &[u8]) -> [u8; 32] {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [cert, key] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

/// Seconds since 1970, which may be negative. What no clock can hold counts as 1970, which is expired.
fn moment(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    moment.unwrap_or(UNIX_EPOCH)
}

/// `2026-11-21 01:57 UTC`.
fn day(moment: SystemTime) -> String {
    let moment = time::OffsetDateTime::from(moment);
    format!("{} {:02}:{:02} UTC", moment.date(), moment.hour(), moment.minute())
}
