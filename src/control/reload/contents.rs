//! What was last told about every watched file, and which differ from it now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::read::Read;

/// The last known content of the watched files.
#[derive(Debug, Default)]
pub(super) struct Contents(BTreeMap<PathBuf, Digest>);

impl Contents {
    /// Watches `files` from now on, and those only. What `read` says of a file is what is known of it; others that were watched
    /// before keep what is known of them. Answers which files differ from what was read, and which of the new ones `is_late`, that
    /// is, may have changed since their reader read them.
    pub(super) fn adopt(
        &mut self,
        files: &BTreeSet<PathBuf>,
        read: &Read,
        is_late: impl Fn(&Path) -> bool,
    ) -> Vec<PathBuf> {
        self.0.retain(|path, _| files.contains(path));
        let mut told = Vec::new();
        for path in files {
            let changed = if let Some(hash) = read.contents.get(path) {
                let mut digest = Digest::of_read(*hash);
                let differs = digest.look(path, false);
                self.0.insert(path.clone(), digest);
                differs
            } else if self.0.contains_key(path) {
                false
            } else {
                self.0.insert(path.clone(), Digest::new(path));
                is_late(path)
            };
            if changed {
                told.push(path.clone());
            }
        }
        told
    }

    /// Compares: which files changed, appeared in `files`, or are no longer among them.
    pub(super) fn compare(&mut self, files: &BTreeSet<PathBuf>, thorough: bool) -> Vec<PathBuf> {
        let mut changed: Vec<_> = self.0.keys().filter(|path| !files.contains(*path)).cloned().collect();
        self.0.retain(|path, _| files.contains(path));
        for path in files {
            let Some(digest) = self.0.get_mut(path) else {
                self.0.insert(path.clone(), Digest::new(path));
                changed.push(path.clone());
                continue;
            };
            if digest.look(path, thorough) {
                changed.push(path.clone());
            }
        }
        changed
    }
}
