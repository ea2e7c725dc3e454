//! How a breaker changes its state, and what is told of it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::evidence::in_short;
use super::machine::{Follows, Machine};
use super::watch::Watch;
use super::{Breaker, Change, Evidence, Inner, State, Trial, Why};
use crate::proxy::balance::Endpoint;

impl Breaker {
    /// Lets a probe through at `now`, where one may be sent; `None` where not. The era it belongs to, or none where it has closed.
    pub(super) fn enter(&self, watch: &Watch<'_>, now: Instant) -> Option<Option<u32>> {
        let mut inner = self.inner();
        let before = inner.machine.state();
        if before == State::Closed {
            return Some(None);
        }
        if inner.machine.ready_at(now).is_none_or(|ready| now < ready) {
            return None;
        }
        let patience = watch.rules.timing().first;
        if !watch.cap().take(watch.endpoint.id, (now, now + patience), watch.rules.most) {
            self.close(&mut inner, watch, Why::OverTheCap, now);
            return Some(None);
        }
        let era = inner.machine.probe(now, patience)?;
        if before == State::Open {
            self.changed(&mut inner, watch, Why::TimeIsOver, now);
        }
        self.publish(&inner.machine, now);
        Some(Some(era))
    }

    /// A probe of that era has ended.
    pub(super) fn conclude(&self, watch: &Watch<'_>, era: u32, trial: &Trial, now: Instant) {
        let (error, slow) = watch.rules.verdict(trial);
        let mut inner = self.inner();
        match inner.machine.end(era, Some(!error && !slow)) {
            Follows::Nothing => self.publish(&inner.machine, now),
            Follows::Closing => self.close(&mut inner, watch, Why::Recovered, now),
            Follows::Reopening => {
                let until = now + inner.machine.next_opening(now, watch.rules.timing());
                if watch.cap().take(watch.endpoint.id, (now, until), watch.rules.most) {
                    let evidence = Evidence { at: now, got: trial.got, took: trial.took, error, slow };
                    self.recent().note(evidence);
                    self.open(&mut inner, watch, Why::Probe, now);
                } else {
                    self.close(&mut inner, watch, Why::OverTheCap, now);
                }
            }
        }
    }

    /// A probe of that era ended without saying anything.
    pub(super) fn give_back(&self, era: u32, now: Instant) {
        let mut inner = self.inner();
        inner.machine.end(era, None);
        self.publish(&inner.machine, now);
    }

    pub(super) fn open(&self, inner: &mut Inner, watch: &Watch<'_>, why: Why, now: Instant) {
        inner.machine.open(now, watch.rules.timing());
        inner.opened += 1;
        self.publish(&inner.machine, now);
        if watch.rules.enforces() {
            watch.endpoint.standing.shut();
        }
        self.changed(inner, watch, why, now);
    }

    fn close(&self, inner: &mut Inner, watch: &Watch<'_>, why: Why, now: Instant) {
        if watch.rules.enforces() && watch.slow_start.is_some() {
            watch.endpoint.standing.warm_up(now);
        }
        self.close_silently(inner, watch.endpoint, now);
        self.changed(inner, watch, why, now);
    }

    fn close_silently(&self, inner: &mut Inner, endpoint: &Endpoint, now: Instant) {
        inner.machine.close(now);
        endpoint.standing.cap().give_back(endpoint.id);
        self.window.clear();
        self.run.store(0, Relaxed);
        self.publish(&inner.machine, now);
        endpoint.standing.unshut();
    }

    /// Remembers, counts and tells a change of state.
    fn changed(&self, inner: &mut Inner, watch: &Watch<'_>, why: Why, now: Instant) {
        inner.told = false;
        let to = inner.machine.state();
        let evidence = self.recent().take(why, &watch.rules.settings, now);
        let lasts = inner.machine.ready_at(now).map(|until| until.saturating_duration_since(now));
        watch.tell(to, why, &in_short(&evidence), lasts);
        inner.history.add(Change { to, at: now, why, evidence });
    }

    /// Makes the state known to those who do not lock.
    fn publish(&self, machine: &Machine, now: Instant) {
        let ready = match (machine.state(), machine.ready_at(now)) {
            (State::Closed, _) => 0,
            (_, Some(ready)) if ready <= now => 0,
            (_, Some(ready)) => self.millis_up(ready),
            (_, None) => u64::MAX,
        };
        self.ready.store(ready, Relaxed);
        self.state.store(machine.state().number(), Relaxed);
    }

    /// Goes by what a pool says that is live from now on; it is closed where its endpoint is not `watched`.
    pub(super) fn settle(&self, watch: &Watch<'_>, watched: bool) {
        let mut inner = self.inner();
        inner.watched = watched;
        if inner.machine.state() == State::Closed {
            return;
        }
        if !watched {
            self.close(&mut inner, watch, Why::SwitchedOff, Instant::now());
        } else if watch.rules.enforces() {
            watch.endpoint.standing.shut();
        } else {
            watch.endpoint.standing.unshut();
        }
    }

    /// Its endpoint is gone: what is still under way there says nothing any more.
    pub(in crate::proxy::balance) fn retire(&self, endpoint: &Endpoint) {
        let mut inner = self.inner();
        inner.watched = false;
        if inner.machine.state() != State::Closed {
            self.close_silently(&mut inner, endpoint, Instant::now());
        }
    }
}
