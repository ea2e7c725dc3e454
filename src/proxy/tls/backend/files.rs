//! The files that `tls` of a pool names, read and checked as a whole.

use std::time::SystemTime;

use super::settings::BackendTlsSettings;
use super::trust::Roots;
use crate::proxy::tls::cert::{Pair, digest};
use crate::proxy::tls::pair_error::PairError;
use crate::proxy::tls::pem_file;

/// What the files hold.
pub struct BackendFiles {
    /// The given CAs; none where the system's are to be trusted.
    pub(super) roots: Option<Roots>,
    /// What is shown to backends that ask.
    pub(super) pair: Option<Pair>,
    /// SHA-256 over all of them.
    pub digest: [u8; 32],
    /// What is worth telling, though the files can be used: a message and an advice, split by `; `.
    pub warnings: Vec<String>,
}

impl BackendFiles {
    /// Reads what `settings` name, and checks it at the time `now`.
    ///
    /// # Errors
    /// Each names the file and says what to do.
    pub fn read(settings: &BackendTlsSettings, now: SystemTime) -> Result<Self, PairError> {
        let mut warnings = Vec::new();
        let (mut roots, mut pem) = (None, Vec::new());
        if let Some(ca) = &settings.ca {
            pem = pem_file::read(ca)?.bytes;
            roots = Some(Roots::parse((ca, &pem), now, &mut warnings)?);
        }
        let mut pair = None;
        if let Some(files) = &settings.pair {
            let read = Pair::load_of_client(&files.cert, &files.key, now)?;
            warnings.extend(read.warnings.iter().map(ToString::to_string));
            pair = Some(read);
        }
        let of_pair = pair.as_ref().map_or(&[][..], |pair| &pair.digest);
        Ok(Self { digest: digest(&[&pem, of_pair]), roots, pair, warnings })
    }

    /// Whether the system's roots are to be trusted.
    pub fn trusts_system(&self) -> bool {
        self.roots.is_none()
    }
}
