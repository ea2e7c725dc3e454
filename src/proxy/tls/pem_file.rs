//! Reading a certificate or key file: bounded, never blocking on what is no file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::pair_error::PairError;

/// More than any chain or key needs.
pub(super) const LARGEST: u64 = 1 << 20;

/// The bits that let the group or everyone read.
const OPEN_TO_OTHERS: u32 = 0o044;

/// What was read.
pub(super) struct PemFile {
    pub(super) bytes: Vec<u8>,
    mode: u32,
}

impl PemFile {
    /// The permission bits, where others than the owner can read the file.
    pub(super) fn open_mode(&self) -> Option<u32> {
        (self.mode & OPEN_TO_OTHERS != 0).then_some(self.mode & 0o7777)
    }
}

/// Reads a file of at least one byte and at most [`LARGEST`].
pub(super) fn read(path: &Path) -> Result<PemFile, PairError> {
    let failed = |error: io::Error| PairError::from_io(error, path);
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(PairError::NoFile { file: path.into() });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(PairError::TooLarge { file: path.into() });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(PairError::Empty { file: path.into() });
    }
    Ok(PemFile { bytes, mode: found.permissions().mode() })
}
