//! What the probes of an endpoint have found: written by them, read by whoever shows it. Picks never look here: whether an
//! endpoint gets requests is its [`Standing`](super::Standing).

mod settings;
mod statuses;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

pub use settings::{Check, CheckKind, HealthSettings, Pace};
pub use statuses::StatusRange;

/// What is known of one endpoint; nothing where it is not probed.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Known>>);

/// What is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Whether it is up. It begins so.
    pub up: bool,
    /// Since when it is up or down, or since when it is probed.
    pub since: SystemTime,
    /// What made it down; nothing while it is up.
    pub reason: Option<String>,
    /// The last probe; nothing before the first has ended.
    pub last: Option<Probed>,
    /// How many probes in a row ended as the last one did: well or not.
    pub in_a_row: u32,
}

/// What came of one probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Why it failed; nothing where it was good.
    pub problem: Option<String>,
}

impl Health {
    /// What is known now.
    pub fn known(&self) -> Option<Known> {
        self.lock().clone()
    }

    /// It is probed from `now` on, unless it has been before.
    pub fn begin(&self, now: SystemTime) {
        let fresh = || Known { up: true, since: now, reason: None, last: None, in_a_row: 0 };
        self.lock().get_or_insert_with(fresh);
    }

    /// It is probed no more.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Notes a probe, and what it made of the endpoint where that is a change: up or down. How long the endpoint was what it
    /// was before that.
    pub fn probed(&self, probed: Probed, turned: Option<bool>) -> Duration {
        let mut known = self.lock();
        let Some(known) = known.as_mut() else { return Duration::ZERO };
        let alike = known.last.as_ref().is_some_and(|last| last.problem.is_some() == probed.problem.is_some());
        known.in_a_row = if alike { known.in_a_row.saturating_add(1) } else { 1 };
        let lasted = probed.at.duration_since(known.since).unwrap_or_default();
        if let Some(up) = turned {
            (known.up, known.since, known.reason) = (up, probed.at, probed.problem.clone());
        }
        known.last = Some(probed);
        lasted
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_made_it_down_stays_until_it_is_up_again() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let probed = |seconds, problem: Option<&str>| Probed {
            at: at(seconds),
            took: Duration::from_millis(3),
            problem: problem.map(str::to_owned),
        };
        let health = Health::default();
        health.probed(probed(1, None), None);
        assert_eq!(health.known(), None, "it is not probed any more");
        health.begin(at(10));
        health.begin(at(11));
        health.probed(probed(12, None), None);
        health.probed(probed(20, Some("status 503")), None);
        assert_eq!(health.probed(probed(30, Some("status 500")), Some(false)), Duration::from_secs(20));
        health.probed(probed(40, Some("timeout")), None);
        let down = health.known().unwrap();
        assert_eq!((down.up, down.since, down.reason.as_deref()), (false, at(30), Some("status 500")));
        assert_eq!((down.in_a_row, down.last.unwrap().problem.as_deref()), (3, Some("timeout")));
        assert_eq!(health.probed(probed(50, None), Some(true)), Duration::from_secs(20));
        let up = health.known().unwrap();
        assert_eq!((up.up, up.since, up.reason, up.in_a_row), (true, at(50), None, 1));
        health.forget();
        assert_eq!(health.known(), None);
    }
}
