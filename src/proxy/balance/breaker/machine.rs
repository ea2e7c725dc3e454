//! The states of a breaker and the ways between them. Time is told to it, and who may open says somebody else.

use std::time::{Duration, Instant};

/// How many probes have to be answered well, one after another or at once, after the first one was.
const MORE_PROBES: u32 = 3;

/// What a breaker does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It lets all of them through.
    Closed,
    /// It lets a few through, to see whether they are answered.
    HalfOpen,
    /// It lets none through.
    Open,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// Its number in `portcullis_breaker_state`.
    pub fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// How long openings last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// The first.
    pub(super) first: Duration,
    /// The longest.
    pub(super) most: Duration,
}

/// What follows from the end of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// It stays as it is.
    Nothing,
    /// It is to be opened again.
    Reopening,
    /// It is to be closed.
    Closing,
}

/// The state of one breaker.
#[derive(Debug)]
pub(super) struct Machine {
    state: State,
    /// Since when; nothing where it never was another.
    since: Option<Instant>,
    /// How long it is open, or was last.
    lasts: Duration,
    /// Counts openings, so that probes of an earlier one are told apart.
    era: u32,
    /// Probes under way, and those that were answered well.
    out: u32,
    passed: u32,
    /// From when on one more probe is sent, though those under way do not end.
    patience: Option<Instant>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let lasts = Duration::ZERO;
        Self { state: State::Closed, since: None, lasts, era: 0, out: 0, passed: 0, patience: None }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// How long an opening at `now` would last: twice as long as the one before, where that failed, or where it has not been closed
    /// since for as long as it was open.
    pub(super) fn next_opening(&self, now: Instant, timing: Timing) -> Duration {
        let soon = || self.since.is_some_and(|since| now.saturating_duration_since(since) < self.lasts);
        let again = self.state != State::Closed || soon();
        let lasts = if again { self.lasts.saturating_mul(2).max(timing.first) } else { timing.first };
        lasts.min(timing.most)
    }

    /// Opens it.
    pub(super) fn open(&mut self, now: Instant, timing: Timing) {
        self.lasts = self.next_opening(now, timing);
        self.era = self.era.wrapping_add(1);
        self.become_(State::Open, now);
    }

    /// Closes it.
    pub(super) fn close(&mut self, now: Instant) {
        self.become_(State::Closed, now);
    }

