//! One value of a config file, with its place and its path.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::{Problem, Reader, Section, Setting, suggest};
use crate::base::place::{At, Place};

/// Entries read from one list or map, where its key says nothing else; more are refused.
pub(super) const LONGEST_LIST: usize = 10_000;

/// One value that was written: in a file, or in a variable or flag that overrides a key.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub(super) reader: &'a Reader,
    pub(super) place: Place,
    pub(super) path: String,
    /// The key it stands under.
    pub(super) name: At<String>,
    /// Whether it stands in a list.
    pub(super) element: bool,
    pub(super) body: Body<'a>,
}

/// Where the value comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    /// A file.
    Written(&'a DeValue<'a>),
    /// An override: text only, whatever the type.
    Given(&'a str),
}

/// A scalar after its variables were filled in, or the kind of what is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A string as it was written.
    Text(Cow<'a, str>),
    /// A string that holds a variable's value: it may stand for a number or a boolean as well.
    Filled(Cow<'a, str>),
    /// A whole number; absent where it is too large for any key.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// Something else, by its name.
    Other(&'static str),
}

impl<'a> Node<'a> {
    /// The key it stands under.
    pub fn key(&self) -> &str {
        &self.name.value
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.body, Body::Written(DeValue::Table(_)))
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.body, Body::Written(DeValue::Array(_)))
    }

    /// The folder that relative paths in it start from.
    pub fn folder(&self) -> PathBuf {
        self.reader.folder(self.place.file)
    }

    /// The scalar; `None` where a variable could not be filled in, which has been reported.
    pub fn scalar(&self) -> Option<Scalar<'a>> {
        let value = match self.body {
            Body::Given(text) => return Some(Scalar::Filled(Cow::Borrowed(text))),
            Body::Written(value) => value,
        };
        Some(match value {
            DeValue::String(text) => match self.reader.environment().expand(text) {
                Ok(filled) if text.contains("${") => Scalar::Filled(filled),
                Ok(plain) => Scalar::Text(plain),
                Err(error) => return self.refuse(&error),
            },
            DeValue::Integer(number) => Scalar::Integer(whole(number)),
            DeValue::Float(number) => number.as_str().parse().map_or(Scalar::Other("a number"), Scalar::Float),
            DeValue::Boolean(value) => Scalar::Boolean(*value),
            DeValue::Datetime(_) => Scalar::Other("a date"),
            DeValue::Array(_) => Scalar::Other("a list"),
            DeValue::Table(_) => Scalar::Other("a table"),
        })
    }

    /// The string, or a problem that says what `T` looks like.
    pub fn text<T: Setting>(&self) -> Option<Cow<'a, str>> {
        match self.scalar()? {
            Scalar::Text(text) | Scalar::Filled(text) => Some(text),
            other => self.mismatch::<T, _>(&other),
        }
    }

    /// The string, parsed. An error is a message and an advice, split by `; `.
    pub fn parse<T: Setting + FromStr<Err = String>>(&self) -> Option<T> {
        match self.text::<T>()?.parse() {
            Ok(value) => Some(value),
            Err(error) => self.refuse(&error),
        }
    }

    /// One of a closed set of words.
    pub fn choice<T: Setting + Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text::<T>()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let known = known.join(", ");
        let message = format!("`{text}` is not a value of `{}`", self.name.value);
        let meant = || suggest::closest(&text, words.iter().map(|(word, _)| *word));
        // Of two or three words the user had better see all.
        match (words.len() > 3).then(meant).flatten() {
            Some(meant) => self.problem(message, format!("did you mean \"{meant}\"?")),
            None => self.problem(message, format!("write one of {known}")),
        }
    }

    /// The table, read by `read`; keys that it did not ask for are problems.
    pub fn table<T>(&self, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        let Body::Written(DeValue::Table(table)) = self.body else {
            let advice = format!("write `[{0}]` on a line of its own and the keys below it", self.name.value);
            return self.problem(format!("`{}` must be a table", self.name.value), advice);
        };
        Some(Section::within(self, table, read))
    }

    /// The short form of a table: read as the table that has this value for `key` and nothing else.
    pub fn short<T>(&self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        Section::short(self, key, read)
    }

    /// A part of a string, as a value that stands in the same place.
    pub fn given<'t>(&self, text: &'t str) -> Node<'t>
    where
        'a: 't,
    {
        let (reader, place, path, name) = (self.reader, self.place, self.path.clone(), self.name.clone());
        Node { reader, place, path, name, element: false, body: Body::Given(text) }
    }

    /// The entries of a list; a single value is a list of one.
    pub fn elements(&self) -> Vec<Self> {
        self.elements_up_to(LONGEST_LIST)
    }

    /// The same of a list that may be longer, or has to be shorter, than others.
    pub(super) fn elements_up_to(&self, most: usize) -> Vec<Self> {
        let one = |place, path, body| Self { place, path, body, element: true, ..self.clone() };
        match self.body {
            Body::Given(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(|part| one(self.place, self.path.clone(), Body::Given(part))).collect()
            }
            Body::Written(DeValue::Array(array)) => {
                self.too_many(array.len(), most);
                let entries = array.iter().take(most).enumerate();
                let entry = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
                    let path = format!("{}[{index}]", self.path);
                    one(self.at(value), path, Body::Written(value.get_ref()))
                };
                entries.map(entry).collect()
            }
            Body::Written(_) => vec![self.clone()],
        }
    }

    /// The entries of a table whose keys are the user's own, in file order.
    pub fn entries(&self) -> Option<Vec<Self>> {
        let Body::Written(DeValue::Table(table)) = self.body else {
            let advice = format!("write `{} = {{ name = … }}`", self.name.value);
            return self.problem(format!("`{}` must be a table of names", self.name.value), advice);
        };
        self.too_many(table.len(), LONGEST_LIST);
        let mut entries: Vec<Self> =
            table.iter().take(LONGEST_LIST).map(|(key, value)| self.entry(key, value)).collect();
        entries.sort_by_key(|entry| entry.name.place.start);
        Some(entries)
    }

    /// Reports a problem here.
    pub fn problem<T>(&self, message: impl Into<String>, advice: impl Into<String>) -> Option<T> {
        self.reader.report(Problem::error(self.place, message, advice).about(self.path.clone()));
        None
    }

    /// Reports `error`, a message and an advice split by `; `.
    pub fn refuse<T>(&self, error: &str) -> Option<T> {
        let (message, advice) = error.rsplit_once("; ").unwrap_or((error, "correct the value"));
        self.problem(message, advice)
    }

    /// Reports that `found` stands where a `T` is wanted.
    pub fn mismatch<T: Setting, R>(&self, found: &Scalar<'_>) -> Option<R> {
        let shape = T::shape();
        let subject = if self.element { "an entry of " } else { "" };
        let message = format!("{subject}`{}` must be {}, not {}", self.name.value, shape.described(), found.kind());
        let example = shape.example();
        let advice = match self.element {
            true => format!("write each entry like this: {example}"),
            false => format!("write it like this: `{} = {example}`", self.name.value),
        };
        self.problem(message, advice)
    }

    pub(super) fn entry(&self, key: &'a Spanned<Cow<'a, str>>, value: &'a Spanned<DeValue<'a>>) -> Self {
        let (reader, file) = (self.reader, self.place.file);
        let path = joined(&self.path, key.get_ref());
        let name = At::new(key.get_ref().to_string(), place(file, &key.span()));
        Self { reader, place: self.at(value), path, name, element: false, body: Body::Written(value.get_ref()) }
    }

    fn at(&self, value: &Spanned<DeValue<'_>>) -> Place {
        place(self.place.file, &value.span())
    }

    fn too_many(&self, count: usize, most: usize) {
        if count > most {
            let message = format!("`{}` has {count} entries", self.name.value);
            self.problem::<()>(message, format!("keep it to {most} at most"));
        }
    }
}

impl Scalar<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Filled(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(true) => "true",
            Self::Boolean(false) => "false",
            Self::Other(kind) => kind,
        }
    }
}

/// The path of key `name` in the table at `path`.
pub(super) fn joined(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A span of file number `file`. Files are at most 8 MiB, so that every offset fits.
pub(super) fn place(file: u16, span: &Range<usize>) -> Place {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Place { file, start: offset(span.start), end: offset(span.end) }
}

fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
