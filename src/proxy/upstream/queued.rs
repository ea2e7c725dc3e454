//! Requests that wait for a backend with room, as the metrics count them.

use super::forward::Call;

/// A request that waits, for the gauge.
pub(super) struct Queued<'a>(&'a Call<'a>);

impl<'a> Queued<'a> {
    /// Counts it until the guard is dropped.
    pub(super) fn begin(call: &'a Call<'a>) -> Self {
        call.metrics.queued(call.pool.label);
        Self(call)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.metrics.left_queue(self.0.pool.label);
    }
}