    /// When the next probe may be sent; nothing where none is needed.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let room = if self.passed == 0 { self.out < 1 } else { self.passed + self.out < 1 + MORE_PROBES };
        match self.state {
            State::Closed => None,
            State::Open => self.since.and_then(|since| since.checked_add(self.lasts)),
            State::HalfOpen if room => Some(now),
            State::HalfOpen => self.patience,
        }
    }

    /// Sends a probe, where it may, and waits for the end of it until another may be sent. The era that it belongs to.
    pub(super) fn probe(&mut self, now: Instant, patience: Duration) -> Option<u32> {
        if self.ready_at(now).is_none_or(|ready| now < ready) {
            return None;
        }
        if self.state == State::Open {
            self.become_(State::HalfOpen, now);
        }
        self.out = self.out.saturating_add(1);
        self.patience = now.checked_add(patience);
        Some(self.era)
    }

    /// A probe has ended: whether well; nothing where that did not come out.
    pub(super) fn end(&mut self, era: u32, well: Option<bool>) -> Follows {
        if era != self.era || self.state != State::HalfOpen {
            return Follows::Nothing;
        }
        self.out = self.out.saturating_sub(1);
        match well {
            None => Follows::Nothing,
            Some(false) => Follows::Reopening,
            Some(true) => {
                self.passed += 1;
                if self.passed > MORE_PROBES { Follows::Closing } else { Follows::Nothing }
            }
        }
    }

    fn become_(&mut self, state: State, now: Instant) {
        (self.state, self.since) = (state, Some(now));
        (self.out, self.passed, self.patience) = (0, 0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { first: Duration::from_secs(30), most: Duration::from_secs(300) };
    const PATIENCE: Duration = Duration::from_secs(30);

    fn opened(now: Instant) -> Machine {
        let mut machine = Machine::new();
        machine.open(now, TIMING);
        machine
    }

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn it_is_open_for_exactly_as_long_as_it_says() {
        let start = Instant::now();
        let mut machine = opened(start);
        assert_eq!(machine.probe(after(start, 29.9), PATIENCE), None);
        assert_eq!(machine.state(), State::Open);
        assert!(machine.probe(after(start, 30.0), PATIENCE).is_some());
        assert_eq!(machine.state(), State::HalfOpen);
    }

    #[test]
    fn one_probe_and_then_three_close_it() {
        let start = Instant::now();
        let mut machine = opened(start);
        let now = after(start, 30.0);
        let probe = |machine: &mut Machine| machine.probe(now, PATIENCE);
        let era = probe(&mut machine).unwrap();
        assert_eq!(probe(&mut machine), None, "one at once");
        assert_eq!(machine.end(era, Some(true)), Follows::Nothing);
        assert_eq!([(); 4].map(|()| probe(&mut machine).is_some()), [true, true, true, false], "then three");
        assert_eq!(machine.end(era, None), Follows::Nothing);
        assert!(probe(&mut machine).is_some(), "for one whose client left there is another");
        assert_eq!(probe(&mut machine), None);
        let follows = [(); 3].map(|()| machine.end(era, Some(true)));
        assert_eq!(follows, [Follows::Nothing, Follows::Nothing, Follows::Closing]);
        machine.close(now);
        assert_eq!((machine.state(), machine.ready_at(now)), (State::Closed, None));
    }

    #[test]
    fn a_probe_that_fails_reopens_it_for_twice_as_long_up_to_the_most() {
        let start = Instant::now();
        let mut machine = opened(start);
        let mut now = start;
        for seconds in [30, 60, 120, 240, 300, 300] {
            assert_eq!(machine.ready_at(now), Some(now + Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            let era = machine.probe(now, PATIENCE).unwrap();
            assert_eq!(machine.end(era, Some(false)), Follows::Reopening);
            machine.open(now, TIMING);
            assert_eq!(machine.end(era, Some(true)), Follows::Nothing, "another of an earlier opening says nothing");
        }
    }

    #[test]
    fn it_is_forgiven_once_it_was_closed_for_as_long_as_it_was_open() {
        let start = Instant::now();
        let mut machine = opened(start);
        machine.close(after(start, 30.0));
        let next = |machine: &Machine, seconds| machine.next_opening(after(start, seconds), TIMING).as_secs();
        assert_eq!((next(&machine, 59.9), next(&machine, 60.0)), (60, 30));
        machine.open(after(start, 59.9), TIMING);
        machine.close(after(start, 119.9));
        assert_eq!((next(&machine, 179.8), next(&machine, 179.9)), (120, 30));
        let short = Timing { first: Duration::from_secs(1), most: Duration::from_secs(2) };
        assert_eq!(machine.next_opening(after(start, 120.0), short).as_secs(), 2, "what was set meanwhile holds");
    }

    #[test]
    fn a_probe_that_never_ends_holds_nothing_up() {
        let start = Instant::now();
        let mut machine = opened(start);
        let now = after(start, 30.0);
        let lost = machine.probe(now, PATIENCE).unwrap();
        assert_eq!(machine.probe(after(start, 59.9), PATIENCE), None);
        let era = machine.probe(after(start, 60.0), PATIENCE).unwrap();
        assert_eq!(era, lost);
        assert_eq!(machine.probe(after(start, 60.0), PATIENCE), None, "and again one at once");
        assert_eq!(machine.end(era, Some(true)), Follows::Nothing);
        assert_eq!(machine.end(lost, Some(false)), Follows::Reopening, "where it ends after all, that counts");
    }

    /// Whatever happens in whatever order, it gets out of every state.
    #[test]
    fn nothing_keeps_it_from_closing() {
        let start = Instant::now();
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut machine, mut now, mut eras) = (Machine::new(), start, Vec::new());
            for _ in 0..200 {
                now += Duration::from_millis(random.u64(0..40_000));
                match random.u8(0..4) {
                    0 if machine.state() == State::Closed => machine.open(now, TIMING),
                    0 | 1 => eras.extend(machine.probe(now, PATIENCE)),
                    _ if eras.is_empty() => {}
                    _ => {
                        let era = eras.swap_remove(random.usize(0..eras.len()));
                        let well = [None, Some(true), Some(true), Some(false)][random.usize(0..4)];
                        match machine.end(era, well) {
                            Follows::Nothing => {}
                            Follows::Reopening => machine.open(now, TIMING),
                            Follows::Closing => machine.close(now),
                        }
                    }
                }
                assert!(machine.out <= eras.len() as u32, "no probe is invented");
                assert!(machine.lasts <= TIMING.most);
            }
            for _ in 0..20 {
                now += TIMING.most;
                if let Some(era) = machine.probe(now, PATIENCE)
                    && machine.end(era, Some(true)) == Follows::Closing
                {
                    machine.close(now);
                }
            }
            assert_eq!(machine.state(), State::Closed, "{seed}");
        }
    }
}
