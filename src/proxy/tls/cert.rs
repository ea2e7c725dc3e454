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
use super::pem_file::{self, PemFile};

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
        Self::load_with(cert, key, now, pem_file::read)?.with_names(cert)
    }

    /// The same for a pair that is shown to servers: they ask for no host name in it.
    pub(super) fn load_of_client(cert: &Path, key: &Path, now: SystemTime) -> Result<Self, PairError> {
        Self::load_with(cert, key, now, pem_file::read)
    }

    /// A swap of both files may fall between reading the one and the other. Before they are said not to belong together, the
    /// certificate is read again.
    fn load_with(
        cert: &Path,
        key: &Path,
        now: SystemTime,
        mut read: impl FnMut(&Path) -> Result<PemFile, PairError>,
    ) -> Result<Self, PairError> {
        let (cert_pem, key_pem) = (read(cert)?, read(key)?);
        let mut parsed = Self::parse_any((cert, &cert_pem.bytes), (key, &key_pem.bytes), now);
        if matches!(parsed, Err(PairError::Mismatch { .. })) {
            let again = read(cert)?;
            if again.bytes != cert_pem.bytes {
                parsed = Self::parse_any((cert, &again.bytes), (key, &key_pem.bytes), now);
            }
        }
        let mut pair = parsed?;
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
        Self::parse_any(cert, key, now)?.with_names(cert.0)
    }

    fn parse_any(cert: (&Path, &[u8]), key: (&Path, &[u8]), now: SystemTime) -> Result<Self, PairError> {
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
        pair.digest = digest(&[cert.1, key.1]);
        pair.check_time(cert.0, now)?;
        Ok(pair)
    }

    fn describe(file: &Path, leaf: &CertificateDer<'_>, certified: CertifiedKey) -> Result<Self, PairError> {
        let broken = |reason: String| PairError::Broken { file: file.into(), part: Part::Certificate, reason };
        let (_, x509) = X509Certificate::from_der(leaf).map_err(|error| broken(error.to_string()))?;
        let mut warnings = Vec::new();
        let names = alternative_names(&x509, file, &mut warnings).map_err(broken)?;
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

    fn with_names(self, file: &Path) -> Result<Self, PairError> {
        if self.names.is_empty() { Err(PairError::Nameless { file: file.into() }) } else { Ok(self) }
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
pub(super) fn certificates((file, pem): (&Path, &[u8])) -> Result<Option<Vec<CertificateDer<'static>>>, PairError> {
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
            GeneralName::DNSName(name) if !names.add_dns(name) => {
                warnings.push(Warning::OddName { file: file.display().to_string(), name: (*name).to_owned() });
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
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

/// Seconds since 1970, which may be negative. What no clock can hold counts as 1970, which is expired.
pub(super) fn moment(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    moment.unwrap_or(UNIX_EPOCH)
}

/// `2026-11-21 01:57 UTC`.
pub(super) fn day(moment: SystemTime) -> String {
    let moment = time::OffsetDateTime::from(moment);
    format!("{} {:02}:{:02} UTC", moment.date(), moment.hour(), moment.minute())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::support::{Ca, now};
    use super::*;

    /// Writes the texts to `a.crt` and `a.key` of a directory of its own and loads them.
    fn load(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Pair, PairError> {
        let directory = tempfile::tempdir().unwrap();
        let (cert_path, key_path) = (directory.path().join("a.crt"), directory.path().join("a.key"));
        fs::write(&cert_path, cert).unwrap();
        fs::write(&key_path, key).unwrap();
        fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).unwrap();
        Pair::load(&cert_path, &key_path, now())
    }

    fn told(result: Result<Pair, PairError>) -> String {
        result.expect_err("a pair that is refused").to_string()
    }

    #[test]
    fn a_pair_knows_itself() {
        let ca = Ca::new();
        let (cert, key) = ca.pem(&["a.example", "*.b.example", "192.0.2.1", "2001:db8::1"], |params| {
            params.serial_number = Some(vec![0x12, 0xab].into());
            params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        });
        let pair = load(&cert, &key).unwrap();
        assert_eq!(pair.names.to_string(), "a.example, *.b.example, 192.0.2.1, 2001:db8::1");
        assert_eq!((pair.serial.as_str(), day(pair.not_after).as_str()), ("12:ab", "2030-01-01 00:00 UTC"));
        assert!(pair.issuer.starts_with("CN="), "{}", pair.issuer);
        assert_eq!(pair.warnings, []);
        assert_eq!(pair.digest, load(&cert, &key).unwrap().digest);
        assert_ne!(pair.digest, load(format!("{cert}\n"), &key).unwrap().digest);
        assert!(!format!("{pair:?}").contains("PRIVATE"));
    }

    #[test]
    fn one_file_may_hold_both() {
        let (cert, key) = Ca::new().pem(&["a.example"], |_| {});
        let both = format!("some text\n{key}{cert}");
        assert!(load(&both, &both).is_ok());
    }

    #[test]
    fn every_defect_names_its_file_and_says_what_to_do() {
        let ca = Ca::new();
        let (cert, key) = ca.pem(&["a.example"], |_| {});
        let (_, stranger) = ca.pem(&["a.example"], |_| {});
        let (expired, old_key) = ca.pem(&["a.example"], |params| params.not_after = rcgen::date_time_ymd(2026, 12, 31));
        let (early, early_key) = ca.pem(&["a.example"], |params| params.not_before = rcgen::date_time_ymd(2028, 1, 1));
        let (nameless, nameless_key) = ca.pem(&[], |_| {});
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let huge = "x".repeat((1 << 20) + 1);
        for (result, file, advice) in [
            (load("", &key), "a.crt", "the file is empty"),
            (load(" \n", &key), "a.crt", "the file is empty"),
            (load(&cert, ""), "a.key", "the file is empty"),
            (load(&huge, &key), "a.crt", "larger than 1 MiB"),
            (load("hello", &key), "a.crt", "no PEM certificate in it; it has to start with"),
            (load([0x30, 0x82, 1, 2], &key), "a.crt", "looks like DER"),
            (load(&cert, "hello"), "a.key", "no PEM private key in it; it has to hold"),
            (load(&cert, &cert), "a.key", "no PEM private key"),
            (load(&key, &key), "a.crt", "no PEM certificate"),
            (load(&key, &cert), "a.crt", "exchange the values of `cert` and `key`"),
            (load(&cert[..cert.len() / 2], &key), "a.crt", "half written"),
            (load(&cert, &key[..key.len() / 2]), "a.key", "half written"),
            (load(cert.replacen("MI", "\u{e9}!", 1), &key), "a.crt", "broken PEM"),
            (load(garbage, &key), "a.crt", "cannot be used"),
            (load(&cert, no_key), "a.key", "cannot be used"),
            (load(&cert, encrypted), "a.key", "is encrypted; decrypt it with"),
            (load(&cert, &stranger), "a.key", "does not belong to the first certificate"),
            (load(&expired, &old_key), "a.crt", "expired since 2026-12-31 00:00 UTC; renew"),
            (load(&early, &early_key), "a.crt", "not valid before 2028-01-01 00:00 UTC; check the clock"),
            (load(&nameless, &nameless_key), "a.crt", "names no host"),
        ] {
            let told = told(result);
            assert!(told.contains(file) && told.contains(advice), "{told}");
        }
    }

    #[test]
    fn a_swap_between_reading_the_two_files_is_no_mismatch() {
        let ca = Ca::new();
        let ((old, _), (new, key)) = (ca.pem(&["a.example"], |_| {}), ca.pem(&["a.example"], |_| {}));
        let directory = tempfile::tempdir().unwrap();
        let load = |certs: &[&str]| {
            let mut left = certs.iter();
            let file = directory.path().join("any");
            Pair::load_with(Path::new("a.crt"), Path::new("a.key"), now(), |path| {
                let text = if path == Path::new("a.key") { key.as_str() } else { left.next().unwrap() };
                fs::write(&file, text).unwrap();
                pem_file::read(&file)
            })
        };
        assert!(load(&[&old, &new]).is_ok());
        assert!(told(load(&[&old, &old])).contains("does not belong"), "a key that really is another's");
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("none.crt");
        assert!(told(Pair::load(&missing, &missing, now())).contains("none.crt: no such file"));
        assert!(told(Pair::load(directory.path(), &missing, now())).contains("not a file"));
        let denied = PairError::from_io(std::io::ErrorKind::PermissionDenied.into(), &missing);
        assert!(denied.to_string().contains("permission denied; let the user"));
    }

    #[test]
    fn a_key_that_others_can_read_is_a_warning() {
        let (cert, key) = Ca::new().pem(&["a.example"], |_| {});
        let directory = tempfile::tempdir().unwrap();
        let (cert_path, key_path) = (directory.path().join("a.crt"), directory.path().join("a.key"));
        fs::write(&cert_path, cert).unwrap();
        fs::write(&key_path, key).unwrap();
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&key_path, fs::Permissions::from_mode(mode)).unwrap();
            let pair = Pair::load(&cert_path, &key_path, now()).unwrap();
            assert_eq!(pair.warnings.len(), usize::from(warned), "{mode:o}");
            assert!(!warned || pair.warnings[0].to_string().contains("chmod 600"));
        }
    }
}
