//! One endpoint being asked, for the counters, the balancer and the breaker: whatever becomes of it is counted once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backend::{Backend, Broken};
use super::forward::Call;
use super::repeat::is_declined;
use crate::base::clock;
use crate::base::metrics::{self, Label};
use crate::proxy::balance::breaker::{Got, Probe, Trial};
use crate::proxy::balance::{Active, Admitted, Endpoint, Measures, Outcome, Retrying};
use crate::proxy::fault::{Fault, Side};
use crate::proxy::http::grpc;
use crate::proxy::message::{Name, Response};

/// A request in flight to an endpoint.
pub(super) struct Asked {
    active: Active,
    /// It is sent again, which is counted for as long as it is in flight.
    pub(super) retrying: Option<Retrying>,
    metrics: metrics::Worker,
    pool: Label,
    /// What the pool's algorithm wants to know, and whether it has been told.
    measures: Measures,
    told: bool,
    since: Instant,
    outcome: &'static str,
    response_time: Option<Duration>,
    /// The breaker's, where it is by this request that it sees how the endpoint does.
    probe: Option<Probe>,
    /// How many errors the breaker had before this answer, and whether it was one itself.
    run: u32,
    erred: bool,
    /// From when the endpoint had all of the request, where that was later than its beginning.
    pub(super) waited: Option<Duration>,
}

/// Whether a failure says something of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    Endpoint,
    Nobody,
}

impl Blame {
    fn of(endpoint: bool) -> Self {
        if endpoint { Self::Endpoint } else { Self::Nobody }
    }

    /// Of what went wrong before the request was on its way.
    pub(super) fn of_connecting(broken: &Broken) -> Self {
        let its_own = broken.fault.facts().side == Side::Upstream && broken.fault != Fault::TotalTimeout;
        Self::of(its_own && !broken.stale && !is_declined(broken))
    }

    /// Of what went wrong before the answer; `complete` says that the endpoint had all of the request, and no deadline of the
    /// caller's.
    pub(super) fn of_asking(broken: &Broken, backend: &Backend, complete: bool) -> Self {
        Self::of_answer(broken, matches!(backend, Backend::H1(_)), complete)
    }

    fn of_answer(broken: &Broken, over_http1: bool, complete: bool) -> Self {
        Self::of(match broken.fault {
            _ if broken.stale => false,
            // Over HTTP/2 that is how a backend declines a request, over HTTP/1.1 it is a reset like any other.
            Fault::BackendReset => over_http1 || !is_declined(broken),
            // The client may have taken its time, and who asks for a tunnel where there is none gets none.
            Fault::TotalTimeout => complete,
            Fault::NoTunnel => false,
            fault => fault.facts().side == Side::Upstream,
        })
    }
}

impl Asked {
    /// Counts it as begun at the moment `now`.
    pub(super) fn begin(call: &Call<'_>, admitted: Admitted, retrying: Option<Retrying>, now: Instant) -> Self {
        let Admitted { active, probe } = admitted;
        call.metrics.backend_started(call.pool.label, active.endpoint.label);
        Self {
            active,
            retrying,
            metrics: call.metrics.clone(),
            pool: call.pool.label,
            measures: call.pool.measures(),
            told: false,
            since: now,
            outcome: "cancelled",
            response_time: None,
            probe,
            run: 0,
            erred: false,
            waited: None,
        }
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.active.endpoint
    }

    /// The head of its answer has come. How long that took.
    pub(super) fn answered(&mut self, call: &Call<'_>, response: &Response) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since);
        let status = response.status;
        self.response_time = Some(took);
        self.outcome = if status < 500 { "ok" } else { "error" };
        let asks = self.measures == Measures::Peak && matches!(status, 429 | 503);
        let retry_after = if asks { retry_after(response, clock::now()) } else { None };
        self.tell(Outcome::Answered { status, retry_after }, now);
        let unavailable = call.patient && grpc::is_unavailable(response);
        let got = if unavailable { Got::Fault("grpc_unavailable") } else { Got::Status(status) };
        self.erred = status >= 500 || unavailable;
        let trial = self.trial(call, got, self.erred, took);
        self.run = call.pool.judge(&self.active.endpoint, self.probe.take(), &trial, now);
        took
    }

