//! One endpoint being asked, for the counters and for the balancer: whatever becomes of it is counted once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backend::Broken;
use super::forward::Call;
use crate::base::clock;
use crate::base::metrics::{self, Label};
use crate::proxy::balance::{Active, Endpoint, Measures, Outcome, Retrying};
use crate::proxy::fault::{Fault, Side};
use crate::proxy::message::{Name, Response};

/// A request in flight to an endpoint.
pub(super) struct Asked {
    active: Active,
    /// It is sent again, which is counted for as long as it is in flight.
    _retrying: Option<Retrying>,
    metrics: metrics::Worker,
    pool: Label,
    /// What the pool's algorithm wants to know, and whether it has been told.
    measures: Measures,
    told: bool,
    since: Instant,
    outcome: &'static str,
    response_time: Option<Duration>,
}

impl Asked {
    /// Counts it as begun at the moment `now`.
    pub(super) fn begin(call: &Call<'_>, active: Active, retrying: Option<Retrying>, now: Instant) -> Self {
        call.metrics.backend_started(call.pool.label, active.endpoint.label);
        Self {
            active,
            _retrying: retrying,
            metrics: call.metrics.clone(),
            pool: call.pool.label,
            measures: call.pool.measures(),
            told: false,
            since: now,
            outcome: "cancelled",
            response_time: None,
        }
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.active.endpoint
    }

    /// The head of its answer has come. How long that took.
    pub(super) fn answered(&mut self, response: &Response) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since);
        let status = response.status;
        self.response_time = Some(took);
        self.outcome = if status < 500 { "ok" } else { "error" };
        let asks = self.measures == Measures::Peak && matches!(status, 429 | 503);
        let retry_after = if asks { retry_after(response, clock::now()) } else { None };
        self.tell(Outcome::Answered { status, retry_after }, now);
        took
    }

    /// It broke before its answer. A connection that the backend closed while it was not used says nothing of the backend.
    pub(super) fn broke(&mut self, broken: &Broken) {
        self.told |= broken.stale;
        self.failed(broken.fault);
    }

    /// It failed, before or in the middle of its answer.
    pub(super) fn failed(&mut self, fault: Fault) {
        self.outcome = match fault {
            Fault::ClientGone => "cancelled",
            fault => fault.reason(),
        };
        match self.response_time {
            // A tunnel may end by a deadline, and a client by leaving: what began well was good, unless it broke.
            Some(took) if matches!(fault, Fault::BackendReset | Fault::BackendMalformed) => {
                self.active.endpoint.load.learn(self.measures, Outcome::Failed, took, Instant::now());
            }
            Some(_) => {}
            None if fault.facts().side == Side::Upstream => self.tell(Outcome::Failed, Instant::now()),
            None => self.tell(Outcome::Left, Instant::now()),
        }
    }

    /// Tells what became of it, the first time.
    fn tell(&mut self, outcome: Outcome, now: Instant) {
        if !std::mem::replace(&mut self.told, true) {
            let took = now.saturating_duration_since(self.since);
            self.active.endpoint.load.learn(self.measures, outcome, took, now);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.told && self.measures != Measures::Nothing {
            self.tell(Outcome::Left, Instant::now());
        }
        self.metrics.backend_finished(self.pool, self.active.endpoint.label, self.outcome, self.response_time);
    }
}

/// How long a backend asks to be left alone: seconds, or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(response: &Response, now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(response.fields.first(Name::RetryAfter)?).ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let at = |second: &str| httpdate::parse_http_date(&format!("Wed, 25 Nov 2026 09:00:{second} GMT")).unwrap();
        for (value, expected) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Wed, 25 Nov 2026 09:00:42 GMT", Some(42)),
            ("Wed, 25 Nov 2026 08:59:59 GMT", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            let mut response = Response::default();
            response.fields.add(b"Retry-After", value.as_bytes());
            assert_eq!(retry_after(&response, at("00")), expected.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&Response::default(), at("00")), None);
    }
}
