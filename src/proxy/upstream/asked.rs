//! One endpoint being asked, for the counters: whatever becomes of it is counted once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::forward::Call;
use crate::base::metrics::{self, Label};
use crate::proxy::balance::{Active, Endpoint};
use crate::proxy::fault::Fault;

/// A request in flight to an endpoint.
pub(super) struct Asked {
    active: Active,
    metrics: metrics::Worker,
    pool: Label,
    since: Instant,
    outcome: &'static str,
    response_time: Option<Duration>,
}

impl Asked {
    /// Counts it as begun.
    pub(super) fn begin(call: &Call<'_>, endpoint: &Arc<Endpoint>) -> Self {
        call.metrics.backend_started(call.pool.label, endpoint.label);
        Self {
            active: endpoint.begin(),
            metrics: call.metrics.clone(),
            pool: call.pool.label,
            since: Instant::now(),
            outcome: "cancelled",
            response_time: None,
        }
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.active.endpoint
    }

    /// The head of its answer has come. How long that took.
    pub(super) fn answered(&mut self, status: u16) -> Duration {
        let took = self.since.elapsed();
        self.response_time = Some(took);
        self.outcome = if status < 500 { "ok" } else { "error" };
        took
    }

    /// It failed, before or in the middle of its answer.
    pub(super) fn failed(&mut self, fault: Fault) {
        self.outcome = match fault {
            Fault::ClientGone => "cancelled",
            fault => fault.reason(),
        };
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.metrics.backend_finished(self.pool, self.active.endpoint.label, self.outcome, self.response_time);
    }
}
