//! The texts a config was read from, and what a place in them is called.

use std::path::{Path, PathBuf};

use crate::base::place::Place;

/// Every text of one reading, by file number: the config file, its includes, then what stands for flags and environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<Source>,
    /// What `include` looked for: folder and name with a star.
    patterns: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    text: String,
    /// Where each line but the first starts.
    lines: Vec<u32>,
    /// Whether it is a file, and not the flags or the environment.
    is_file: bool,
}

impl Sources {
    /// The files that were read, or that should have been: what is to be watched.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.texts.iter().filter(|source| source.is_file).map(|source| source.path.as_path())
    }

    /// What was read of each file; empty where it could not be.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        let files = self.texts.iter().filter(|source| source.is_file);
        files.map(|source| (source.path.as_path(), source.text.as_str()))
    }

    /// What `include` looked for, as `sites/*.toml`: a new file of such a name changes the config.
    pub fn patterns(&self) -> impl Iterator<Item = &Path> {
        self.patterns.iter().map(PathBuf::as_path)
    }

    /// What the source of `place` is called.
    pub fn path(&self, place: Place) -> &Path {
        self.texts.get(usize::from(place.file)).map_or_else(|| Path::new(""), |source| &source.path)
    }

    /// The text of the source that `place` stands in.
    pub fn text(&self, place: Place) -> &str {
        self.texts.get(usize::from(place.file)).map_or("", |source| &source.text)
    }

    /// The line, counted from one, and the column in characters, counted from one.
    pub fn position(&self, place: Place) -> (usize, usize) {
        let Some(source) = self.texts.get(usize::from(place.file)) else { return (1, 1) };
        let at = source.text.len().min(place.start as usize);
        let line = source.lines.partition_point(|start| *start as usize <= at);
        let start = line.checked_sub(1).map_or(0, |before| source.lines[before] as usize);
        // Characters are counted by their first bytes.
        let column = source.text.as_bytes()[start..at].iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
        (line + 1, column + 1)
    }

    /// `config/portcullis.toml:12`.
    pub fn line(&self, place: Place) -> String {
        format!("{}:{}", self.path(place).display(), self.position(place).0)
    }

    /// Adds a file; the answer is its number. At most 65,535 are read.
    pub(super) fn add_file(&mut self, path: PathBuf, text: String) -> u16 {
        self.add(path, text, true)
    }

    /// Adds a text that is no file: what flags or the environment say.
    pub(super) fn add_text(&mut self, name: &str, text: String) -> u16 {
        self.add(name.into(), text, false)
    }

    pub(super) fn add_pattern(&mut self, pattern: PathBuf) {
        if !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
        }
    }

    /// The texts of all files, by file number.
    pub(super) fn file_texts(&self) -> impl Iterator<Item = (u16, &str)> {
        let numbered = (0u16..).zip(&self.texts);
        numbered.filter(|(_, source)| source.is_file).map(|(file, source)| (file, source.text.as_str()))
    }

    /// For each source the folder that relative paths in it start from; the working directory for what is no file.
    pub(super) fn homes(&self) -> Vec<PathBuf> {
        let home = |source: &Source| match source.is_file {
            true => source.path.parent().map(Path::to_owned).unwrap_or_default(),
            false => PathBuf::new(),
        };
        self.texts.iter().map(home).collect()
    }

    fn add(&mut self, path: PathBuf, text: String, is_file: bool) -> u16 {
        let lines = (1u32..).zip(text.bytes()).filter(|(_, byte)| *byte == b'\n').map(|(next, _)| next).collect();
        self.texts.push(Source { path, text, lines, is_file });
        u16::try_from(self.texts.len() - 1).unwrap_or(u16::MAX)
    }
}
