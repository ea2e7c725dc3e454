//! What is shown of circuit breakers.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::rfc3339;
use crate::base::clock;
use crate::base::metrics::BreakerStates;
use crate::base::mode::Mode;
use crate::control::admin::status::{Breaker, BreakerChange, BreakerEvidence};
use crate::proxy::balance::breaker::{Change, Evidence};
use crate::proxy::balance::{Endpoint, Pool};

/// The number of the state of each backend's breaker, by pool and backend: of several addresses the worst.
pub(super) fn states(pools: &[Arc<Pool>]) -> BreakerStates {
    let mut states = BreakerStates::new();
    for pool in pools.iter().filter(|pool| pool.breaker_mode().is_some()) {
        for endpoint in &pool.endpoints {
            let key = (pool.name.clone(), endpoint.url.text.clone());
            let state = states.entry(key).or_default();
            *state = endpoint.breaker.state().number().max(*state);
        }
    }
    states
}

/// The breakers of these endpoints of a pool.
pub(super) fn shown<'a>(pool: &Pool, endpoints: impl Iterator<Item = &'a Endpoint>) -> Vec<Breaker> {
    let Some(mode) = pool.breaker_mode() else { return Vec::new() };
    let clock = Clock { wall: clock::now(), instant: Instant::now() };
    let breaker = |endpoint: &Endpoint| {
        let report = endpoint.breaker.report();
        Breaker {
            address: endpoint.address.to_string(),
            state: report.state.name().to_owned(),
            observed: mode == Mode::Observe,
            since: report.since.map(|since| clock.shown(since)),
            until: report.until.map(|until| clock.shown(until)),
            opened: report.opened,
            history: report.changes.iter().map(|change| clock.change(change)).collect(),
        }
    };
    endpoints.map(breaker).collect()
}

/// One moment on both clocks: what happened was noted on the one that is never set back.
struct Clock {
    wall: SystemTime,
    instant: Instant,
}

impl Clock {
    fn change(&self, change: &Change) -> BreakerChange {
        BreakerChange {
            to: change.to.name().to_owned(),
            at: self.shown(change.at),
            why: change.why.to_string(),
            evidence: change.evidence.iter().map(|evidence| self.evidence(evidence)).collect(),
        }
    }

    fn evidence(&self, evidence: &Evidence) -> BreakerEvidence {
        let milliseconds = u64::try_from(evidence.took.as_millis()).unwrap_or(u64::MAX);
        BreakerEvidence { at: self.shown(evidence.at), got: evidence.got.to_string(), milliseconds }
    }

    fn shown(&self, at: Instant) -> String {
        let (before, after) = (self.instant.saturating_duration_since(at), at.saturating_duration_since(self.instant));
        let moment = self.wall.checked_sub(before).and_then(|moment| moment.checked_add(after));
        rfc3339(moment.unwrap_or(self.wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn moments_before_and_after_are_told_in_wall_time() {
        let clock = Clock { wall: UNIX_EPOCH + Duration::from_secs(1_700_000_000), instant: Instant::now() };
        assert_eq!(clock.shown(clock.instant), "2023-11-14T22:13:20Z");
        assert_eq!(clock.shown(clock.instant + Duration::from_secs(30)), "2023-11-14T22:13:50Z");
        assert_eq!(clock.shown(clock.instant.checked_sub(Duration::from_secs(5)).unwrap()), "2023-11-14T22:13:15Z");
    }
}
