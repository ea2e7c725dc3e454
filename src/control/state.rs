//! `state_dir`: what the gateway keeps between runs, for its owner only and for one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or written.
    #[error("cannot use the state folder {}: {error}; set server.state_dir to a folder that this user may write", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another gateway has it.
    #[error("another gateway is running on the state folder {}; stop it, or give this one its own server.state_dir", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

/// The folder, held until this is dropped.
#[derive(Debug)]
pub struct State {
    _lock: File,
}

impl State {
    /// Makes the folder (mode 0700) where it is missing, and locks it.
    ///
    /// # Errors
    /// Where it cannot be made or written, or another process holds it.
    pub fn hold(path: &Path) -> Result<Self, StateError> {
        let unusable = |error| StateError::Unusable { path: path.to_owned(), error };
        if !path.is_dir() {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(unusable)?;
            }
            DirBuilder::new().mode(0o700).create(path).map_err(unusable)?;
        }
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join("lock"));
        let lock = open.map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::Taken { path: path.to_owned() }),
            Err(error) => Err(unusable(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_folder_is_made_for_its_owner_and_held_by_one() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/state");
        let held = State::hold(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(State::hold(&path), Err(StateError::Taken { .. })));
        drop(held);
        assert!(State::hold(&path).is_ok());
    }
}
