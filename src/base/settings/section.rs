//! One table of a config file, key by key. Run against a recording section, the function that reads a table yields its shape.

use std::path::PathBuf;

use toml::de::DeTable;

use super::node::{Body, joined, place};
use super::{Entry, Key, Node, Problem, Reader, Setting, Shape, suggest};
use crate::base::place::{At, Place};

/// A table that is being read.
#[derive(Debug)]
pub struct Section<'a> {
    reader: &'a Reader,
    place: Place,
    path: String,
    name: At<String>,
    origin: Origin<'a>,
    /// The keys asked for so far.
    known: Vec<&'static str>,
    /// `LOG` where `PORTCULLIS_LOG_…` overrides its keys.
    overridden: Option<&'static str>,
}

#[derive(Debug)]
enum Origin<'a> {
    /// The table stands in a file.
    Written(&'a DeTable<'a>),
    /// A short form was written for the table: it is the value of this key.
    Short(&'static str, Node<'a>),
    /// The table was left out: every key has its default or its override.
    Absent,
    /// Nothing is read: the keys asked for are recorded.
    Recorded(Vec<Entry>),
}

impl<'a> Section<'a> {
    /// One key: say with [`Key`]'s methods how it is read.
    pub fn key<T: Setting>(&mut self, name: &'static str, doc: &'static str) -> Key<'_, 'a, T> {
        Key::new(self, name, doc)
    }

