//! What `breaker` of a pool says.

use std::time::Duration;

use crate::base::mode::Mode;
use crate::base::period::Period;
use crate::base::settings::{Node, Scalar, Section, Setting, Shape};

/// `breaker`: a table; `false` is none, and left out it is this with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    /// After how many errors in a row it opens. 0 to 1,000, default 5; 0 is off.
    pub errors: u32,
    /// Which part of the requests has to fail. 0 to 1, default 0.5; 0 is off.
    pub error_rate: f64,
    /// Over what time parts are counted. 1 s to 10 m, default 10 s.
    pub window: Period,
    /// How many requests there must be before a part of them says anything. 1 to 1,000,000, default 20.
    pub min_requests: u32,
    /// An answer that takes this long is slow. Up to 1 h, default 5 s; `"0s"` is off.
    pub slow: Period,
    /// Which part of the requests has to be slow. 0 to 1, default 0.5; 0 is off.
    pub slow_rate: f64,
    /// How long it is open the first time. 100 ms to 1 h, default 30 s.
    pub open: Period,
    /// How long it is open at most, after that was doubled again and again. Up to 1 d, default 5 m.
    pub max_open: Period,
    /// Whether requests are kept away, or it is only told. Default `enforce`.
    pub mode: Mode,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            errors: 5,
            error_rate: 0.5,
            window: Period::seconds(10),
            min_requests: 20,
            slow: Period::seconds(5),
            slow_rate: 0.5,
            open: Period::seconds(30),
            max_open: Period::seconds(300),
            mode: Mode::Enforce,
        }
    }
}

impl Setting for Option<BreakerSettings> {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Boolean, Shape::table(|section| _ = BreakerSettings::keys(section))])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return node.table(BreakerSettings::keys).map(Some);
        }
        match node.scalar()? {
            Scalar::Boolean(on) => Some(on.then(BreakerSettings::default)),
            Scalar::Filled(text) if text == "false" => Some(None),
            Scalar::Filled(text) if text == "true" => Some(Some(BreakerSettings::default())),
            other => node.mismatch::<Self, _>(&other),
        }
    }
}

const SHORTEST_OPEN: Period = Period(Duration::from_millis(100));

impl BreakerSettings {
    fn keys(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let errors = section
            .key("errors", "After how many errors in a row it opens: no connection, a reset, a timeout, an answer of 5xx. 0 to 1,000; 0 is off.")
            .within(0..=1_000)
            .or(default.errors);
        let error_rate = section
            .key("error_rate", "It opens where this part of the requests failed. 0.0 to 1.0; 0 is off.")
            .within(0.0..=1.0)
            .or(default.error_rate);
        let window = section
            .key("window", "Over what time these parts are counted. 1s to 10m.")
            .within(Period::seconds(1)..=Period::seconds(600))
            .or(default.window);
        let min_requests = section
            .key(
                "min_requests",
                "How many requests there must be in that time before a part of them says anything. 1 to 1,000,000.",
            )
            .within(1..=1_000_000)
            .or(default.min_requests);
        let slow = section
            .key("slow", "An answer whose head takes this long is slow. 0s is off; up to 1h.")
            .within(Period::seconds(0)..=Period::seconds(3_600))
            .or(default.slow);
        let slow_rate = section
            .key("slow_rate", "It opens where this part of the requests was slow. 0.0 to 1.0; 0 is off.")
            .within(0.0..=1.0)
            .or(default.slow_rate);
        let open = section
            .key(
                "open",
                "How long the first opening lasts; each one that follows soon lasts twice as long. 100ms to 1h.",
            )
            .within(SHORTEST_OPEN..=Period::seconds(3_600))
            .or(default.open);
        let max_open = section
            .key("max_open", "How long an opening lasts at most. Up to 1d.")
            .within(SHORTEST_OPEN..=Period::seconds(86_400))
            .or(default.max_open.max(open));
        let mode = section
            .key("mode", "\"enforce\" keeps requests away; \"observe\" only tells, counts and logs.")
            .or(default.mode);
        let settings = Self { errors, error_rate, window, min_requests, slow, slow_rate, open, max_open, mode };
        settings.check(section);
        settings
    }

    fn check(&self, section: &Section<'_>) {
        if let Some(place) = section.written("max_open").filter(|_| self.max_open < self.open) {
            let message = format!("`max_open` is shorter than `open`, which is {}", self.open);
            section.problem(place, message, "write the longest time that it is to be open, or remove `max_open`");
        }
        if !self.minds_errors() && self.slowness().is_none() && !section.is_recording() {
            let message = "nothing would open the breaker: every one of its reasons is switched off";
            section.problem(section.place(), message, "write `breaker = false`, or leave one of them on");
        }
    }

    /// Whether errors open it.
    pub(super) fn minds_errors(&self) -> bool {
        self.errors > 0 || self.error_rate > 0.0
    }

    /// What is slow, where slow answers open it.
    pub(super) fn slowness(&self) -> Option<Duration> {
        self.slow.limit().filter(|_| self.slow_rate > 0.0)
    }

    /// The width of one bucket of the window, in milliseconds.
    pub(super) fn bucket(&self) -> u64 {
        (self.window.0.as_millis() as u64 / super::window::BUCKETS as u64).max(1)
    }
}
