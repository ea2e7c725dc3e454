//! What has been read of the files that are to be watched.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};

/// What the caller of [`Watch::set`](super::Watch::set) has read.
#[derive(Clone, Debug)]
pub struct Read {
    /// When it began to read.
    pub since: SystemTime,
    /// The [`hash`] of what it read of a file, as far as it knows.
    pub contents: BTreeMap<PathBuf, [u8; 32]>,
}

/// The hash that files are compared by.
pub fn hash(content: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, content).as_ref());
    hash
}
