//! What was last told about every watched file, and which differ from it now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::digest::Digest;

/// The last known content of the watched files.
#[derive(Debug, Default)]
pub(super) struct Contents(BTreeMap<PathBuf, Digest>);

impl Contents {
    /// Watches `files` from now on, and those only. Files that were watched before keep what is known of them. Answers
    /// which of the new ones `is_late`, that is, may have changed since their reader read them.
    pub(super) fn adopt(&mut self, files: &BTreeSet<PathBuf>, is_late: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        self.0.retain(|path, _| files.contains(path));
        let new: Vec<_> = files.iter().filter(|path| !self.0.contains_key(*path)).cloned().collect();
        self.0.extend(new.iter().map(|path| (path.clone(), Digest::new(path))));
        new.into_iter().filter(|path| is_late(path)).collect()
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
