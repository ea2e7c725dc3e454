//! The circuit breaker of one endpoint: it keeps requests away that would fail, and lets a few through now and then to see.
//!
//! An answer costs a few relaxed atomics (`window`) while it is closed; everything else happens under a lock where its state
//! changes or a request was answered badly. `learning` takes answers into account, `turning` changes the state, whose rules are in
//! `machine`; `cap` bounds how many of a pool may be open, `evidence` remembers why, and `watch` is how a pool uses it.

mod cap;
mod evidence;
mod learning;
mod machine;
mod settings;
mod turning;
mod watch;
mod window;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) use cap::Cap;
pub use evidence::{Change, Evidence, Got, Why};
use evidence::{History, Recent};
pub use machine::State;
use machine::{Machine, Timing};
pub use settings::BreakerSettings;
pub(super) use watch::Rules;
pub use watch::{Admission, Probe, Trial};
use window::Window;

/// The breaker of one endpoint, which all workers share. It outlives a reload with its endpoint; what it goes by is its pool's.
#[derive(Debug)]
pub struct Breaker {
    /// Errors since the last good answer.
    run: AtomicU32,
    window: Window,
    /// The state, by its number.
    state: AtomicU8,
    /// From when on a probe may be sent, in milliseconds since it was born.
    ready: AtomicU64,
    /// Until when it is of no use to try to open.
    barred: AtomicU64,
    recent: Mutex<Recent>,
    inner: Mutex<Inner>,
    born: Instant,
}

#[derive(Debug)]
struct Inner {
    machine: Machine,
    history: History,
    /// How often it opened.
    opened: u64,
    /// Whether its endpoint is asked at all, and has a breaker.
    watched: bool,
    /// Whether the log has that the cap keeps it closed.
    told: bool,
}

/// What is shown of a breaker.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its state.
    pub state: State,
    /// Since when; nothing where it never was another.
    pub since: Option<Instant>,
    /// Until when it is open, where it is.
    pub until: Option<Instant>,
    /// How often it opened.
    pub opened: u64,
    /// Its last changes, the oldest first.
    pub changes: Vec<Change>,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(born: Instant) -> Self {
        let (machine, history) = (Machine::new(), History::default());
        Self {
            run: AtomicU32::new(0),
            window: Window::default(),
            state: AtomicU8::new(State::Closed.number()),
            ready: AtomicU64::new(0),
            barred: AtomicU64::new(0),
            recent: Mutex::default(),
            inner: Mutex::new(Inner { machine, history, opened: 0, watched: true, told: false }),
            born,
        }
    }

    /// Whether it lets everything through.
    pub fn is_closed(&self) -> bool {
        self.state.load(Relaxed) == State::Closed.number()
    }

    /// What it is.
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        }
    }

    /// Whether a probe may be sent at `now`.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.millis(now) >= self.ready.load(Relaxed)
    }

    /// How long it lets nothing through. Nobody knows how long probes take that are under way.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        if self.state.load(Relaxed) != State::Open.number() {
            return Duration::ZERO;
        }
        // Both rounded up, so that the difference is not.
        Duration::from_millis(self.ready.load(Relaxed).saturating_sub(self.millis_up(now)))
    }

    /// What is shown of it.
    pub fn report(&self) -> Report {
        let inner = self.inner();
        let (state, since) = (inner.machine.state(), inner.machine.since());
        let until = since.filter(|_| state == State::Open).and_then(|since| inner.machine.ready_at(since));
        Report { state, since, until, opened: inner.opened, changes: inner.history.list() }
    }

    fn millis(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.born);
        passed.as_secs() * 1_000 + u64::from(passed.subsec_millis())
    }

    /// Rounded up: whoever sees that it is time then finds that it is.
    fn millis_up(&self, moment: Instant) -> u64 {
        let millis = self.millis(moment);
        let exact = moment.saturating_duration_since(self.born) == Duration::from_millis(millis);
        if exact { millis } else { millis + 1 }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
