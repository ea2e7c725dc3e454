//! One exchange's side of a connection to a backend: a request out, an answer in.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::client::ResponseFuture;
use h2::{Reason, SendStream};

use super::guard::fault_of;
use super::handle::{Handle, State};
use super::head;
use crate::base::alarm::Moment;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Length, Progress};
use crate::proxy::http::h2::flow::{Arrived, Arriving, Outgoing};
use crate::proxy::http::h2::piece::{Held, Piece};
use crate::proxy::message::{Fields, Request, Response};

/// A request to be sent.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Its head.
    pub request: &'a Request,
    /// How long its body is.
    pub length: Length,
    /// Whether the connection is inside TLS.
    pub secure: bool,
}

/// Why a stream broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What it is to the client.
    pub fault: Fault,
    /// The backend declares that it has done nothing of the request (RFC 9113 §8.7): it can be sent again, whatever it is.
    pub unprocessed: bool,
    /// The connection broke, and not only the stream; and it had been used before, so that it may have been dead already when the
    /// request was sent.
    pub stale: bool,
}

/// The stream. Dropped before the answer is complete, it is reset, so that the backend learns that nobody waits.
pub struct Stream {
    /// The connection had carried other streams before.
    used: bool,
    opened: Moment,
    /// The head that begins the answer has come.
    answered: bool,
    counted: Counted,
    response: ResponseFuture,
    body: Option<Arriving>,
    trailers: Option<Fields>,
    sending: SendStream<Piece>,
    outgoing: Outgoing,
}

impl Stream {
    /// Opens a stream and begins the request. The body follows, where it has one or becomes a tunnel.
    ///
    /// # Errors
    /// A connection that takes no more streams, a request that HTTP/2 has no spelling for, a tunnel to a backend that has none.
    pub fn open(handle: &Handle, asking: Asking<'_>) -> Result<Self, Broken> {
        let refused = |fault| Broken { fault, unprocessed: false, stale: false };
        if asking.length == Length::Tunnel && !handle.takes_tunnels() {
            return Err(refused(Fault::NoTunnel));
        }
        let head = head::request(asking.request, asking.secure).map_err(refused)?;
        let empty = asking.length == Length::Empty;
        // Of a clone, because each remembers the stream that it waits for.
        let (response, sending) = handle.send.clone().send_request(head, empty).map_err(|_| {
            handle.state.end();
            Broken { fault: Fault::BackendReset, unprocessed: true, stale: true }
        })?;
        let state = &handle.state;
        let used = state.used.replace(true);
        let mut outgoing = Outgoing::new(Held::of(&state.held), &state.buffers);
        if empty {
            outgoing.end();
        }
        Ok(Self {
            used,
            opened: state.alarms.now(),
            answered: false,
            counted: Counted::new(state),
            response,
            body: None,
            trailers: None,
            sending,
            outgoing,
        })
    }

    /// Where the next data of the request are to be appended.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.outgoing.room()
    }

    /// Ends the request, or this side of a tunnel.
    pub fn finish(&mut self, trailers: Option<&Fields>) {
        self.outgoing.finish(trailers);
    }

    /// How many bytes of the request are held here.
    pub fn unwritten(&self) -> usize {
        self.outgoing.unwritten()
    }

    /// How many more bytes of the request are taken now, at most.
    pub fn wants(&self) -> usize {
        self.outgoing.wants()
    }

    /// Sends what is held. Ready when nothing is left here; an error where the backend no longer takes it.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let handed = self.outgoing.hand_over(&mut self.sending);
        if handed.is_err() || (!self.outgoing.has_ended() && self.sending.poll_reset(cx).is_ready()) {
            return Poll::Ready(Err(()));
        }
        self.outgoing.poll_written(cx).map(Ok)
    }

    /// Fills `response`, which is empty, with the next head of the answer: an interim one (1xx), or the one that begins it.
    pub fn poll_head(&mut self, cx: &mut Context<'_>, response: &mut Response) -> Poll<Result<(), Broken>> {
        if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            return Poll::Ready(head::fill(&interim.into_parts().0, response).map_err(malformed));
        }
        let answer =
            ready!(std::pin::Pin::new(&mut self.response).poll(cx)).map_err(|error| broken(&error, self.used))?;
        let (parts, body) = answer.into_parts();
        (self.body, self.answered) = (Some(Arriving::new(body)), true);
        Poll::Ready(head::fill(&parts, response).map_err(malformed))
    }

    /// Whether the answer ended with its head.
    pub fn is_empty(&self) -> bool {
        self.body.as_ref().is_none_or(Arriving::is_at_end)
    }

    /// The answer has no body, whatever comes.
    pub fn expect_no_body(&mut self) {
        self.body = None;
    }

    /// Appends the next piece of the answer's body to `into`, at most `limit` bytes.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<Progress, Broken>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(Progress::End)) };
        match ready!(body.poll(cx, into, limit)).map_err(|error| broken(&error, self.used))? {
            Arrived::Data(count) => Poll::Ready(Ok(Progress::Data(count))),
            Arrived::End(trailers) => {
                if let Some(trailers) = trailers {
                    self.trailers = Some(head::answered_trailers(&trailers).map_err(malformed)?);
                }
                Poll::Ready(Ok(Progress::End))
            }
        }
    }

    /// The answer's trailers, once its body has ended.
    pub fn trailers(&self) -> Option<&Fields> {
        self.trailers.as_ref()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.answered || !self.is_empty() {
            self.counted.0.doubt(self.opened);
        }
    }
}

/// A stream among those of its connection.
struct Counted(Rc<State>);

impl Counted {
    fn new(state: &Rc<State>) -> Self {
        state.streams.set(state.streams.get() + 1);
        Self(Rc::clone(state))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let state = &self.0;
        state.streams.set(state.streams.get() - 1);
        state.idle_since.set(state.alarms.now());
    }
}

fn malformed(fault: Fault) -> Broken {
    Broken { fault, unprocessed: false, stale: false }
}

/// `h2` gives a GOAWAY of the backend as the error of the streams that it declares unprocessed, and of no others.
fn broken(error: &h2::Error, used: bool) -> Broken {
    let remote = error.is_remote();
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let fault = fault_of(error);
    Broken {
        fault,
        unprocessed: remote && (refused || error.is_go_away()),
        stale: used && !error.is_reset() && fault == Fault::BackendReset,
    }
}
