//! Where lines end up: a stream that may fail at any time and come back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::settings::Target;

/// How long a target that failed is left alone. Lines until then are dropped.
const RETRY: Duration = Duration::from_secs(5);

/// What is worth telling about a write.
#[derive(Debug)]
pub(super) enum News {
    /// The target fails from now on.
    Failed(io::Error),
    /// The target works again; so many lines were lost in between.
    Recovered(u64),
}

/// One target and its state.
pub(super) struct Sink {
    target: Target,
    out: Option<File>,
    retry_at: Option<Instant>,
    /// The last write ended within a line, as on a full disk: the next one starts a new line.
    torn: bool,
    lost: u64,
}

impl Sink {
    /// Opened with the first write.
    pub(super) fn new(target: Target) -> Self {
        Self { target, out: None, retry_at: None, torn: false, lost: 0 }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Opens the target anew with the next write: after a file was moved away, or disk space was made.
    pub(super) fn reopen(&mut self) {
        self.out = None;
        self.torn = false;
        self.retry_at = None;
    }

    /// Writes whole lines. Returns how many were dropped, and what has changed.
    pub(super) fn write(&mut self, lines: &[u8], now: Instant) -> (u64, Option<News>) {
        let failing = self.lost > 0;
        if self.retry_at.is_some_and(|at| now < at) {
            return (self.lose(lines), None);
        }
        match self.try_write(lines) {
            Ok(()) => {
                self.retry_at = None;
                (0, failing.then(|| News::Recovered(std::mem::take(&mut self.lost))))
            }
            Err((error, rest)) => {
                self.out = None;
                self.retry_at = Some(now + RETRY);
                (self.lose(rest), (!failing).then_some(News::Failed(error)))
            }
        }
    }

    fn lose(&mut self, lines: &[u8]) -> u64 {
        let lines = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.lost += lines;
        lines
    }

    /// On failure, what has not been written.
    fn try_write<'a>(&mut self, lines: &'a [u8]) -> Result<(), (io::Error, &'a [u8])> {
        let out = match &mut self.out {
            Some(out) => out,
            None => self.out.insert(open(&self.target).map_err(|error| (error, lines))?),
        };
        if self.torn {
            out.write_all(b"\n").map_err(|error| (error, lines))?;
            self.torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match out.write(rest) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), rest)),
                Ok(written) => {
                    self.torn = rest.get(written - 1) != Some(&b'\n');
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, rest)),
            }
        }
        Ok(())
    }
}

/// Standard output without the buffer of `std`, or the file, created 0640.
fn open(target: &Target) -> io::Result<File> {
    match target {
        Target::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        Target::File(path) => OpenOptions::new().append(true).create(true).mode(0o640).open(path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_created_for_its_group_and_reopened_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let mut sink = Sink::new(Target::File(path.clone()));
        let now = Instant::now();
        assert!(matches!(sink.write(b"one\n", now), (0, None)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
        fs::rename(&path, &moved).unwrap();
        sink.write(b"two\n", now);
        sink.reopen();
        sink.write(b"three\n", now);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_failing_target_is_told_once_counted_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("access.log");
        let mut sink = Sink::new(Target::File(path.clone()));
        let now = Instant::now();
        assert!(matches!(sink.write(b"one\ntwo\n", now), (2, Some(News::Failed(_)))));
        fs::create_dir(path.parent().unwrap()).unwrap();
        assert!(matches!(sink.write(b"three\n", now), (1, None)));
        assert!(matches!(sink.write(b"four\n", now + RETRY), (0, Some(News::Recovered(3)))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn a_full_disk_is_a_failing_target() {
        let mut sink = Sink::new(Target::File("/dev/full".into()));
        let now = Instant::now();
        let (dropped, news) = sink.write(b"one\n", now);
        assert_eq!(dropped, 1);
        assert!(matches!(news, Some(News::Failed(error)) if error.kind() == io::ErrorKind::StorageFull));
        assert!(matches!(sink.write(b"two\n", now + RETRY), (1, None)));
    }
}
