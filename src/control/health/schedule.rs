//! When each endpoint is probed, and after how many probes it is down or up again. Time comes from outside.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::proxy::balance::{Check, Pace};

/// What is down is probed so often at least.
const WHILE_DOWN: Duration = Duration::from_secs(5);

/// The first probe of those that are new comes after so long at most.
const SOON: Duration = Duration::from_millis(100);

/// Every endpoint that is probed.
#[derive(Debug)]
pub(super) struct Schedule {
    states: HashMap<u64, State>,
    /// When which endpoint is due.
    queue: BTreeSet<(Instant, u64)>,
    random: fastrand::Rng,
    /// The number of the last turn.
    last: u64,
}

/// The endpoints that are probed alike.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) check: Arc<Check>,
    pub(super) endpoints: Vec<u64>,
}

/// One endpoint.
#[derive(Debug)]
struct State {
    check: Arc<Check>,
    up: bool,
    /// How many probes in a row ended otherwise than it is.
    against: u32,
    due: Option<Instant>,
    /// The probe under way.
    turn: Option<Turn>,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) endpoint: u64,
    number: u64,
    began: Instant,
}

/// What a probe made of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is what it was.
    Same,
    Down,
    Up,
}

impl Schedule {
    /// Nothing. `random` spreads the probes of many gateways and endpoints over time.
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self { states: HashMap::new(), queue: BTreeSet::new(), random, last: 0 }
    }

    /// Takes up the endpoints of a config and forgets all others. New ones are up; what is known of the others stays. The first
    /// probes of those that are new, or are now probed otherwise, are spread over the interval, and begin soon.
    pub(super) fn follow(&mut self, groups: &[Group], now: Instant) {
        let mut before = std::mem::take(&mut self.states);
        for Group { check, endpoints } in groups {
            let alike = |state: &&State| *state.check == **check;
            let fresh = endpoints.iter().filter(|endpoint| before.get(endpoint).filter(alike).is_none()).count();
            let mut number = 0;
            for endpoint in endpoints {
                let state = match before.remove(endpoint) {
                    Some(state) if alike(&&state) => state,
                    known => {
                        let due = now + self.slot(check.pace.interval, number, fresh);
                        number += 1;
                        let up = known.is_none_or(|state| state.up);
                        State { check: Arc::clone(check), up, against: 0, due: Some(due), turn: None }
                    }
                };
                self.states.insert(*endpoint, state);
            }
        }
        self.queue = self.states.iter().filter_map(|(endpoint, state)| Some((state.due?, *endpoint))).collect();
    }

    /// When the first probe of the `number`th of so many new endpoints is.
    fn slot(&mut self, interval: Duration, number: u32, of: usize) -> Duration {
        let slot = interval / u32::try_from(of).unwrap_or(u32::MAX).max(1);
        let within = if number == 0 { slot.min(SOON) } else { slot };
        slot * number + within.mul_f64(self.random.f64())
    }

    /// When the next endpoint is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// A probe that is due. It is under way until [`Self::ended`] is told.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Turn> {
        let (_, endpoint) = self.queue.first().filter(|(due, _)| *due <= now).copied()?;
        self.queue.pop_first();
        let state = self.states.get_mut(&endpoint)?;
        self.last += 1;
        let turn = Turn { endpoint, number: self.last, began: now };
        (state.due, state.turn) = (None, Some(turn));
        Some(turn)
    }

    /// Takes up what came of a probe. Nothing where nobody wants to know any more: its endpoint has gone or is probed otherwise.
    pub(super) fn ended(&mut self, turn: Turn, passed: bool, now: Instant) -> Option<News> {
        let state = self.states.get_mut(&turn.endpoint).filter(|state| state.turn == Some(turn))?;
        state.turn = None;
        let news = state.count(passed);
        let pause = state.pause().mul_f64(0.9 + 0.2 * self.random.f64());
        let due = (turn.began + pause).max(now);
        state.due = Some(due);
        self.queue.insert((due, turn.endpoint));
        Some(news)
    }
}

impl State {
    fn count(&mut self, passed: bool) -> News {
        let Pace { fall, rise, .. } = self.check.pace;
        self.against = if passed == self.up { 0 } else { self.against + 1 };
        if self.against < if self.up { fall } else { rise } {
            return News::Same;
        }
        (self.up, self.against) = (!self.up, 0);
        if self.up { News::Up } else { News::Down }
    }

