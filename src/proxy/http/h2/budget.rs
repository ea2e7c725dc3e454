//! The budget of oddities: what a client may do that costs us and that no request needs.
//!
//! One bucket per connection. Window updates and pings that answer what we have sent are paid for by that; resets are the
//! dearest, since each may have started and thrown away an exchange (CVE-2023-44487 and its heirs).

use std::time::Duration;

use super::frames::{Frame, Kind};

/// What a connection may spend at once.
const MOST: u32 = 1_000;

/// What it earns in a second.
const PER_SECOND: u32 = 200;

/// How many window updates or pings one DATA frame of ours pays for: one each for stream and connection, and a measurement.
const PER_DATA_FRAME: u32 = 3;

/// What is saved up for those at most: an answer to a whole large window may come at once.
const MOST_ANSWERS: u32 = 100_000;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    answers: u32,
    /// Parts of a second that have not earned anything yet, in thousandths of a unit.
    rest: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: MOST, answers: 0, rest: 0 }
    }
}

impl Budget {
    /// A frame from the client. Whether it could be paid.
    pub(super) fn pay(&mut self, frame: Frame) -> bool {
        let price = match frame.kind {
            Kind::WindowUpdate | Kind::Ping if self.answers > 0 && !frame.is_ack() => {
                self.answers -= 1;
                0
            }
            Kind::Data if frame.length > 0 || frame.ends_stream() => 0,
            Kind::Headers => 0,
            Kind::Data | Kind::Settings | Kind::Continuation => 4,
            Kind::Reset => 2,
            Kind::Priority | Kind::Ping | Kind::GoAway | Kind::WindowUpdate | Kind::Other => 1,
        };
        self.spend(price)
    }

    /// Whether that much was left; then it is spent.
    pub(super) fn spend(&mut self, price: u32) -> bool {
        let left = self.left.checked_sub(price);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// A frame of ours.
    pub(super) fn sent(&mut self, frame: Frame) {
        if frame.kind == Kind::Data {
            self.credit(PER_DATA_FRAME);
        }
    }

    /// Pays for so many window updates or pings ahead.
    pub(super) fn credit(&mut self, answers: u32) {
        self.answers = (self.answers + answers).min(MOST_ANSWERS);
    }

    /// Time has passed.
    pub(super) fn earn(&mut self, passed: Duration) {
        let passed = passed.as_millis().min(60_000) as u32;
        let earned = self.rest + passed * PER_SECOND;
        self.rest = earned % 1_000;
        self.left = (self.left + earned / 1_000).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::h2::frames::{Frames, Seen};

    fn frame(kind: u8, flags: u8, length: u8) -> Frame {
        let mut found = None;
        Frames::after(0).pass(&[0, 0, length, kind, flags, 0, 0, 0, 1], |seen| {
            if let Seen::Frame(frame) = seen {
                found = Some(frame);
            }
        });
        found.unwrap()
    }

    fn affordable(frame: Frame) -> usize {
        let mut budget = Budget::default();
        (0..100_000).take_while(|_| budget.pay(frame)).count()
    }

    #[test]
    fn floods_end() {
        for (name, kind, most) in [
            ("PRIORITY", 2, 1000),
            ("RST_STREAM", 3, 500),
            ("SETTINGS", 4, 250),
            ("PING", 6, 1000),
            ("unknown", 77, 1000),
        ] {
            assert_eq!(affordable(frame(kind, 0, 4)), most, "{name}");
        }
        assert_eq!(affordable(frame(8, 0, 4)), 1000, "WINDOW_UPDATE for nothing");
        assert_eq!(affordable(frame(0, 0, 0)), 250, "empty DATA");
        assert_eq!(affordable(frame(9, 0, 10)), 250, "CONTINUATION");
    }

    #[test]
    fn requests_and_their_bodies_cost_nothing() {
        for free in [frame(1, 5, 30), frame(0, 0, 30), frame(0, 1, 0)] {
            assert_eq!(affordable(free), 100_000);
        }
    }

    #[test]
    fn a_download_pays_for_its_window_updates() {
        let mut budget = Budget::default();
        for _ in 0..1_000_000 {
            budget.sent(frame(0, 0, 255));
            assert!(budget.pay(frame(8, 0, 4)) && budget.pay(frame(8, 0, 4)) && budget.pay(frame(6, 0, 8)));
        }
    }

    #[test]
    fn time_earns_up_to_the_most() {
        let mut budget = Budget::default();
        while budget.pay(frame(2, 0, 5)) {}
        for _ in 0..1_000 {
            budget.earn(Duration::from_millis(1));
        }
        assert_eq!(budget.left, PER_SECOND);
        budget.earn(Duration::from_secs(3600));
        assert_eq!(budget.left, MOST);
    }
}
