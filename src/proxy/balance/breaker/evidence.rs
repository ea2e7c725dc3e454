//! Why a breaker did what it did: the requests that it went by, kept for those who look later.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::{BreakerSettings, State};

/// How many bad answers are remembered of one endpoint.
const MOST_RECENT: usize = 16;

/// How many changes of state are remembered of one breaker.
const MOST_CHANGES: usize = 8;

/// How many requests a log line names.
const MOST_NAMED: usize = 5;

/// What a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// An answer with this status.
    Status(u16),
    /// No answer, or none that was complete, or one that says that nobody is there: the reason by its name.
    Fault(&'static str),
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Fault(reason) => f.write_str(reason),
        }
    }
}

/// One request that was answered badly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// When.
    pub at: Instant,
    /// What it got.
    pub got: Got,
    /// After what time.
    pub took: Duration,
    /// Whether that is an error.
    pub error: bool,
    /// Whether that took too long.
    pub slow: bool,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// So many errors in a row.
    Errors(u32),
    /// Of so many requests in the window, so many failed.
    Failed {
        /// Those that did.
        errors: u32,
        /// All of them.
        of: u32,
        /// The window.
        within: Duration,
    },
    /// Of so many requests in the window, so many took too long.
    Slow {
        /// Those that did.
        slow: u32,
        /// All of them.
        of: u32,
        /// The window.
        within: Duration,
        /// What is too long.
        limit: Duration,
    },
    /// A probe failed.
    Probe,
    /// It was open for as long as it was to be.
    TimeIsOver,
    /// All probes were answered well.
    Recovered,
    /// It was to let probes through while as many others are open as may be.
    OverTheCap,
    /// The config has no breaker for this endpoint any more.
    SwitchedOff,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors(errors) => write!(f, "{errors} errors in a row"),
            Self::Failed { errors, of, within } => {
                write!(f, "{errors} of {of} requests failed within {within:?}")
            }
            Self::Slow { slow, of, within, limit } => {
                write!(f, "{slow} of {of} requests took {limit:?} or more within {within:?}")
            }
            Self::Probe => f.write_str("a probe failed"),
            Self::TimeIsOver => f.write_str("its time is over, a probe is sent"),
            Self::Recovered => f.write_str("all probes were answered"),
            Self::OverTheCap => f.write_str("its time is over while as many others are open as may be"),
            Self::SwitchedOff => f.write_str("switched off"),
        }
    }
}

/// One change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it became.
    pub to: State,
    /// When.
    pub at: Instant,
    /// Why.
    pub why: Why,
    /// The requests that it went by, the oldest first.
    pub evidence: Vec<Evidence>,
}

/// The last bad answers of one endpoint. Nothing is allocated for one that has none.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Evidence>);

impl Recent {
    pub(super) fn note(&mut self, evidence: Evidence) {
        if self.0.len() == MOST_RECENT {
            self.0.pop_front();
        }
        self.0.push_back(evidence);
    }

    /// Those that stand behind `why` at `now`. All are forgotten.
    pub(super) fn take(&mut self, why: Why, settings: &BreakerSettings, now: Instant) -> Vec<Evidence> {
        let all = std::mem::take(&mut self.0);
        let lately = |one: &Evidence| now.saturating_duration_since(one.at) <= settings.window.0;
        match why {
            Why::Errors(count) => {
                let errors: Vec<Evidence> = all.into_iter().filter(|one| one.error).collect();
                let first = errors.len().saturating_sub(count as usize);
                errors.into_iter().skip(first).collect()
            }
            Why::Failed { .. } => all.into_iter().filter(|one| one.error && lately(one)).collect(),
            Why::Slow { .. } => all.into_iter().filter(|one| one.slow && lately(one)).collect(),
            Why::Probe => all.into_iter().next_back().into_iter().collect(),
            Why::TimeIsOver | Why::Recovered | Why::OverTheCap | Why::SwitchedOff => Vec::new(),
        }
    }
}

/// The last changes of one breaker, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Change>);

impl History {
    pub(super) fn add(&mut self, change: Change) {
        if self.0.len() == MOST_CHANGES {
            self.0.pop_front();
        }
        self.0.push_back(change);
    }

    pub(super) fn list(&self) -> Vec<Change> {
        self.0.iter().cloned().collect()
    }
}

/// Evidence in a line of the log.
pub(super) fn in_short(evidence: &[Evidence]) -> String {
    let named = evidence.iter().rev().take(MOST_NAMED).rev();
    let mut text =
        named.map(|one| format!("{} after {}ms", one.got, one.took.as_millis())).collect::<Vec<_>>().join(", ");
    if evidence.len() > MOST_NAMED {
        text = format!("{} before, {text}", evidence.len() - MOST_NAMED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(at: Instant, status: u16, slow: bool) -> Evidence {
        Evidence { at, got: Got::Status(status), took: Duration::from_millis(7), error: status >= 500, slow }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_fits_the_reason() {
        let (start, settings) = (Instant::now(), BreakerSettings::default());
        let recent = || {
            let mut recent = Recent::default();
            (0..100).for_each(|number| recent.note(evidence(start, 500 + number, false)));
            recent.note(evidence(start + Duration::from_secs(60), 200, true));
            recent.note(evidence(start + Duration::from_secs(61), 599, true));
            recent
        };
        let now = start + Duration::from_secs(65);
        let statuses = |why| recent().take(why, &settings, now).iter().map(|one| one.got).collect::<Vec<_>>();
        assert_eq!(statuses(Why::Errors(2)), [Got::Status(599), Got::Status(599)]);
        assert_eq!(statuses(Why::Errors(100)).len(), MOST_RECENT - 1, "as many as there are");
        let within = Duration::from_secs(10);
        assert_eq!(statuses(Why::Failed { errors: 1, of: 2, within }), [Got::Status(599)]);
        let slow = statuses(Why::Slow { slow: 2, of: 2, within, limit: within });
        assert_eq!(slow, [Got::Status(200), Got::Status(599)]);
        assert_eq!(statuses(Why::Probe), [Got::Status(599)]);
        assert_eq!(statuses(Why::Recovered), []);
    }

    #[test]
    fn a_line_names_the_last_ones() {
        let mut all: Vec<Evidence> = (0..7).map(|number| evidence(Instant::now(), 500 + number, false)).collect();
        all[6].got = Got::Fault("connect_failed");
        let text = in_short(&all);
        assert!(text.starts_with("2 before, 502 after 7ms, 503 ") && text.ends_with(", connect_failed after 7ms"));
        assert_eq!(in_short(&all[..1]), "500 after 7ms");
        assert_eq!(in_short(&[]), "");
    }

    #[test]
    fn the_last_changes_are_kept() {
        let mut history = History::default();
        let at = Instant::now();
        for errors in 0..20 {
            history.add(Change { to: State::Open, at, why: Why::Errors(errors), evidence: Vec::new() });
        }
        let list = history.list();
        assert_eq!((list.len(), list[0].why), (MOST_CHANGES, Why::Errors(12)));
    }
}
