//! What is in one file: a fingerprint that is cheap to take, and a SHA-256 of the content when the fingerprint moved.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::OFlags;

use crate::base::clock;

/// The largest file whose content is compared, in bytes. Of larger ones length and time stand for it.
const LARGEST: u64 = 8 << 20;

/// File times are this coarse at the worst: two writes within it may look alike.
pub(super) const COARSE: Duration = Duration::from_millis(20);

/// What was last seen of one file.
#[derive(Debug)]
pub(super) struct Digest {
    print: Result<Print, ErrorKind>,
    /// Whether a later write is sure to move the fingerprint.
    settled: bool,
    content: Content,
}

impl Digest {
    /// Looks at `path` for the first time.
    pub(super) fn new(path: &Path) -> Self {
        // The fingerprint is taken before the content: a write in between moves it and makes the next look compare again.
        let (now, print) = (clock::now(), Print::of(path));
        let settled = print.as_ref().map_or(true, |print| print.changed() + COARSE < now);
        let content = match print {
            Ok(_) => Content::of(path).unwrap_or_else(|error| Content::from(error.kind())),
            Err(kind) => Content::from(kind),
        };
        Self { print, settled, content }
    }

    /// What somebody else has read, whatever is there now: the next look compares.
    pub(super) fn of_read(hash: [u8; 32]) -> Self {
        Self { print: Err(ErrorKind::NotFound), settled: false, content: Content::Hash(hash) }
    }

    /// Looks again and answers whether the content differs from the last look. Without `thorough` a file whose
    /// fingerprint stands still is not read.
    pub(super) fn look(&mut self, path: &Path, thorough: bool) -> bool {
        if !thorough && self.settled && self.print == Print::of(path) {
            return false;
        }
        let before = std::mem::replace(self, Self::new(path));
        before.content != self.content
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Absent,
    Unreadable(ErrorKind),
    Large { length: u64, modified: (i64, i64) },
    Hash([u8; 32]),
}

impl Content {
    fn of(path: &Path) -> io::Result<Self> {
        // A pipe must not hold up the thread until somebody writes to it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Self::Unreadable(ErrorKind::InvalidInput));
        }
        let hash = if metadata.len() > LARGEST { None } else { hash(file)? };
        let large = || Self::Large { length: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) };
        Ok(hash.map_or_else(large, Self::Hash))
    }
}

impl From<ErrorKind> for Content {
    fn from(kind: ErrorKind) -> Self {
        if kind == ErrorKind::NotFound { Self::Absent } else { Self::Unreadable(kind) }
    }
}

/// The SHA-256 of a file; none if it grew beyond the largest while it was read.
fn hash(mut file: File) -> io::Result<Option<[u8; 32]>> {
    let (mut sum, mut buffer, mut length) = (Context::new(&SHA256), [0; 16 << 10], 0);
    while length <= LARGEST {
        match file.read(&mut buffer) {
            Ok(0) => {
                let mut hash = [0; 32];
                hash.copy_from_slice(sum.finish().as_ref());
                return Ok(Some(hash));
            }
            Ok(read) => {
                sum.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What moves when a file is written, replaced, or made readable. Times in seconds and nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    fn of(path: &Path) -> Result<Self, ErrorKind> {
        let metadata = path.metadata().map_err(|error| error.kind())?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn changed(&self) -> SystemTime {
        time(self.changed)
    }
}

/// When the content, the name or the rights of a file changed last.
pub(super) fn changed(metadata: &Metadata) -> SystemTime {
    time((metadata.ctime(), metadata.ctime_nsec()))
}

fn time((seconds, nanoseconds): (i64, i64)) -> SystemTime {
    let whole = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    UNIX_EPOCH + whole + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_content_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut digest = Digest::new(&path);
        assert!(!digest.look(&path, true));
        fs::write(&path, "one").unwrap();
        assert!(digest.look(&path, false));
        // Written again with the same content, then with another of the same length at once: times may not have moved.
        fs::write(&path, "one").unwrap();
        assert!(!digest.look(&path, false));
        fs::write(&path, "two").unwrap();
        assert!(digest.look(&path, false));
        fs::remove_file(&path).unwrap();
        assert!(digest.look(&path, false));
    }

    #[test]
    fn folders_pipes_and_large_files_do_not_hold_it_up() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Digest::new(folder.path()).content, Content::Unreadable(ErrorKind::InvalidInput));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(Digest::new(&pipe).content, Content::Unreadable(ErrorKind::InvalidInput));
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(matches!(Digest::new(&large).content, Content::Large { length, .. } if length == LARGEST + 1));
    }
}
