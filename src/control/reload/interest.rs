//! Which names on disk decide what a path leads to: its own, those of the symlinks on its way, and what they lead to.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::digest::changed;
use crate::control::config::Pattern;

/// The symlinks that are followed for one path; the kernel follows as many.
const MOST_LINKS: usize = 40;

/// What events have to be about to matter. Every path in it is free of symlinks but for its last part.
#[derive(Debug, Default)]
pub(super) struct Interest {
    names: HashSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    patterns: Vec<Pattern>,
}

impl Interest {
    /// Adds a file, whether it exists or not.
    pub(super) fn add_file(&mut self, path: &Path) {
        self.add(&Way::of(path));
    }

    /// Adds the folder of a pattern and the names it stands for.
    pub(super) fn add_pattern(&mut self, pattern: &Pattern) {
        let way = Way::of(pattern.folder());
        self.add(&way);
        if let Some(folder) = way.end {
            self.patterns.push(pattern.moved(folder.clone()));
            self.folders.insert(folder);
        }
    }

    fn add(&mut self, way: &Way) {
        self.folders.extend(way.names.iter().filter_map(|name| name.parent()).map(Path::to_owned));
        self.names.extend(way.names.iter().cloned());
    }

    /// The folders whose events tell of it.
    pub(super) fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Whether an event at `path` may change what a file holds.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.folders.contains(path)
            || self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

/// When the file at `path`, or a symlink on the way to it, changed last. For a missing file it is the folder's time.
pub(super) fn last_change(path: &Path) -> SystemTime {
    Way::of(path).changed
}

/// The way from a path to what it leads to.
struct Way {
    /// The symlinks, then the file, or the first name that is missing.
    names: Vec<PathBuf>,
    /// What it leads to; none when something is missing.
    end: Option<PathBuf>,
    changed: SystemTime,
}

impl Way {
    fn of(path: &Path) -> Self {
        let mut way = Self { names: Vec::new(), end: None, changed: UNIX_EPOCH };
        let Ok(path) = std::path::absolute(path) else { return way };
        let (mut here, mut left) = (PathBuf::from("/"), Vec::new());
        push(&mut left, &path);
        while let Some(part) = left.pop() {
            if part == ".." {
                here.pop();
                continue;
            }
            let name = here.join(&part);
            let Ok(metadata) = name.symlink_metadata() else {
                let folder = here.symlink_metadata();
                way.changed = way.changed.max(folder.map_or(UNIX_EPOCH, |folder| changed(&folder)));
                way.names.push(name);
                return way;
            };
            if !metadata.is_symlink() {
                here = name;
                if left.is_empty() {
                    way.changed = way.changed.max(changed(&metadata));
                }
                continue;
            }
            way.changed = way.changed.max(changed(&metadata));
            let target = name.read_link();
            way.names.push(name);
            let Ok(target) = target else { return way };
            if way.names.len() > MOST_LINKS {
                return way;
            }
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            push(&mut left, &target);
        }
        way.names.push(here.clone());
        way.end = Some(here);
        way
    }
}

/// Puts the parts of `path` on the stack, the first on top.
fn push(left: &mut Vec<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => left.push(name.to_owned()),
            Component::ParentDir => left.push("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/tls.crt"), "x").unwrap();
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/tls.crt", root.join("tls.crt")).unwrap();
        let mut interest = Interest::default();
        interest.add_file(&root.join("tls.crt"));
        for name in ["tls.crt", "..data", "..2026/tls.crt", "..2026"] {
            assert!(interest.covers(&root.join(name)), "{name}");
        }
        for name in ["tls.key", "..data_tmp", "..2026/tls.key"] {
            assert!(!interest.covers(&root.join(name)), "{name}");
        }
        assert!(interest.folders().iter().eq([&root, &root.join("..2026")]));
    }

    #[test]
    fn what_is_missing_is_awaited_where_it_would_appear() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut interest = Interest::default();
        interest.add_file(&root.join("not/yet/tls.crt"));
        assert!(interest.folders().iter().eq([&root]));
        assert!(interest.covers(&root.join("not")));
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(Way::of(&folder.path().join("a")).end.is_none());
    }
}
