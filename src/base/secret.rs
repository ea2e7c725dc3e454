//! Secrets in files: made where they are missing, for their owner only, and refused where others may read them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What a secret may be at most and must be at least, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=4096;

/// A kind of secret, as messages speak of it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name: `admin token`.
    pub name: &'static str,
    /// What else may be done where it cannot be read.
    pub unread: &'static str,
    /// What else may be done where it cannot be made.
    pub unmade: &'static str,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the {name} {path}: {error}; make it readable to this user{or}", name = kind.name, or = kind.unread, path = path.display())]
    Unreadable {
        /// Of what.
        kind: Kind,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It was not there and cannot be made.
    #[error("cannot create the {name} {path}: {error}; make its folder writable{or}", name = kind.name, or = kind.unmade, path = path.display())]
    NotCreated {
        /// Of what.
        kind: Kind,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Other users may read or change it.
    #[error("the {name} {path} is open to other users (mode {mode:04o}); run: chmod 600 {path}", name = kind.name, path = path.display())]
    Open {
        /// Of what.
        kind: Kind,
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no usable secret.
    #[error("the {name} {path} must be 16 to 4096 visible ASCII characters; remove the file to have a new one made at the next start", name = kind.name, path = path.display())]
    Unusable {
        /// Of what.
        kind: Kind,
        /// Which file.
        path: PathBuf,
    },
}

/// Reads the secret from `path`; where there is no file, makes one: 256 random bits in hex, for the owner only.
///
/// # Errors
/// Where the file can be neither read nor made, is open to other users, or holds no secret.
pub fn load_or_create(kind: Kind, path: &Path) -> Result<String, SecretError> {
    match create(path) {
        Ok(()) => {}
        // Also where another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // On a read-only file system it may still be there.
        Err(_) if path.exists() => {}
        Err(error) => return Err(SecretError::NotCreated { kind, path: path.into(), error }),
    }
    load(kind, path)
}

/// Reads the secret from `path`. White space around it is cut.
///
/// # Errors
/// Where the file cannot be read, is open to other users, or holds no secret.
pub fn load(kind: Kind, path: &Path) -> Result<String, SecretError> {
    let unreadable = |error| SecretError::Unreadable { kind, path: path.into(), error };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    // The group may read: that is how orchestrators mount a secret for a process without root.
    if mode & 0o027 != 0 {
        return Err(SecretError::Open { kind, path: path.into(), mode });
    }
    let mut text = String::new();
    let most = *LENGTHS.end() as u64 + 1;
    file.take(most).read_to_string(&mut text).map_err(unreadable)?;
    let text = text.trim();
    if !LENGTHS.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError::Unusable { kind, path: path.into() });
    }
    Ok(text.to_owned())
}

fn create(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    put(path, |file| file.write_all(format!("{hex}\n").as_bytes()))
}

/// Writes a file beside and gives it its name once it is whole: a disk that is full, or a crash, leaves no half of it behind
/// for the next start. One that is there is not replaced.
fn put(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(fresh);
    // Of a process of this number that crashed here.
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let named = write(&mut file).and_then(|()| file.sync_all()).and_then(|()| match fs::hard_link(&fresh, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Some file systems know no second name.
        Err(_) => fs::rename(&fresh, path),
        Ok(()) => Ok(()),
    });
    let _ = fs::remove_file(&fresh);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { name: "admin token", unread: "", unmade: "" };

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_missing_token_is_made_for_its_owner_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/a.secret");
        let token = load_or_create(KIND, &path).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(load_or_create(KIND, &path).unwrap(), token);
        let other = load_or_create(KIND, &folder.path().join("other.secret")).unwrap();
        assert_ne!(token, other);
    }

    #[test]
    fn a_token_that_cannot_be_written_whole_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.secret");
        let full = |file: &mut File| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        assert_eq!(put(&path, full).unwrap_err().kind(), io::ErrorKind::StorageFull);
        let left = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left(), 0);
        let token = load_or_create(KIND, &path).unwrap();
        assert_eq!(put(&path, |_| Ok(())).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((left(), load(KIND, &path).unwrap()), (1, token));
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        for mode in [0o604, 0o644, 0o620, 0o602] {
            let (_folder, path) = file("0123456789abcdef", mode);
            let error = load_or_create(KIND, &path).err().unwrap().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:04o}")), "{error}");
        }
        let (_folder, path) = file(" 0123456789abcdef\n", 0o440);
        assert_eq!(load(KIND, &path).unwrap(), "0123456789abcdef");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "\n", "short", "0123456789 abcdef", "0123456789abcd\u{e9}", &"x".repeat(5000)] {
            let (_folder, path) = file(text, 0o600);
            assert!(matches!(load(KIND, &path), Err(SecretError::Unusable { .. })), "{text}");
        }
        assert!(matches!(load(KIND, Path::new("/missing/token")), Err(SecretError::Unreadable { .. })));
    }
}
