//! Requests that begin at an endpoint of a pool, wait for one, or are sent again.

use std::sync::Arc;
use std::time::Instant;

use super::breaker::{Admission, Probe};
use super::{Active, Asking, Endpoint, Nobody, Pool, Retrying, Waiting};

/// How often another endpoint is picked where somebody else was faster.
const MOST_PICKS: u32 = 8;

/// A request that may go to an endpoint.
#[derive(Debug)]
pub struct Admitted {
    /// It is in flight there.
    pub active: Active,
    /// That it is by this request that the endpoint's breaker sees how it does.
    pub probe: Option<Probe>,
}

impl Pool {
    /// Picks an endpoint and counts a request as in flight there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn begin(&self, asking: &Asking<'_>) -> Result<Admitted, Nobody> {
        for _ in 0..MOST_PICKS {
            if let Some(admitted) = self.begin_at(self.pick(asking)?, asking.now) {
                return Ok(admitted);
            }
        }
        Err(if self.queue.max_requests.is_some() { Nobody::Full } else { self.spread.nobody(asking) })
    }

    /// Counts a request as in flight at an endpoint. None where it has as many as it may have, or its breaker lets nothing
    /// through.
    pub fn begin_at(&self, endpoint: &Arc<Endpoint>, now: Instant) -> Option<Admitted> {
        let probe = match self.admit(endpoint, now) {
            Admission::Free => None,
            Admission::Probing(probe) => Some(probe),
            Admission::Refused => return None,
        };
        let active = endpoint.begin(self.queue.max_requests)?;
        Some(Admitted { active, probe })
    }

    /// Whether there is an endpoint for a request now. Takes no turn.
    pub fn has_any(&self, asking: &Asking<'_>) -> bool {
        self.spread.has_any(asking)
    }

    /// Whether there is an endpoint that is available and where the request was not, whether it has room or not.
    pub fn has_other(&self, asking: &Asking<'_>) -> bool {
        self.spread.has_well(asking)
    }

    /// How many requests wait for an endpoint with room.
    pub fn waiting(&self) -> u32 {
        self.waiting.length()
    }

    /// Lets a request wait for an endpoint with room; none where as many wait as may.
    pub fn join_queue(&self) -> Option<Waiting> {
        self.waiting.join(self.queue.queue)
    }

    /// Counts a request as sent again; none where as many are as may be.
    pub fn begin_retry(&self) -> Option<Retrying> {
        let in_flight = self.endpoints.iter().map(|endpoint| endpoint.load.active()).sum();
        self.retries.begin(self.retry.most_at_once(in_flight))
    }
}
