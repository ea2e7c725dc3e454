//! From a request to the beginning of an answer: pick an endpoint, try it, try another where that is safe.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Client;
use super::asked::Asked;
use super::clocks::Clocks;
use super::connection::Connection;
use super::sending::Sending;
use crate::base::alarm::{Alarm, Moment};
use crate::base::metrics;
use crate::proxy::balance::{Endpoint, Pool};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Length};
use crate::proxy::http::h1::framing::{self, Framing};
use crate::proxy::http::h1::head::{self, HeadError, HeadLimits};
use crate::proxy::http::h1::stream::Unsent;
use crate::proxy::http::h1::write;
use crate::proxy::message::{Name, Request, Response};

/// What a backend's answer may have for a head.
const ANSWER: HeadLimits = HeadLimits { uri: 256, fields_size: 64 << 10, fields: 256 };

/// How many interim answers (1xx) are passed over.
const MOST_INTERIM: usize = 16;

/// How long a client that closed its sending side after a whole request waits for its answer to begin, or to go on.
pub(super) const HALF_CLOSED: Duration = Duration::from_secs(1);

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
    pub pool: &'a Pool,
    /// Deadlines towards the backend.
    pub timeouts: Timeouts,
    /// The most bytes its body may have.
    pub body_limit: Option<u64>,
    /// How long the client may pause within its body.
    pub body_idle: Duration,
    /// How long the client may take nothing of the response.
    pub write_idle: Duration,
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
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
}

/// A response whose head has arrived.
pub struct Begun {
    pub(super) connection: Connection,
    pub(super) sending: Sending,
    pub(super) asked: Asked,
    framing: Framing,
}

impl Begun {
    /// How long the response's body is.
    pub fn length(&self) -> Length {
        match self.framing {
            Framing::Empty => Length::Empty,
            Framing::Length(length) => Length::Known(length),
            Framing::Chunked | Framing::Close => Length::Unknown,
        }
    }
}

/// Why an attempt failed and what may follow.
struct Failed {
    fault: Fault,
    /// The backend has certainly seen nothing of the request.
    unseen: bool,
    /// The connection came from the pool and had not begun to answer: it may have been closed meanwhile.
    stale: bool,
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
    let mut attempt = Attempt { call, replayable, fresh: false, sending: Sending::default(), unsent: None };
    let mut tried = Vec::new();
    let mut again: Option<Arc<Endpoint>> = None;
    loop {
        let picked = again.take().or_else(|| call.pool.pick(&tried).map(Arc::clone));
        let endpoint = picked.ok_or(Fault::NoBackend)?;
        let asked = Asked::begin(call, &endpoint);
        trip.endpoint = Some(Arc::clone(&endpoint));
        let failed = match attempt.run(client, asked, response).await {
            Ok((begun, took)) => {
                trip.response_time = Some(took);
                trip.request_bytes = begun.sending.taken;
                if trip.retries > 0 {
                    call.metrics.retried(call.pool.label, "answered");
                }
                return Ok(begun);
            }
            Err(failed) => failed,
        };
        trip.request_bytes = attempt.sending.taken;
        response.clear();
        let allowed = may_repeat(&failed, replayable);
        if allowed && failed.stale {
            // Not the backend's failure, so it neither counts nor counts against it; a new connection is never stale.
            attempt.fresh = true;
            again = Some(endpoint);
        } else if allowed && trip.retries < u32::from(call.pool.retries) {
            trip.retries += 1;
            tried.push(endpoint.id);
        } else {
            if trip.retries > 0 {
                call.metrics.retried(call.pool.label, "failed");
            }
            return Err(failed.fault);
        }
    }
}

/// Whether another attempt may follow. One that took too long or was answered badly is no reason to ask twice: the backend got
/// the request, and the client would wait twice as long as its route allows.
fn may_repeat(failed: &Failed, replayable: bool) -> bool {
    match failed.fault {
        Fault::ConnectFailed | Fault::ConnectTimeout => true,
        Fault::BackendReset => failed.unseen || replayable,
        _ => false,
    }
}

fn is_replayable(request: &Request, length: Length) -> bool {
    matches!(request.method(), b"GET" | b"HEAD" | b"OPTIONS") && length == Length::Empty
}

/// What one attempt leaves to the next.
struct Attempt<'a> {
    call: &'a Call<'a>,
    replayable: bool,
    /// Only a new connection will do.
    fresh: bool,
    sending: Sending,
    /// A request that was begun and not sent.
    unsent: Option<Unsent>,
}

