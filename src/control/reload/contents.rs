//! What was last told about every watched file, and which differ from it now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::digest::Digest;

/// The last known content of the watched files.
#[derive(Debug, Default)]
pub(super) struct Contents(BTreeMap<PathBuf, Digest>);

impl Contents {
    /// Watches `files` from now on, and those only. Answers which of them `is_late`, that is, may have changed since their reader
    /// read them, and which differ from what was known: the reader may have seen that or what was there before, and a file that
    /// goes back to what was known would not be told of.
    pub(super) fn adopt(&mut self, files: &BTreeSet<PathBuf>, is_late: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        self.0.retain(|path, _| files.contains(path));
        let mut told = Vec::new();
        for path in files {
            let differs = match self.0.get_mut(path) {
                Some(digest) => digest.look(path, false),
                None => {
                    self.0.insert(path.clone(), Digest::new(path));
                    false
                }
            };
            if differs || is_late(path) {
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
