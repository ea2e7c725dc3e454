//! Watches what a backend sends: notes what there is to know, and ends a connection whose backend sends more of what no answer needs
//! than a request of ours could have caused.

use std::io;
use std::task::Poll;
use std::time::Duration;

use super::pings::Pings;
use crate::base::alarm::Moment;
use crate::proxy::fault::Fault;
use crate::proxy::http::h2::budget::Budget;
use crate::proxy::http::h2::frames::{Frame, Kind, Seen};
use crate::proxy::http::h2::wire::Watch;

/// How many heads and resets one request of ours pays for: interim answers, the answer, trailers, the end.
const PER_REQUEST: u32 = 20;

/// How many window updates and pings.
const ANSWERS_PER_REQUEST: u32 = 3;

/// What is saved up of heads and resets: those of as many streams as there are at once.
const MOST_HEADS: u32 = 2_000;

/// What has been seen of a connection to a backend.
#[derive(Default)]
pub(super) struct Guard {
    account: Account,
    now: Option<Moment>,
    heard: bool,
    leaving: bool,
    overdrawn: bool,
    /// The backend's first SETTINGS hold: `h2` has acknowledged them.
    pub(super) settled: bool,
    /// Whether the backend may be asked for a sign of life.
    pub(super) pings: Pings,
}

impl Guard {
    /// Whether anything was read, and whether a GOAWAY was, since this was last asked.
    pub(super) fn take_news(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.heard), std::mem::take(&mut self.leaving))
    }
}

impl Watch for Guard {
    const MOST_OUTPUT: usize = 128 << 10;

    fn begin(&mut self, now: Moment, passed: Duration) {
        self.now = Some(now);
        self.account.budget.earn(passed);
    }

    fn received(&mut self, seen: Seen<'_>) {
        self.heard = true;
        let Seen::Frame(frame) = seen else { return };
        self.leaving |= frame.kind == Kind::GoAway;
        self.pings.received(frame);
        self.overdrawn |= !self.account.pay(frame);
    }

    fn sent(&mut self, seen: Seen<'_>) {
        let Seen::Frame(frame) = seen else { return };
        self.settled |= frame.kind == Kind::Settings && frame.is_ack();
        self.account.sent(frame);
        self.pings.sent(frame, self.now);
    }

    fn poll_reads(&self) -> Poll<io::Result<()>> {
        Poll::Ready(if self.overdrawn { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) })
    }
}

/// What a backend may still send that no answer needs. What our requests and their bodies cause is paid for by them.
#[derive(Default)]
struct Account {
    budget: Budget,
    heads: u32,
}

impl Account {
    /// A frame from the backend. Whether it could be paid.
    fn pay(&mut self, frame: Frame) -> bool {
        match frame.kind {
            Kind::Headers | Kind::Reset if self.heads > 0 => {
                self.heads -= 1;
                true
            }
            Kind::Headers => self.budget.spend(1),
            // `h2` bounds how many one head may have.
            Kind::Continuation => true,
            _ => self.budget.pay(frame),
        }
    }

    /// A frame of ours.
    fn sent(&mut self, frame: Frame) {
        self.budget.sent(frame);
        if frame.kind == Kind::Headers {
            self.heads = (self.heads + PER_REQUEST).min(MOST_HEADS);
            self.budget.credit(ANSWERS_PER_REQUEST);
        }
    }
}

/// A backend that breaks the protocol or floods us, or one that is gone.
pub(super) fn fault_of(error: &h2::Error) -> Fault {
    let flood = error.get_io().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
    if error.is_library() || flood { Fault::BackendMalformed } else { Fault::BackendReset }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::h2::frames::Frames;

    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8) -> Frame {
        let mut found = None;
        Frames::after(0).pass(&[0, 0, 4, kind, 4, 0, 0, 0, 1], |seen| match seen {
            Seen::Frame(frame) => found = Some(frame),
            Seen::Payload(_) => {}
        });
        found.unwrap()
    }

    fn affordable(account: &mut Account, kind: u8) -> u32 {
        (0..1_000_000).take_while(|_| account.pay(frame(kind))).count() as u32
    }

    #[test]
    fn a_million_exchanges_cost_nothing() {
        let mut account = Account::default();
        for number in 0..1_000_000 {
            account.sent(frame(HEADERS));
            let costs = [HEADERS, HEADERS, RESET, WINDOW_UPDATE, WINDOW_UPDATE, PING];
            assert!(costs.iter().all(|kind| account.pay(frame(*kind))), "{number}");
        }
    }

    #[test]
    fn heads_and_resets_that_nobody_asked_for_run_out() {
        assert_eq!(affordable(&mut Account::default(), HEADERS), 1_000);
        assert_eq!(affordable(&mut Account::default(), RESET), 500);
        assert_eq!(affordable(&mut Account::default(), PING), 1_000);
        let mut account = Account::default();
        (0..1_000_000).for_each(|_| account.sent(frame(HEADERS)));
        assert_eq!(affordable(&mut account, HEADERS), MOST_HEADS + 1_000, "what is saved up has a bound");
    }
}