    /// It broke before its answer. A connection that the backend closed while it was not used says nothing of the backend.
    pub(super) fn broke(&mut self, call: &Call<'_>, broken: &Broken, blame: Blame) {
        self.told |= broken.stale;
        self.note(broken.fault);
        let now = Instant::now();
        let outcome = if broken.fault.facts().side == Side::Upstream { Outcome::Failed } else { Outcome::Left };
        self.tell(outcome, now);
        if blame == Blame::Endpoint {
            let took = now.saturating_duration_since(self.since);
            let trial = self.trial(call, Got::Fault(broken.fault.reason()), true, took);
            call.pool.judge(&self.active.endpoint, self.probe.take(), &trial, now);
        }
    }

    /// It failed in the middle of its answer.
    pub(super) fn failed(&mut self, call: &Call<'_>, fault: Fault) {
        self.note(fault);
        let Some(took) = self.response_time else { return };
        let endpoint = &self.active.endpoint;
        // A tunnel may end by a deadline, and a client by leaving: what began well was good, unless it broke.
        let broke = matches!(fault, Fault::BackendReset | Fault::BackendMalformed);
        if broke {
            endpoint.load.learn(self.measures, Outcome::Failed, took, Instant::now());
        }
        if !self.erred && (broke || fault == Fault::StreamTimeout && !call.patient) {
            let now = Instant::now();
            let head = took;
            let took = now.saturating_duration_since(self.since);
            let trial = self.trial(call, Got::Fault(fault.reason()), true, took);
            call.pool.judge_broken(endpoint, (self.run, took.saturating_sub(head)), &trial, now);
        }
    }

    fn trial(&self, call: &Call<'_>, got: Got, error: bool, took: Duration) -> Trial {
        Trial { got, error, took: self.waited.unwrap_or(took), patient: call.patient }
    }

    fn note(&mut self, fault: Fault) {
        self.outcome = match fault {
            Fault::ClientGone => "cancelled",
            fault => fault.reason(),
        };
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

    #[test]
    fn what_the_client_or_nobody_caused_is_not_blamed_on_the_endpoint() {
        const BROKEN: Broken = Broken { fault: Fault::BackendReset, unseen: false, stale: false };
        let unseen = Broken { unseen: true, ..BROKEN };
        for (broken, over_http1, complete, blamed) in [
            (BROKEN, true, true, true),
            (BROKEN, false, true, true),
            (unseen, true, false, true),
            (unseen, false, false, false),
            (Broken { stale: true, ..BROKEN }, true, true, false),
            (Broken { fault: Fault::ResponseTimeout, ..BROKEN }, true, true, true),
            (Broken { fault: Fault::BackendMalformed, ..BROKEN }, true, true, true),
            (Broken { fault: Fault::TotalTimeout, ..BROKEN }, true, true, true),
            (Broken { fault: Fault::TotalTimeout, ..BROKEN }, true, false, false),
            (Broken { fault: Fault::NoTunnel, ..BROKEN }, true, true, false),
            (Broken { fault: Fault::ClientGone, ..BROKEN }, true, true, false),
            (Broken { fault: Fault::BodyTimeout, ..BROKEN }, true, false, false),
            (Broken { fault: Fault::Internal, ..BROKEN }, true, true, false),
        ] {
            assert_eq!(Blame::of_answer(&broken, over_http1, complete), Blame::of(blamed), "{broken:?} {over_http1}");
        }
        for (broken, blamed) in [
            (Broken { fault: Fault::ConnectFailed, ..unseen }, true),
            (Broken { fault: Fault::ConnectTimeout, ..unseen }, true),
            (Broken { fault: Fault::BackendTls(crate::proxy::fault::TlsFault::Closed), ..unseen }, true),
            (Broken { fault: Fault::TotalTimeout, ..unseen }, false),
            (unseen, false),
            (Broken { fault: Fault::ConnectFailed, stale: true, ..unseen }, false),
        ] {
            assert_eq!(Blame::of_connecting(&broken), Blame::of(blamed), "{broken:?}");
        }
    }
}
