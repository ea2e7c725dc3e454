//! From a request to the beginning of an answer: pick an endpoint, try it, try another where that is safe.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::attempt::{Attempt, Begun};
use super::tries::{Next, Tries};
use crate::base::alarm::{Alarm, Moment};
use crate::base::metrics;
use crate::proxy::balance::{Endpoint, Pool};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Length};
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::message::{Request, Response};
use crate::proxy::policy::auth::Identity;

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
    /// Fields that a client must not say in its trailers either.
    pub identity: &'a Identity,
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
    /// Why it was the last time.
    pub retried_for: Option<Fault>,
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
/// also after the connection broke, or after an answer whose status says so. Nothing else ever is.
pub async fn forward<D: Downstream>(
    client: &mut D,
    call: &Call<'_>,
    response: &mut Response,
    trip: &mut Trip,
) -> Result<Begun, Fault> {
    let replayable = is_replayable(call.request, client.request_length());
    let mut attempt = Attempt::new(call, client, replayable);
    let mut tries = Tries::new(call, replayable);
    let result = loop {
        let asked = match tries.begin(client, trip).await {
            Ok(asked) => asked,
            Err(fault) => break Err(fault),
        };
        let endpoint = Arc::clone(asked.endpoint());
        trip.endpoint = Some(Arc::clone(&endpoint));
        match attempt.run(client, asked, response).await {
            Ok((mut begun, took)) => {
                trip.response_time = Some(took);
                trip.request_bytes = begun.sending.taken;
                if !tries.repeats(response) {
                    break Ok(begun);
                }
                *tries.permit() = begun.asked.retrying.take();
                match Box::pin(tries.after_answer(client, (&endpoint, response), trip)).await {
                    Ok(false) => {
                        begun.asked.retrying = tries.permit().take();
                        break Ok(begun);
                    }
                    Ok(true) => attempt.start_over(client),
                    Err(fault) => break Err(fault),
                }
            }
            Err(broken) => {
                trip.request_bytes = attempt.sending.taken;
                let resumable = attempt.sending.can_resume();
                match Box::pin(tries.after(client, (&endpoint, &broken, resumable), trip)).await {
                    Ok(Next::Same) => attempt.since = call.client.mark(),
                    // What was learnt of this backend's connections says nothing of the next one's.
                    Ok(Next::Other) => attempt.since = 0,
                    Ok(Next::None) => break Err(broken.fault),
                    Err(fault) => break Err(fault),
                }
            }
        }
        response.clear();
    };
    if trip.retries > 0 {
        call.metrics.retried(call.pool.label, if result.is_ok() { "answered" } else { "failed" });
    }
    if result.is_err() {
        response.clear();
    }
    result
}

fn is_replayable(request: &Request, length: Length) -> bool {
    matches!(request.method(), b"GET" | b"HEAD" | b"OPTIONS") && length == Length::Empty
}

#[cfg(test)]
mod tests {
    use super::*;

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
