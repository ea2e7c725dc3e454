//! What one reading of a config shares: the environment, the folders of the files, and the problems found so far.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeTable;

use super::{Environment, Problem, Section};
use crate::base::place::Place;

/// Problems kept; the rest is only counted. Bounds the memory that a hostile file can take.
const MOST: usize = 200;

/// A value from outside the files that stands in for a key: a flag or an environment variable.
#[derive(Debug)]
pub struct Override {
    /// `PORTCULLIS_LOG_LEVEL`.
    pub name: String,
    /// The text; lists are split at commas.
    pub value: String,
    /// Where it stands in the source that shows it.
    pub place: Place,
    /// Whether some key asked for it.
    pub(super) used: Cell<bool>,
}

impl Override {
    /// A value for the key that asks for `name`.
    pub fn new(name: String, value: String, place: Place) -> Self {
        Self { name, value, place, used: Cell::new(false) }
    }
}

/// One reading of a config.
#[derive(Debug, Default)]
pub struct Reader {
    environment: Environment,
    folders: Vec<PathBuf>,
    overrides: Vec<Override>,
    problems: RefCell<Vec<Problem>>,
    dropped: Cell<usize>,
}

impl Reader {
    /// A reading whose file number `n` stands in `folders[n]`. Of two `overrides` with one name the first holds.
    pub fn new(environment: Environment, folders: Vec<PathBuf>, overrides: Vec<Override>) -> Self {
        Self { environment, folders, overrides, ..Self::default() }
    }

    /// Reads the root table of file number `file`.
    pub fn root<T>(&self, file: u16, table: &Spanned<DeTable<'_>>, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        Section::root(self, file, table.get_ref(), read)
    }

    /// Keeps a problem for the end.
    pub fn report(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= MOST {
            self.dropped.set(self.dropped.get() + 1);
        } else if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Whether no further problem would be kept: work that only finds more of them may stop.
    pub fn is_full(&self) -> bool {
        self.problems.borrow().len() >= MOST
    }

    /// How many problems have been reported so far.
    pub fn count(&self) -> usize {
        self.problems.borrow().len() + self.dropped.get()
    }

    /// The overrides that no key asked for.
    pub fn unused(&self) -> impl Iterator<Item = &Override> {
        self.overrides.iter().filter(|given| !given.used.get())
    }

    /// Every problem in order of place, and how many more there were than are kept.
    pub fn finish(self) -> (Vec<Problem>, usize) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.place.map(|place| (place.file, place.start)));
        (problems, self.dropped.get())
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn folder(&self, file: u16) -> PathBuf {
        self.folders.get(usize::from(file)).cloned().unwrap_or_default()
    }

    pub(super) fn given(&self, name: &str) -> Option<&Override> {
        let mut found = None;
        for given in self.overrides.iter().filter(|given| given.name == name) {
            given.used.set(true);
            found = found.or(Some(given));
        }
        found
    }
}
