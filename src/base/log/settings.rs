//! What `[log]` says.

use std::path::PathBuf;

use crate::base::settings::{Node, Section, Setting, Shape, Switch, Table};

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The form of both logs. Default `text`.
    pub format: Format,
    /// The least important event that is written. Default `info`.
    pub level: Level,
    /// The access log; `None` is off. Default: standard output, every request.
    pub access: Option<Access>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::default(), level: Level::default(), access: Some(Access::default()) }
    }
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the levels are their names")]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// `log.access`: `true`, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Where lines go. Default standard output.
    pub path: Target,
    /// The share of requests that is written, 0.0 to 1.0; answers of 500 and above always are. Default 1.0.
    pub sample: f64,
}

impl Default for Access {
    fn default() -> Self {
        Self { path: Target::Stdout, sample: 1.0 }
    }
}

/// `log.access.path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `"-"`: standard output.
    Stdout,
    /// A file, appended to; reopened on SIGHUP.
    File(PathBuf),
}

impl Settings {
    /// Reads the table.
    pub fn keys(section: &mut Section<'_>) -> Self {
        section.overridden_as("LOG");
        Self {
            format: section
                .key("format", "How events and requests are written: for people, or one JSON object a line.")
                .or(Format::default()),
            level: section
                .key("level", "The least important event that is written to standard error.")
                .or(Level::default()),
            access: section
                .key("access", "The access log: true for every request on standard output, false for none, or a table.")
                .or(Switch(Some(Access::default())))
                .0,
        }
    }
}

const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

impl Setting for Format {
    fn shape() -> Shape {
        Shape::words(&FORMATS)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&FORMATS)
    }

    fn shown(&self) -> serde_json::Value {
        spelt(&FORMATS, *self)
    }
}

impl Setting for Level {
    fn shape() -> Shape {
        Shape::words(&LEVELS)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&LEVELS)
    }

    fn shown(&self) -> serde_json::Value {
        spelt(&LEVELS, *self)
    }
}

fn spelt<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> serde_json::Value {
    words.iter().find(|(_, of)| *of == value).map_or(serde_json::Value::Null, |(word, _)| (*word).into())
}

impl Table for Access {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        Some(Self {
            path: section
                .key("path", "Where lines go: \"-\" for standard output, or a file, which is reopened on SIGHUP.")
                .or(Target::Stdout),
            sample: section
                .key(
                    "sample",
                    "The share of requests that is written, 0.0 to 1.0; answers of 500 and above always are.",
                )
                .within(0.0..=1.0)
                .or(1.0),
        })
    }
}

impl Setting for Target {
    fn shape() -> Shape {
        Shape::text("a path or \"-\"", "-")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.text::<Self>()? == "-" {
            return Some(Self::Stdout);
        }
        PathBuf::read(node).map(Self::File)
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Stdout => "-".into(),
            Self::File(path) => path.shown(),
        }
    }
}
