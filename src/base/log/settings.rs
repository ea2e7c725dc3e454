//! What `[log]` says.

use std::path::PathBuf;

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
