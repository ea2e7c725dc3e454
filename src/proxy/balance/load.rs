//! What one endpoint bears and how it answers, as all workers share it: a few numbers, no lock. Time is told to it.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

use super::peak::Peak;

/// The longest that a backend's own `Retry-After` keeps requests away: it may be wrong, or meant for one client only.
const MOST_HELD: Duration = Duration::from_secs(60);

/// How many ticks a second has.
pub(super) const TICKS: u32 = 64;

/// What is measured of the answers, for the algorithm of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Measures {
    /// Nothing: the algorithm does not ask.
    #[default]
    Nothing,
    /// Response times that rise at once and fall slowly.
    Peak,
    /// Mean response times and the share of errors.
    Share,
}

/// What became of one request at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The head of an answer came.
    Answered {
        /// Its status.
        status: u16,
        /// How long its `Retry-After` asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// There was none, or it broke off, for a reason of the endpoint's.
    Failed,
    /// The client went away, or was at fault, before there was one.
    Left,
}

impl Outcome {
    fn is_bad(self) -> bool {
        match self {
            Self::Answered { status, .. } => status >= 500 || status == 429,
            Self::Failed => true,
            Self::Left => false,
        }
    }
}

/// The numbers. On cache lines of their own: every request writes them, and what lies beside them is only read.
#[derive(Debug)]
#[repr(align(128))]
pub struct Load {
    /// Requests in flight.
    active: AtomicU32,
    /// The tick until which it asked to be left alone.
    held: AtomicU32,
    /// Its response time, as [`Peak`] packs it.
    peak: AtomicU64,
    /// Answers and failures since they were last taken into account: all of them, and in the upper half those that were bad.
    counts: AtomicU64,
    /// The response times of those that were answers, together, in microseconds, and how many they are.
    micros: AtomicU64,
    timed: AtomicU32,
    /// What `adaptive` has made of it, as bits of `f32`: its mean response time in microseconds (0 where there is none yet), its
    /// share of errors, and the part of its weight that it gets.
    mean: AtomicU32,
    errors: AtomicU32,
    factor: AtomicU32,
    born: Instant,
}

/// What was counted since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Window {
    pub(super) count: u32,
    pub(super) bad: u32,
    /// The mean response time in microseconds, where there was an answer that was timed.
    pub(super) mean: Option<f32>,
}

/// What `adaptive` knows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Averages {
    /// The mean response time in microseconds; 0 where there is none yet.
    pub(super) mean: f32,
    /// The share of errors, 0 to 1.
    pub(super) errors: f32,
}

impl Load {
    pub(super) fn new(born: Instant) -> Self {
        Self {
            active: AtomicU32::new(0),
            held: AtomicU32::new(0),
            peak: AtomicU64::new(0),
            counts: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            timed: AtomicU32::new(0),
            mean: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            factor: AtomicU32::new(1_f32.to_bits()),
            born,
        }
    }

    /// Requests in flight, over all workers.
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// One more. How many there were.
    pub(super) fn add(&self) -> u32 {
        self.active.fetch_add(1, Relaxed)
    }

    pub(super) fn subtract(&self) {
        // Before whoever waits for room is looked for.
        self.active.fetch_sub(1, SeqCst);
    }