impl Attempt<'_> {
    async fn run<D: Downstream>(
        &mut self,
        client: &mut D,
        mut asked: Asked,
        response: &mut Response,
    ) -> Result<(Begun, Duration), Failed> {
        let (mut connection, pooled) = match self.connect(asked.endpoint()).await {
            Ok(connected) => connected,
            Err(fault) => {
                asked.failed(fault);
                return Err(Failed { fault, unseen: true, stale: false });
            }
        };
        let sent_before = connection.stream.channel.sent();
        match self.unsent.take() {
            Some(unsent) => connection.stream.resume(unsent),
            None => self.write_head(&mut connection, client.request_length()),
        }
        match self.await_answer(client, &mut connection, response).await {
            Ok(framing) => {
                let took = asked.answered(response.status);
                Ok((Begun { connection, sending: self.sending, asked, framing }, took))
            }
            Err(fault) => {
                asked.failed(fault);
                let unseen = connection.stream.channel.sent() == sent_before;
                if unseen {
                    self.unsent = Some(connection.stream.take_unsent());
                    self.sending.broken = false;
                } else {
                    self.sending = Sending::default();
                }
                let stale = pooled && fault == Fault::BackendReset && connection.stream.channel.input().is_empty();
                Err(Failed { fault, unseen, stale })
            }
        }
    }

    /// A connection, and whether it comes from the pool.
    async fn connect(&self, endpoint: &Endpoint) -> Result<(Connection, bool), Fault> {
        let pooled = if self.fresh { None } else { self.call.client.take(endpoint, self.replayable) };
        if let Some(connection) = pooled {
            return Ok((connection, true));
        }
        let due = self.call.alarm.alarms().after(self.call.timeouts.connect).min(self.call.total);
        let opened = self.call.client.open(endpoint, self.call.alarm, due).await;
        opened.map(|connection| (connection, false))
    }

    fn write_head(&self, connection: &mut Connection, length: Length) {
        let framing = match length {
            Length::Empty => Framing::Empty,
            Length::Known(length) => Framing::Length(length),
            Length::Unknown => Framing::Chunked,
        };
        let output = connection.stream.channel.output();
        write::request_open(output, self.call.request);
        if framing == Framing::Chunked {
            write::line(output, b"transfer-encoding", b"chunked");
        }
        if self.call.request.fields.first(Name::Te).is_some() {
            // What is left of TE is for this hop, and says so (RFC 9110 §10.1.4).
            write::line(output, b"connection", b"te");
        }
        output.extend_from_slice(b"\r\n");
        connection.stream.begin_body(framing);
    }

    async fn await_answer<D: Downstream>(
        &mut self,
        client: &mut D,
        connection: &mut Connection,
        response: &mut Response,
    ) -> Result<Framing, Fault> {
        let call = self.call;
        let mut clocks = Clocks::new(call.alarm, call.total);
        let mut searched = 0;
        let mut interim = 0;
        let mut listening = true;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(Err(fault)) = self.sending.poll(cx, call, (client, &mut connection.stream), &mut clocks)
            {
                return Poll::Ready(Err(fault));
            }
            while let Poll::Ready(end) = poll_head_end(cx, connection, &mut searched)? {
                response.clear();
                head::response(&connection.stream.channel.input()[..end], ANSWER, response).map_err(fault_of)?;
                connection.stream.channel.consume(end);
                searched = 0;
                match response.status {
                    101 => return Poll::Ready(Err(Fault::BackendMalformed)),
                    100..=199 if interim < MOST_INTERIM => interim += 1,
                    100..=199 => return Poll::Ready(Err(Fault::BackendMalformed)),
                    _ => {
                        let framing = accept(connection, call.request, response);
                        // An answer that came before its request was complete leaves the connection in doubt.
                        connection.keeps &= self.sending.is_done(&connection.stream);
                        return Poll::Ready(framing);
                    }
                }
            }
            if listening && self.sending.is_done(&connection.stream) {
                match client.poll_gone(cx) {
                    Poll::Ready(Gone::Surely) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Ready(Gone::Perhaps) => {
                        listening = false;
                        clocks.gone = clocks.after(Some(HALF_CLOSED));
                    }
                    Poll::Pending => {}
                }
            }
            clocks.poll(cx).map(Err)
        })
        .await
    }
}

/// The length of the next whole head in the input.
fn poll_head_end(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    searched: &mut usize,
) -> Result<Poll<usize>, Fault> {
    loop {
        let input = connection.stream.channel.input();
        let found = head::find_end(input, searched).map_err(fault_of)?;
        head::outgrown(&input[..*searched], ANSWER).map_err(fault_of)?;
        if let Some(end) = found {
            return Ok(Poll::Ready(end));
        }
        match connection.stream.channel.poll_fill(cx) {
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(_) => return Err(Fault::BackendReset),
            Poll::Pending => return Ok(Poll::Pending),
        }
    }
}

fn accept(connection: &mut Connection, request: &Request, response: &Response) -> Result<Framing, Fault> {
    let framing = framing::of_response(response, request.method() == b"HEAD")?;
    connection.note(response);
    connection.keeps &= framing != Framing::Close;
    connection.stream.expect_body(framing);
    Ok(framing)
}

fn fault_of(error: HeadError) -> Fault {
    match error {
        HeadError::Syntax | HeadError::UriTooLong => Fault::BackendMalformed,
        HeadError::TooLarge => Fault::BackendHeadersTooLarge,
    }
}
