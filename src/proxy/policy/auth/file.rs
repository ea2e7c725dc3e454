//! Reading a file that is watched: bounded, never blocking on what is no file.

use std::fs::{File, metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than any list of users or keys needs.
const LARGEST: u64 = 1 << 20;

/// What is wrong with a file. The message names the file and, behind its last semicolon, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {what}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct Broken {
    file: PathBuf,
    line: Option<usize>,
    /// What is wrong, `; ` and what to do.
    what: String,
}

impl Broken {
    /// The whole file is.
    pub(super) fn file(file: &Path, what: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, what: what.into() }
    }

    /// The line is, counted from one.
    pub(super) fn line(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.into(), line: Some(line), what: what.into() }
    }
}

/// Reads a file of at most [`LARGEST`] bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Broken> {
    let failed = |error: io::Error| {
        Broken::file(
            path,
            match error.kind() {
                io::ErrorKind::NotFound => "no such file; write the path of an existing file".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "permission denied; let the user that runs the gateway read it".to_owned()
                }
                _ => format!("cannot be read: {error}; write the path of a readable file"),
            },
        )
    };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !metadata(path).map_err(failed)?.is_file() {
        return Err(Broken::file(path, "not a file; write the path of a file"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Broken::file(path, "larger than 1 MiB; keep it to what is needed"));
    }
    Ok(bytes)
}
