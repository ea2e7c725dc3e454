//! What a breaker makes of answers.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::watch::{Rules, Watch};
use super::{Breaker, Evidence, State, Trial, Why};

/// For how long nothing is tried again after the cap did not let a breaker open, in milliseconds.
const BARRED: u64 = 1_000;

impl Breaker {
    /// Takes a request into account that ended at `now`. How many errors came before it, where it was none.
    pub(super) fn learn(&self, watch: &Watch<'_>, trial: &Trial, now: Instant) -> u32 {
        if !self.is_closed() {
            // It was under way when the breaker opened, and says nothing new.
            return 0;
        }
        let (error, slow) = watch.rules.verdict(trial);
        self.window.count((self.millis(now), watch.rules.bucket), error, slow);
        let run = self.run.load(Relaxed);
        if error {
            self.run.fetch_add(1, Relaxed);
        } else if run > 0 {
            self.run.store(0, Relaxed);
        }
        if error || slow {
            self.suspect(watch, Evidence { at: now, got: trial.got, took: trial.took, error, slow });
        }
        run
    }

    /// Takes into account that an answer broke off which had begun well, after `run` errors.
    pub(super) fn learn_more(&self, watch: &Watch<'_>, trial: &Trial, (run, now): (u32, Instant)) {
        let (error, _) = watch.rules.verdict(trial);
        if !error || !self.is_closed() {
            return;
        }
        self.window.count_error((self.millis(now), watch.rules.bucket));
        // It was no good answer after all, so that those before it still count.
        self.run.fetch_add(run.saturating_add(1), Relaxed);
        self.suspect(watch, Evidence { at: now, got: trial.got, took: trial.took, error, slow: false });
    }

    /// A request was answered badly: whether that is enough. Only a bad answer opens it, never a good one after many bad ones.
    #[cold]
    fn suspect(&self, watch: &Watch<'_>, evidence: Evidence) {
        // Where many fail at once, not each has to be remembered.
        if let Ok(mut recent) = self.recent.try_lock() {
            recent.note(evidence);
        }
        if let Some(why) = self.reason(watch.rules, evidence)
            && self.millis(evidence.at) >= self.barred.load(Relaxed)
        {
            self.trip(watch, why, evidence.at);
        }
    }

    fn reason(&self, rules: &Rules, evidence: Evidence) -> Option<Why> {
        let settings = &rules.settings;
        let run = self.run.load(Relaxed);
        if evidence.error && settings.errors > 0 && run >= settings.errors {
            return Some(Why::Errors(run));
        }
        let sums = self.window.sums((self.millis(evidence.at), rules.bucket));
        if sums.all < settings.min_requests {
            return None;
        }
        let (of, within) = (sums.all, settings.window.0);
        let reaches = |count: u32, rate: f64| rate > 0.0 && f64::from(count) >= rate * f64::from(of);
        if evidence.error && reaches(sums.errors, settings.error_rate) {
            return Some(Why::Failed { errors: sums.errors, of, within });
        }
        let limit = settings.slowness().filter(|_| evidence.slow && reaches(sums.slow, settings.slow_rate));
        limit.map(|limit| Why::Slow { slow: sums.slow, of, within, limit })
    }

    fn trip(&self, watch: &Watch<'_>, why: Why, now: Instant) {
        let mut inner = self.inner();
        if !inner.watched || inner.machine.state() != State::Closed {
            return;
        }
        let until = now + inner.machine.next_opening(now, watch.rules.timing());
        if !watch.cap().take(watch.endpoint.id, (now, until), watch.rules.most) {
            self.barred.store(self.millis(now) + BARRED, Relaxed);
            if !std::mem::replace(&mut inner.told, true) {
                watch.tell_capped(why);
            }
            return;
        }
        self.open(&mut inner, watch, why, now);
    }
}
