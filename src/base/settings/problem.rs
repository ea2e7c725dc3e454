//! What is wrong with a config, where, and what to do about it.

use crate::base::place::Place;

/// Whether a config with this problem is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The config is refused.
    Error,
    /// The config is accepted; the operator should look at it.
    Warning,
}

/// One problem of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the config is refused for it.
    pub severity: Severity,
    /// Where it stands; absent where the problem is that nothing was written.
    pub place: Option<Place>,
    /// The key it is about, as in `route[0].timeouts.connect`; empty for problems of a whole file.
    pub path: String,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// What to do next. Lower case, no full stop; never empty.
    pub advice: String,
    /// Other places that belong to it, each with a word on why.
    pub related: Vec<(Place, String)>,
}

impl Problem {
    /// An error at `place`.
    pub fn error(place: Place, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: Some(place),
            path: String::new(),
            message: message.into(),
            advice: advice.into(),
            related: Vec::new(),
        }
    }

    /// A warning at `place`.
    pub fn warning(place: Place, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message, advice) }
    }

    /// The same problem, about the key at `path`.
    pub fn about(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The same problem, with another place that belongs to it.
    pub fn beside(mut self, place: Place, why: impl Into<String>) -> Self {
        self.related.push((place, why.into()));
        self
    }
}
