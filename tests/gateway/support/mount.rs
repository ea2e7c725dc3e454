//! Files as they are mounted and saved in the field: behind a symlink to a folder for each version, and written in three ways.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Instant;

use super::gateway::Home;

/// How an editor, a script or an orchestrator saves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// A file written beside and renamed over the old one.
    Rename,
    /// The file truncated and written.
    InPlace,
    /// A folder with the new version, and the symlink to the old one swapped: as Kubernetes does.
    Symlink,
}

impl Way {
    /// All of them, for ever in turn.
    pub(crate) fn in_turn() -> impl Iterator<Item = Self> {
        [Self::Rename, Self::InPlace, Self::Symlink].into_iter().cycle()
    }
}

/// Files of a home behind one symlink: `file → LINK/file`, `LINK → LINK.1`.
pub(crate) struct Mount {
    root: PathBuf,
    link: &'static str,
    version: usize,
}

impl Mount {
    /// Puts `files` behind a symlink called `link`, in place of what has their names.
    pub(crate) fn new(home: &Home, link: &'static str, files: &[(&str, &str)]) -> Self {
        let mut mount = Self { root: home.path(""), link, version: 0 };
        mount.swap(files);
        for (name, _) in files {
            symlink(format!("{link}/{name}"), mount.root.join("fresh")).unwrap();
            std::fs::rename(mount.root.join("fresh"), mount.root.join(name)).unwrap();
        }
        mount
    }

    /// Saves all files; when that was done.
    pub(crate) fn save(&mut self, way: Way, files: &[(&str, &str)]) -> Instant {
        match way {
            Way::Symlink => self.swap(files),
            Way::InPlace => {
                for (name, text) in files {
                    std::fs::write(self.root.join(name), text).unwrap();
                }
            }
            Way::Rename => {
                let folder = self.root.join(self.link);
                for (name, text) in files {
                    std::fs::write(folder.join("fresh"), text).unwrap();
                    std::fs::rename(folder.join("fresh"), folder.join(name)).unwrap();
                }
            }
        }
        Instant::now()
    }

    fn swap(&mut self, files: &[(&str, &str)]) {
        let before = self.root.join(format!("{}.{}", self.link, self.version));
        self.version += 1;
        let folder = format!("{}.{}", self.link, self.version);
        std::fs::create_dir(self.root.join(&folder)).unwrap();
        for (name, text) in files {
            std::fs::write(self.root.join(&folder).join(name), text).unwrap();
        }
        symlink(folder, self.root.join("fresh")).unwrap();
        std::fs::rename(self.root.join("fresh"), self.root.join(self.link)).unwrap();
        if before.exists() {
            std::fs::remove_dir_all(before).unwrap();
        }
    }
}