    /// From the beginning of one probe to that of the next.
    fn pause(&self) -> Duration {
        let interval = self.check.pace.interval;
        if self.up { interval } else { interval.min(WHILE_DOWN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::balance::CheckKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn check(interval: Duration, fall: u32, rise: u32) -> Arc<Check> {
        let pace = Pace { interval, fall, rise };
        Arc::new(Check { kind: CheckKind::Tcp, pace, timeout: SECOND, port: None })
    }

    fn group(check: &Arc<Check>, endpoints: impl IntoIterator<Item = u64>) -> Group {
        Group { check: Arc::clone(check), endpoints: endpoints.into_iter().collect() }
    }

    /// A schedule of one endpoint that is down after `fall` and up after `rise`.
    fn one(fall: u32, rise: u32) -> (Schedule, Instant) {
        let (mut schedule, now) = (Schedule::new(fastrand::Rng::with_seed(7)), Instant::now());
        schedule.follow(&[group(&check(10 * SECOND, fall, rise), [1])], now);
        (schedule, now)
    }

    /// Probes what is due next, at that time; what came of it, and when.
    fn probe(schedule: &mut Schedule, passed: bool) -> (News, Instant) {
        let now = schedule.next_due().unwrap();
        let turn = schedule.begin(now).unwrap();
        (schedule.ended(turn, passed, now).unwrap(), now)
    }

    #[test]
    fn exactly_fall_failures_in_a_row_are_down_and_exactly_rise_good_ones_up() {
        for (fall, rise) in [(1, 1), (3, 2), (2, 5)] {
            let (mut schedule, _) = one(fall, rise);
            let mut run =
                |passed: bool, times: u32| (0..times).map(|_| probe(&mut schedule, passed).0).collect::<Vec<_>>();
            let same = |times: u32| vec![News::Same; times as usize];
            assert_eq!(run(true, 3), same(3));
            // One good one in between begins the count anew.
            assert_eq!(run(false, fall - 1), same(fall - 1));
            assert_eq!(run(true, 1), same(1));
            assert_eq!(run(false, fall - 1), same(fall - 1));
            assert_eq!(run(false, 1), [News::Down], "fall {fall}");
            assert_eq!(run(false, 4), same(4), "it is known");
            assert_eq!(run(true, rise - 1), same(rise - 1));
            assert_eq!(run(false, 1), same(1));
            assert_eq!(run(true, rise - 1), same(rise - 1));
            assert_eq!(run(true, 1), [News::Up], "rise {rise}");
            assert_eq!(run(false, fall - 1), same(fall - 1));
        }
    }

    #[test]
    fn probes_are_an_interval_apart_give_or_take_a_tenth_and_closer_while_it_is_down() {
        let (mut schedule, now) = one(1, 1);
        let (_, mut before) = probe(&mut schedule, true);
        assert!(before <= now + SOON);
        let mut gaps = Vec::new();
        for passed in [true; 20].into_iter().chain([false; 20]) {
            let (_, at) = probe(&mut schedule, passed);
            gaps.push(at - before);
            before = at;
        }
        // The failure that makes it down comes at its time; those after it sooner.
        let (up, down) = gaps.split_at(21);
        let within = |gaps: &[Duration], seconds: f64| {
            gaps.iter().all(|gap| (0.9 * seconds..=1.1 * seconds).contains(&gap.as_secs_f64()))
        };
        assert!(within(up, 10.0) && within(down, 5.0), "{gaps:?}");
        assert!(up.iter().any(|gap| *gap != up[0]), "not always the same");
    }

    #[test]
    fn a_slow_probe_does_not_put_the_next_one_off() {
        let (mut schedule, _) = one(3, 2);
        let now = schedule.next_due().unwrap();
        let turn = schedule.begin(now).unwrap();
        assert_eq!(schedule.next_due(), None, "not twice at once");
        schedule.ended(turn, true, now + 8 * SECOND);
        let due = schedule.next_due().unwrap();
        assert!(due <= now + 11 * SECOND);
        let turn = schedule.begin(due).unwrap();
        schedule.ended(turn, true, due + 100 * SECOND);
        assert_eq!(schedule.next_due(), Some(due + 100 * SECOND), "nor is any made up for");
    }

    #[test]
    fn first_probes_begin_soon_and_are_spread_over_the_interval() {
        let (mut schedule, now) = (Schedule::new(fastrand::Rng::with_seed(7)), Instant::now());
        let check = check(10 * SECOND, 3, 2);
        schedule.follow(&[group(&check, 0..1_000), group(&check, 1_000..1_002)], now);
        assert_eq!(schedule.queue.len(), 1_002);
        let due: HashMap<u64, Duration> = schedule.queue.iter().map(|(due, id)| (*id, *due - now)).collect();
        assert!(due[&0] <= SOON && due[&1_000] <= SOON);
        for tenth in 0..10 {
            let span = SECOND * tenth..SECOND * (tenth + 1);
            let count = due.iter().filter(|(id, due)| **id < 1_000 && span.contains(*due)).count();
            assert!((99..=101).contains(&count), "{count} in second {tenth}");
        }
        assert!((5 * SECOND..10 * SECOND).contains(&due[&1_001]));
    }

    #[test]
    fn what_is_known_outlives_a_reload_and_what_is_new_is_probed_soon() {
        let (mut schedule, now) = one(2, 2);
        let original = Arc::clone(&schedule.states[&1].check);
        assert_eq!(probe(&mut schedule, false).0, News::Same);
        let due = schedule.next_due();
        schedule.follow(&[group(&check(10 * SECOND, 2, 2), [1])], now + SECOND);
        assert_eq!(schedule.next_due(), due, "the same in other words");
        schedule.follow(&[group(&original, [2, 1])], now + SECOND);
        assert!(schedule.next_due().unwrap() <= now + SECOND + SOON, "the one that is new");
        schedule.follow(&[group(&original, [1])], now + SECOND);
        assert_eq!(probe(&mut schedule, false).0, News::Down, "its first failure counts");
        // Probed otherwise it is still down, and counted anew.
        schedule.follow(&[group(&check(SECOND, 3, 1), [1])], now + SECOND);
        assert!(schedule.next_due().unwrap() <= now + SECOND + SOON);
        assert_eq!(probe(&mut schedule, true).0, News::Up);
        schedule.follow(&[], now + SECOND);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn what_comes_late_does_not_count() {
        let (mut schedule, now) = one(1, 1);
        let turn = schedule.begin(now + SECOND).unwrap();
        schedule.follow(&[], now);
        assert_eq!(schedule.ended(turn, false, now), None);
        schedule.follow(&[group(&check(10 * SECOND, 1, 1), [1])], now);
        let other = schedule.begin(now + SECOND).unwrap();
        assert_eq!(schedule.ended(turn, false, now), None, "of the one before it went");
        assert_eq!(schedule.ended(other, true, now), Some(News::Same));
        assert_eq!(schedule.ended(other, false, now), None, "only once");
    }
}