    /// A table whose keys all have defaults: `read` runs on an empty table where it was left out.
    pub fn table<T>(&mut self, name: &'static str, doc: &'static str, read: impl Fn(&mut Section<'_>) -> T) -> T {
        if self.wants(name, doc, || Shape::table(|section| drop(read(section)))) {
            return self.absent(name, &read);
        }
        match self.node(name) {
            Some(node) => node.table(&read).unwrap_or_else(|| self.absent(name, &read)),
            None => self.absent(name, &read),
        }
    }

    /// `[[name]]`: a list of tables, in file order. Tables that cannot be read are left out, with a problem.
    pub fn tables<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl Fn(&mut Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        let shape = || Shape::List(Box::new(Shape::table(|section| drop(read(section)))));
        if self.wants(name, doc, shape) {
            return Vec::new();
        }
        let Some(node) = self.node(name) else { return Vec::new() };
        if node.is_table() {
            node.problem::<()>(
                format!("`[{name}]` is one table, but `{name}` is a list"),
                format!("write `[[{name}]]`"),
            );
            return Vec::new();
        }
        let elements = node.elements();
        if elements.is_empty() {
            node.problem::<()>(format!("`{name}` is empty"), format!("remove it, or write a table `[[{name}]]`"));
        }
        elements.iter().filter_map(|node| node.table(&read).flatten()).collect()
    }

    /// `[name.ANY]`: tables under names of the user's own, in file order; [`Section::name`] is the one of each.
    pub fn named<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: impl Fn(&mut Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        if self.wants(name, doc, || Shape::Map(Box::new(Shape::table(|section| drop(read(section)))))) {
            return Vec::new();
        }
        let entries = self.node(name).and_then(|node| node.entries()).unwrap_or_default();
        entries.iter().filter_map(|node| node.table(&read).flatten()).collect()
    }

    /// The key that the table stands under, and where; empty for the root.
    pub fn name(&self) -> &At<String> {
        &self.name
    }

    /// Where the table starts.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The folder of the file that the table stands in.
    pub fn folder(&self) -> PathBuf {
        self.reader.folder(self.place.file)
    }

    /// A key that has its meaning elsewhere but not here.
    pub fn misplaced(&mut self, name: &'static str, advice: &str) {
        self.ask(name);
        if let Some(place) = self.written(name) {
            let problem = Problem::error(place, format!("`{name}` cannot stand here"), advice);
            self.reader.report(problem.about(joined(&self.path, name)));
        }
    }

    /// Where the key `name` is written.
    pub fn written(&self, name: &str) -> Option<Place> {
        match &self.origin {
            Origin::Written(table) => table.get_key_value(name).map(|(key, _)| place(self.place.file, &key.span())),
            Origin::Short(key, node) => (*key == name).then_some(node.place),
            Origin::Absent | Origin::Recorded(_) => None,
        }
    }

    /// Whether nothing is read and only the shape is recorded.
    pub fn is_recording(&self) -> bool {
        matches!(self.origin, Origin::Recorded(_))
    }

    /// Reports an error of this table.
    pub fn problem(&self, place: Place, message: impl Into<String>, advice: impl Into<String>) {
        self.reader.report(Problem::error(place, message, advice).about(self.path.clone()));
    }

    /// Reports a problem of this table.
    pub fn report(&self, problem: Problem) {
        self.reader.report(problem.about(self.path.clone()));
    }

    /// Whether a key is written that nothing has asked for so far.
    pub fn has_unknown(&self) -> bool {
        match self.origin {
            Origin::Written(table) => table.iter().any(|(key, _)| !self.known.contains(&key.get_ref().as_ref())),
            Origin::Short(..) | Origin::Absent | Origin::Recorded(_) => false,
        }
    }

    /// How many problems have been found so far, in all of the config.
    pub fn problems(&self) -> usize {
        self.reader.count()
    }

    /// From here on, `PORTCULLIS_<table>_<KEY>` overrides the keys of this table.
    pub fn overridden_as(&mut self, table: &'static str) {
        self.overridden = Some(table);
    }

    /// Notes that the table has a key `name`; true where nothing is to be read because the shape is being recorded.
    fn wants(&mut self, name: &'static str, doc: &'static str, shape: impl FnOnce() -> Shape) -> bool {
        self.known.push(name);
        let recording = self.is_recording();
        if recording {
            self.note(Entry { name, doc, shape: shape(), default: None, required: false });
        }
        recording
    }

    /// Notes a key that [`Key`] reads.
    pub(super) fn ask(&mut self, name: &'static str) {
        self.known.push(name);
    }

    pub(super) fn note(&mut self, entry: Entry) {
        if let Origin::Recorded(entries) = &mut self.origin {
            entries.push(entry);
        }
    }

    /// The value of `name`: the override, or what is written.
    pub(super) fn node(&self, name: &'static str) -> Option<Node<'a>> {
        if let Some(table) = self.overridden {
            let variable = format!("PORTCULLIS_{table}_{}", name.to_ascii_uppercase());
            if let Some(node) = self.given(name, &variable) {
                return Some(node);
            }
        }
        match &self.origin {
            Origin::Written(table) => table.get_key_value(name).map(|(key, value)| self.here().entry(key, value)),
            Origin::Short(key, node) => (*key == name).then(|| node.clone()),
            Origin::Absent | Origin::Recorded(_) => None,
        }
    }

    /// The override called `variable`, as the value of `name`.
    pub(super) fn given(&self, name: &'static str, variable: &str) -> Option<Node<'a>> {
        let given = self.reader.given(variable)?;
        let (reader, place) = (self.reader, given.place);
        let name = At::new(name.to_owned(), place);
        Some(Node { reader, place, path: variable.to_owned(), name, element: false, body: Body::Given(&given.value) })
    }

    pub(super) fn record(read: impl FnOnce(&mut Section<'_>)) -> Vec<Entry> {
        let reader = Reader::default();
        let mut section = Section::new(&reader, Place::default(), Origin::Recorded(Vec::new()));
        read(&mut section);
        match section.origin {
            Origin::Recorded(entries) => entries,
            Origin::Written(_) | Origin::Short(..) | Origin::Absent => Vec::new(),
        }
    }

    pub(super) fn root<T>(
        reader: &'a Reader,
        file: u16,
        table: &'a DeTable<'a>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let mut section = Section::new(reader, Place { file, start: 0, end: 0 }, Origin::Written(table));
        section.finish(read)
    }

    pub(super) fn within<T>(node: &Node<'a>, table: &'a DeTable<'a>, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let mut section = Section::new(node.reader, node.place, Origin::Written(table));
        section.path.clone_from(&node.path);
        section.name = node.name.clone();
        section.finish(read)
    }

    /// The table whose only written key `key` is `node`.
    pub(super) fn short<T>(node: &Node<'a>, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let mut section = Section::new(node.reader, node.place, Origin::Short(key, node.clone()));
        section.path.clone_from(&node.path);
        section.name = node.name.clone();
        read(&mut section)
    }

    fn new(reader: &'a Reader, place: Place, origin: Origin<'a>) -> Self {
        Section { reader, place, path: String::new(), name: At::default(), origin, known: Vec::new(), overridden: None }
    }

    fn absent<T>(&self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let mut section = Section::new(self.reader, self.place, Origin::Absent);
        section.path = joined(&self.path, name);
        read(&mut section)
    }

    fn finish<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(self);
        self.unknown();
        value
    }

    /// Every key that nothing asked for is a problem.
    fn unknown(&self) {
        let Origin::Written(table) = self.origin else { return };
        for (key, _) in table.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref())) {
            if self.reader.is_full() {
                return;
            }
            let name = key.get_ref();
            let message = match self.path.as_str() {
                "" => format!("unknown key `{name}`"),
                path => format!("unknown key `{name}` in `{path}`"),
            };
            let advice = match suggest::closest(name, self.known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("remove it, or use one of: {}", self.known.join(", ")),
            };
            let at = place(self.place.file, &key.span());
            self.reader.report(Problem::error(at, message, advice).about(joined(&self.path, name)));
        }
    }

    fn here(&self) -> Node<'a> {
        let (reader, place, path) = (self.reader, self.place, self.path.clone());
        let body = Body::Given("");
        Node { reader, place, path, name: self.name.clone(), element: false, body }
    }
}
