//! From a request to the beginning of an answer: pick an endpoint, try it, try another where that is safe.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Client;
use super::asked::Asked;
use super::attempt::{Attempt, Begun};
use super::backend::Broken;
use crate::base::alarm::{Alarm, Moment};
use crate::base::metrics;
use crate::proxy::balance::{Asking, Endpoint, Nobody, Pool};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Length};
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::message::{Request, Response};

/// How often a request is sent again without that being counted as a retry.
const MOST_UNCOUNTED: u32 = 3;

/// Deadlines towards the backend; none where there is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To open a connection.
    pub connect: Option<Duration>,
    /// From the end of the request, or the last piece of it that the backend took, to the head of the answer.
    pub response: Option<Duration>,
    /// Between two pieces of the answer's body.
    pub idle: Option<Duration>,
}

/// One request to be forwarded, as the backend is to get it.
pub struct Call<'a> {
    /// The head, rewritten, stripped and extended.
    pub request: &'a Request,
    /// Where to.
    pub pool: &'a Arc<Pool>,
    /// The client's address.
    pub from: IpAddr,
    /// The PROXY header that its connection has to have begun with.
    pub header: Option<Header>,
    /// Deadlines towards the backend.
    pub timeouts: Timeouts,
    /// The most bytes its body may have.
    pub body_limit: Option<u64>,
    /// How long the client may pause within its body; none where there is no limit.
    pub body_idle: Option<Duration>,
    /// How long the client may take nothing of the response.
    pub write_idle: Duration,
    /// How long a tunnel may be without a byte; none where there is no limit.
    pub tunnel_idle: Option<Duration>,
    /// Whether its answer may take as long as it likes: that of a tunnel, or of a call of gRPC.
    pub patient: bool,
    /// When the whole exchange must be over.
    pub total: Moment,
    /// The alarm of the exchange.
    pub alarm: &'a Alarm,
    /// The worker's connections.
    pub client: &'a Client,
    /// The worker's counters.
    pub metrics: &'a metrics::Worker,
}

/// What the log and the counters want to know of an exchange's way upstream.
#[derive(Debug, Default)]
pub struct Trip {
    /// The endpoint that was asked last.
    pub endpoint: Option<Arc<Endpoint>>,
    /// From the start of the last attempt to the head of its answer.
    pub response_time: Option<Duration>,
    /// How often the request was sent again.
    pub retries: u32,
    /// Where nobody may be asked now: after what time, where that is known.
    pub retry_after: Option<Duration>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
}

/// Sends the request until some endpoint begins to answer, and reads the head of its answer into `response`.
///
/// A request of which the backend has seen nothing is tried again whatever its method; GET, HEAD and OPTIONS without a body
/// also after the connection broke. Nothing else ever is.
pub async fn forward<D: Downstream>(
    client: &mut D,
    call: &Call<'_>,
    response: &mut Response,
    trip: &mut Trip,
) -> Result<Begun, Fault> {
    let replayable = is_replayable(call.request, client.request_length());
    let mut attempt = Attempt::new(call, client, replayable);
    let mut tried = Vec::new();
    let mut again: Option<Arc<Endpoint>> = None;
    let mut uncounted = 0;
    let mut failed = None;
    loop {
        let now = Instant::now();
        let asking = Asking { tried: &tried, client: call.from, request: call.request, now };
        let picked = again.take().map_or_else(|| call.pool.pick(&asking).map(Arc::clone), Ok);
        let endpoint = picked.map_err(|nobody| turned_away(call, trip, (nobody, failed)))?;
        // Where another request was the breaker's probe before this one, another endpoint is picked.
        let Some(asked) = Asked::begin(call, &endpoint, now) else { continue };
        trip.endpoint = Some(Arc::clone(&endpoint));
        let broken = match attempt.run(client, asked, response).await {
            Ok((begun, took)) => {
                trip.response_time = Some(took);
                trip.request_bytes = begun.sending.taken;
                if trip.retries > 0 {
                    call.metrics.retried(call.pool.label, "answered");
                }
                return Ok(begun);
            }
            Err(broken) => broken,
        };
        trip.request_bytes = attempt.sending.taken;
        failed = Some(broken.fault);
        response.clear();
        let allowed = may_repeat(&broken, replayable) && attempt.sending.can_resume();
        if allowed && broken.stale && uncounted < MOST_UNCOUNTED {
            // Not a failure of the backend, which closed an unused connection: it is not counted as a retry.
            uncounted += 1;
            attempt.since = call.client.mark();
            again = Some(endpoint);
        } else if allowed && is_declined(&broken) && uncounted < MOST_UNCOUNTED {
            // Nor is a backend that declined in time.
            uncounted += 1;
            attempt.since = 0;
            tried.push(endpoint.id);
        } else if allowed && trip.retries < u32::from(call.pool.retries) {
            trip.retries += 1;
            // What was learnt of this backend's connections says nothing of the next one's.
            attempt.since = 0;
            tried.push(endpoint.id);
        } else {
            if trip.retries > 0 {
                call.metrics.retried(call.pool.label, "failed");
            }
            return Err(broken.fault);
        }
    }
}