    /// Takes into account what became of a request that began `took` before `now`.
    pub fn learn(&self, measures: Measures, outcome: Outcome, took: Duration, now: Instant) {
        let micros = took.as_secs_f32() * 1e6;
        match measures {
            Measures::Nothing => {}
            Measures::Peak => {
                let tick = self.tick(now);
                // What is written meanwhile by another worker is looked at again.
                let _ = self.peak.fetch_update(Relaxed, Relaxed, |bits| {
                    let peak = Peak::unpack(bits);
                    let learnt = match outcome {
                        Outcome::Left => peak.at_least(micros, tick),
                        _ if outcome.is_bad() => peak.punished(micros, tick),
                        _ => peak.observed(micros, tick),
                    };
                    Some(learnt.pack())
                });
                if let Outcome::Answered { status: 429 | 503, retry_after: Some(asked) } = outcome {
                    let ticks = asked.min(MOST_HELD).as_secs_f32() * TICKS as f32;
                    self.held.store(tick.wrapping_add(ticks as u32), Relaxed);
                }
            }
            Measures::Share if outcome == Outcome::Left => {}
            Measures::Share => {
                self.counts.fetch_add(1 | u64::from(outcome.is_bad()) << 32, Relaxed);
                if matches!(outcome, Outcome::Answered { .. }) {
                    self.micros.fetch_add(micros as u64, Relaxed);
                    self.timed.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// Its response time at `now`, in microseconds; 0 where nothing is known of it, or what is known is long ago.
    pub(super) fn response_time(&self, now: Instant) -> f32 {
        Peak::unpack(self.peak.load(Relaxed)).value(self.tick(now))
    }

    /// Whether it has asked to be left alone until after `now`.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        let held = self.held.load(Relaxed);
        // Most never ask.
        held != 0 && since(held, self.tick(now)) > 0
    }

    /// Takes what was counted.
    pub(super) fn take_window(&self) -> Window {
        let counts = self.counts.swap(0, Relaxed);
        let (micros, timed) = (self.micros.swap(0, Relaxed), self.timed.swap(0, Relaxed));
        let mean = (timed > 0).then(|| micros as f32 / timed as f32);
        Window { count: counts as u32, bad: (counts >> 32) as u32, mean }
    }

    pub(super) fn averages(&self) -> Averages {
        Averages { mean: float(&self.mean), errors: float(&self.errors) }
    }

    pub(super) fn set_averages(&self, averages: Averages) {
        self.mean.store(averages.mean.to_bits(), Relaxed);
        self.errors.store(averages.errors.to_bits(), Relaxed);
    }

    /// The part of its weight that `adaptive` gives it, up to 1.
    pub(super) fn factor(&self) -> f32 {
        float(&self.factor)
    }

    pub(super) fn set_factor(&self, factor: f32) {
        self.factor.store(factor.to_bits(), Relaxed);
    }

    fn tick(&self, now: Instant) -> u32 {
        tick(self.born, now)
    }
}

/// The time from `start` to `now` in 64ths of a second. It begins anew after two years; what is compared is never a year apart.
pub(super) fn tick(start: Instant, now: Instant) -> u32 {
    let passed = now.saturating_duration_since(start);
    (passed.as_secs() as u32).wrapping_mul(TICKS).wrapping_add(passed.subsec_nanos() / (1_000_000_000 / TICKS))
}

/// How many ticks `later` is after `earlier`; below zero where it is before.
pub(super) fn since(later: u32, earlier: u32) -> i32 {
    later.wrapping_sub(earlier).cast_signed()
}

fn float(bits: &AtomicU32) -> f32 {
    f32::from_bits(bits.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Outcome = Outcome::Answered { status: 200, retry_after: None };

    fn busy(seconds: Option<u64>) -> Outcome {
        Outcome::Answered { status: 503, retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn bad_answers_and_those_of_clients_are_told_apart() {
        for (outcome, bad) in [
            (GOOD, false),
            (Outcome::Answered { status: 404, retry_after: None }, false),
            (Outcome::Answered { status: 429, retry_after: None }, true),
            (busy(None), true),
            (Outcome::Failed, true),
            (Outcome::Left, false),
        ] {
            assert_eq!(outcome.is_bad(), bad, "{outcome:?}");
        }
    }

    #[test]
    fn retry_after_holds_for_as_long_as_it_says_and_a_minute_at_most() {
        let start = Instant::now();
        let load = Load::new(start);
        let at = |seconds: f32| start + Duration::from_secs_f32(seconds);
        assert!(!load.is_held(start));
        load.learn(Measures::Peak, busy(None), Duration::ZERO, at(1.0));
        assert!(!load.is_held(at(1.0)), "it did not ask");
        load.learn(Measures::Peak, busy(Some(5)), Duration::ZERO, at(1.0));
        assert!(load.is_held(at(1.0)) && load.is_held(at(5.9)) && !load.is_held(at(6.1)));
        load.learn(Measures::Peak, busy(Some(86_400)), Duration::ZERO, at(10.0));
        assert!(load.is_held(at(69.0)) && !load.is_held(at(70.1)));
        load.learn(Measures::Share, busy(Some(5)), Duration::ZERO, at(100.0));
        assert!(!load.is_held(at(100.0)), "not measured");
    }

    #[test]
    fn a_window_is_counted_and_taken_once() {
        let start = Instant::now();
        let load = Load::new(start);
        for (outcome, millis) in [(GOOD, 10), (busy(None), 30), (Outcome::Failed, 1_000), (Outcome::Left, 1_000)] {
            load.learn(Measures::Share, outcome, Duration::from_millis(millis), start);
        }
        assert_eq!(load.take_window(), Window { count: 3, bad: 2, mean: Some(20_000.0) });
        assert_eq!(load.take_window(), Window::default());
    }

    #[test]
    fn ticks_go_on_for_longer_than_processes_live() {
        let start = Instant::now();
        let after = |seconds: u64| tick(start, start + Duration::from_secs(seconds));
        assert_eq!((after(0), after(1), tick(start, start + Duration::from_millis(500))), (0, TICKS, TICKS / 2));
        let years = 3 * 365 * 86_400;
        assert_eq!(since(after(years + 10), after(years)), 10 * TICKS.cast_signed());
        assert!(since(after(5), after(6)) < 0);
        assert_eq!(tick(start + Duration::from_secs(1), start), 0, "another worker's clock was read a little later");
    }
}
