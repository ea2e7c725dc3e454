//! How a pool uses the breakers of its endpoints.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cap::{Cap, most_of};
use super::{BreakerSettings, Got, State, Timing, Why};
use crate::base::metrics::Transitions;
use crate::base::mode::Mode;
use crate::proxy::balance::{Endpoint, Pool};

/// What the breakers of one pool go by.
#[derive(Debug)]
pub(in crate::proxy::balance) struct Rules {
    /// Whether the pool has breakers at all.
    on: bool,
    pub(super) settings: BreakerSettings,
    /// The width of the window's buckets, in milliseconds.
    pub(super) bucket: u64,
    slow: Option<Duration>,
    /// How many may be open.
    pub(super) most: usize,
    transitions: Arc<Transitions>,
}

impl Rules {
    /// Of a pool with so many endpoints that may be asked.
    pub(in crate::proxy::balance) fn new(
        settings: Option<&BreakerSettings>,
        endpoints: usize,
        transitions: Arc<Transitions>,
    ) -> Self {
        let (on, settings) = (settings.is_some(), settings.cloned().unwrap_or_default());
        let (bucket, slow) = (settings.bucket(), settings.slowness());
        Self { on, settings, bucket, slow, most: most_of(endpoints), transitions }
    }

    /// Whether requests are kept away, and it is not only told.
    pub(super) fn enforces(&self) -> bool {
        self.settings.mode == Mode::Enforce
    }

    pub(super) fn timing(&self) -> Timing {
        let first = self.settings.open.0;
        Timing { first, most: self.settings.max_open.0.max(first) }
    }

    /// Whether a request counts as an error, and whether it counts as slow.
    pub(super) fn verdict(&self, trial: &Trial) -> (bool, bool) {
        let slow = !trial.patient && self.slow.is_some_and(|slow| trial.took >= slow);
        (trial.error && self.settings.minds_errors(), slow)
    }
}

/// One endpoint, and what its breaker goes by.
pub(super) struct Watch<'a> {
    pool: &'a str,
    pub(super) endpoint: &'a Endpoint,
    pub(super) rules: &'a Rules,
    pub(super) slow_start: Option<Duration>,
}

impl Watch<'_> {
    /// How many of the pool are open.
    pub(super) fn cap(&self) -> &Cap {
        self.endpoint.standing.cap()
    }

    /// Counts a change of state and tells the log.
    pub(super) fn tell(&self, to: State, why: Why, evidence: &str, lasts: Option<Duration>) {
        let Self { pool, endpoint, rules, .. } = self;
        let (backend, address) = (endpoint.url.text.as_str(), &endpoint.address);
        rules.transitions.count(pool, backend, to.name());
        let observed = !rules.enforces();
        match to {
            State::Open => {
                let seconds = lasts.unwrap_or_default().as_secs_f64();
                tracing::warn!(pool, backend, %address, %why, evidence, seconds, observed, "breaker opened");
            }
            State::HalfOpen => tracing::info!(pool, backend, %address, %why, observed, "breaker half open"),
            State::Closed => tracing::info!(pool, backend, %address, %why, observed, "breaker closed"),
        }
    }

    /// Tells the log that a breaker stays closed.
    pub(super) fn tell_capped(&self, why: Why) {
        let Self { pool, endpoint, rules, .. } = self;
        let (backend, address, most) = (endpoint.url.text.as_str(), &endpoint.address, rules.most);
        tracing::warn!(pool, backend, %address, %why, most, "breaker stays closed, as many as may are open already");
    }
}

/// What came of one request to an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// What it got.
    pub got: Got,
    /// Whether that is an error.
    pub error: bool,
    /// From when the endpoint had all of the request to the head of its answer, or to its failure.
    pub took: Duration,
    /// Whether it may take as long as it likes: a tunnel, or a call of gRPC.
    pub patient: bool,
}

/// Whether a request may go to the endpoint that was picked.
#[derive(Debug)]
pub enum Admission {
    /// As any other.
    Free,
    /// As one of those by which the breaker sees how the endpoint does.
    Probing(Probe),
    /// It may not: another is to be picked.
    Refused,
}

/// A request by which a breaker sees how its endpoint does. Dropped before that is known, it makes room for another one.
#[derive(Debug)]
pub struct Probe {
    endpoint: Arc<Endpoint>,
    era: Option<u32>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(era) = self.era.take() {
            self.endpoint.breaker.give_back(era, Instant::now());
        }
    }
}

impl Pool {
    /// Whether a request may go to the endpoint, which was picked at `now`: others may have been faster.
    pub fn admit(&self, endpoint: &Arc<Endpoint>, now: Instant) -> Admission {
        if !self.breaker.on || endpoint.breaker.is_closed() {
            return Admission::Free;
        }
        match endpoint.breaker.enter(&self.watch(endpoint), now) {
            Some(Some(era)) => Admission::Probing(Probe { endpoint: Arc::clone(endpoint), era: Some(era) }),
            None if self.breaker.enforces() => Admission::Refused,
            Some(None) | None => Admission::Free,
        }
    }

    /// Tells the breaker of the endpoint what came of a request. How many errors came before it, where it was none.
    pub fn judge(&self, endpoint: &Endpoint, probe: Option<Probe>, trial: &Trial, now: Instant) -> u32 {
        if !self.breaker.on {
            return 0;
        }
        let (breaker, watch) = (&endpoint.breaker, self.watch(endpoint));
        match probe.and_then(|mut probe| probe.era.take()) {
            Some(era) => {
                breaker.conclude(&watch, era, trial, now);
                0
            }
            None => breaker.learn(&watch, trial, now),
        }
    }

    /// Tells it that an answer broke off `after` it had begun well; `run` is what [`Self::judge`] said then.
    pub fn judge_broken(&self, endpoint: &Endpoint, (run, after): (u32, Duration), trial: &Trial, now: Instant) {
        if self.breaker.on {
            // The errors before a long answer are no longer those before this one.
            let run = if after <= self.breaker.settings.window.0 { run } else { 0 };
            endpoint.breaker.learn_more(&self.watch(endpoint), trial, (run, now));
        }
    }

    /// From here on it is live: its endpoints' breakers go by what it says, and are closed where it has none for them.
    pub fn settle(&self) {
        for (endpoint, weight) in self.endpoints.iter().zip(self.weights()) {
            endpoint.breaker.settle(&self.watch(endpoint), self.breaker.on && weight > 0);
        }
    }

    /// Whether it has breakers, and whether they only observe.
    pub fn breaker_mode(&self) -> Option<Mode> {
        self.breaker.on.then_some(self.breaker.settings.mode)
    }

    fn watch<'a>(&'a self, endpoint: &'a Endpoint) -> Watch<'a> {
        Watch { pool: &self.name, endpoint, rules: &self.breaker, slow_start: self.slow_start() }
    }
}