/// What the client is told where nobody may be asked: how the last attempt failed, or, without one, why not.
fn turned_away(call: &Call<'_>, trip: &mut Trip, (nobody, failed): (Nobody, Option<Fault>)) -> Fault {
    let Some(failed) = failed else {
        trip.retry_after = nobody.wait();
        return nobody.fault();
    };
    if trip.retries > 0 {
        call.metrics.retried(call.pool.label, "failed");
    }
    failed
}

/// Whether another attempt may follow. One that took too long or was answered badly is no reason to ask twice: the backend got
/// the request, and the client would wait twice as long as its route allows.
fn may_repeat(broken: &Broken, replayable: bool) -> bool {
    match broken.fault {
        Fault::ConnectFailed | Fault::ConnectTimeout | Fault::BackendTls(_) => true,
        Fault::BackendReset => broken.unseen || replayable,
        _ => false,
    }
}

/// The backend has certainly done nothing of the request, which it told over HTTP/2 by GOAWAY or a stream refused, or of which a
/// connection of HTTP/1.1 broke before it took a byte.
pub(super) fn is_declined(broken: &Broken) -> bool {
    broken.unseen && broken.fault == Fault::BackendReset
}

fn is_replayable(request: &Request, length: Length) -> bool {
    matches!(request.method(), b"GET" | b"HEAD" | b"OPTIONS") && length == Length::Empty
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Broken = Broken { fault: Fault::BackendReset, unseen: false, stale: false };

    #[test]
    fn only_what_the_backend_has_not_seen_or_what_is_safe_is_sent_again() {
        for (broken, replayable, expected) in [
            (BROKEN, false, false),
            (BROKEN, true, true),
            (Broken { stale: true, ..BROKEN }, false, false),
            (Broken { unseen: true, ..BROKEN }, false, true),
            (Broken { fault: Fault::ConnectFailed, ..BROKEN }, false, true),
            (Broken { fault: Fault::ConnectTimeout, ..BROKEN }, false, true),
            (Broken { fault: Fault::ResponseTimeout, ..BROKEN }, true, false),
            (Broken { fault: Fault::BackendMalformed, unseen: true, ..BROKEN }, true, false),
            (Broken { fault: Fault::TotalTimeout, unseen: true, ..BROKEN }, true, false),
        ] {
            assert_eq!(may_repeat(&broken, replayable), expected, "{broken:?}, replayable: {replayable}");
        }
    }

    #[test]
    fn reads_without_a_body_are_replayable() {
        let with = |method: &str, length| {
            let mut request = Request::default();
            let method = request.fields.store(method.as_bytes());
            request.set_method(method);
            is_replayable(&request, length)
        };
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(with(method, Length::Empty) && !with(method, Length::Known(1)) && !with(method, Length::Unknown));
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "get"] {
            assert!(!with(method, Length::Empty), "{method}");
        }
    }
}
