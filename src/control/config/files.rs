//! The files of a config: the one that was named, and those it includes.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::draft::includes;
use super::pattern::Pattern;
use super::sources::Sources;
use super::syntax;
use crate::base::place::{At, Place};
use crate::base::settings::{Environment, Problem, Reader};

/// The largest file that is read, in bytes.
pub(super) const LARGEST: usize = 8 << 20;
/// All files together, in bytes.
const LARGEST_SUM: usize = 64 << 20;
/// The most files that are included.
const MOST: usize = 1_000;

/// The text of the file at `path` and of those it includes, and what could not be read.
pub(super) fn read(path: &Path, environment: &Environment) -> (Sources, Vec<Problem>) {
    let mut sources = Sources::default();
    let start = Place::default();
    match text(path) {
        Ok(main) => sources.add_file(path.to_owned(), main),
        Err(error) => {
            sources.add_file(path.to_owned(), String::new());
            return (sources, vec![unreadable(start, &error, MAIN_ADVICE)]);
        }
    };
    let mut including = Including { sources, problems: Vec::new(), sum: 0 };
    for pattern in patterns(path, including.sources.text(start), environment) {
        including.add(path.parent().unwrap_or_else(|| Path::new("")), &pattern);
    }
    (including.sources, including.problems)
}

const MAIN_ADVICE: &str =
    "name another with `-c FILE`, start from config/minimal.toml, or run `portcullis demo`, which needs no file";

/// What `include` says. Problems of the file are told when all of it is read.
fn patterns(path: &Path, main: &str, environment: &Environment) -> Vec<At<String>> {
    let Ok(document) = syntax::parse(0, main) else { return Vec::new() };
    let home = path.parent().map(Path::to_owned).unwrap_or_default();
    let reader = Reader::new(environment.clone(), vec![home], Vec::new());
    reader.root(0, &document, |section| includes(section, ""))
}

struct Including {
    sources: Sources,
    problems: Vec<Problem>,
    sum: usize,
}

impl Including {
    /// Adds the files that `pattern`, relative to `home`, names.
    fn add(&mut self, home: &Path, pattern: &At<String>) {
        let whole = home.join(&pattern.value);
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = whole.parent().map(Path::to_owned).unwrap_or_default();
        if folder.to_string_lossy().contains('*') || name.matches('*').count() > 1 {
            let message = format!("`{}` has a star in the wrong place", pattern.value);
            return self.problem(Problem::error(
                pattern.place,
                message,
                "write one `*` in the last part: \"sites/*.toml\"",
            ));
        }
        if !name.contains('*') {
            return self.file(&whole, pattern.place);
        }
        self.sources.add_pattern(whole.clone());
        let found = match Pattern::new(&whole).files() {
            Ok(found) => found,
            Err(error) => {
                let message = format!("the folder `{}` cannot be read: {error}", folder.display());
                return self.problem(Problem::error(pattern.place, message, "create it, or correct the path"));
            }
        };
        if found.is_empty() {
            let message = format!("`{}` matches no file", pattern.value);
            self.problem(Problem::warning(pattern.place, message, "add one, or remove the pattern"));
        }
        found.iter().for_each(|path| self.file(path, pattern.place));
    }

    fn file(&mut self, path: &Path, place: Place) {
        if self.sources.files().any(|read| read == path) {
            return;
        }
        let count = self.sources.files().count();
        if count > MOST || self.sum > LARGEST_SUM {
            let message = format!("more than {MOST} files, or 64 MiB, are included");
            return self.problem(Problem::error(place, message, "join some of them, or narrow the pattern"));
        }
        match text(path) {
            Ok(text) => {
                self.sum += text.len();
                self.sources.add_file(path.to_owned(), text);
            }
            Err(error) => {
                self.sources.add_file(path.to_owned(), String::new());
                let problem = unreadable(place, &error, "correct the path, or make the file readable");
                let message = format!("`{}` cannot be included: {}", path.display(), problem.message);
                self.problem(Problem { message, ..problem });
            }
        }
    }

    fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// The text of one file, bounded.
fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // A pipe must not hold up the thread until somebody writes to it, and a device may never end.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    file.take(LARGEST as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn unreadable(place: Place, error: &io::Error, advice: &str) -> Problem {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "the file may not be read by this user".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder, not a file".to_owned(),
        io::ErrorKind::Unsupported => "this is not a file but a pipe or a device".to_owned(),
        io::ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    Problem::error(place, message, advice)
}
