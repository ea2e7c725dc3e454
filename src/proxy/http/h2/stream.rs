//! One stream: the client's side of one exchange.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};

use super::flow::{Arrived, Arriving, Outgoing};
use super::piece::{Held, Piece};
use super::{request, response};
use crate::base::buffers::Buffers;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::message::{Fields, Response};

/// The stream. Dropped before its response is complete, it is reset.
pub struct Stream {
    body: Arriving,
    length: Length,
    trailers: Option<Fields>,
    limits: HeadLimits,
    expects_continue: bool,
    respond: SendResponse<Piece>,
    sending: Sending,
    outgoing: Outgoing,
}

/// How far the response has come.
enum Sending {
    /// Not begun.
    Nothing,
    /// Begun; nothing of it is with `h2`.
    Head { head: http::Response<()>, empty: bool },
    /// The head is with `h2`.
    Body(SendStream<Piece>),
}

/// What a stream needs beside its two halves.
pub(super) struct Parts {
    pub(super) length: Length,
    pub(super) limits: HeadLimits,
    pub(super) expects_continue: bool,
    pub(super) held: Rc<Held>,
    pub(super) buffers: Rc<Buffers>,
}

impl Stream {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Piece>, parts: Parts) -> Self {
        Self {
            body: Arriving::new(body),
            length: parts.length,
            trailers: None,
            limits: parts.limits,
            expects_continue: parts.expects_continue,
            respond,
            sending: Sending::Nothing,
            outgoing: Outgoing::new(parts.held, &parts.buffers),
        }
    }

    /// The client is told to go on, once, when its body is asked for.
    fn send_continue(&mut self) {
        if std::mem::take(&mut self.expects_continue) && !self.has_started() {
            let mut interim = http::Response::new(());
            *interim.status_mut() = http::StatusCode::CONTINUE;
            // A stream that is over says so when its body is read.
            let _ = self.respond.send_informational(interim);
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sending {
            Sending::Nothing | Sending::Head { .. } => self.respond.poll_reset(cx).map(drop),
            Sending::Body(stream) => stream.poll_reset(cx).map(drop),
        }
    }

    /// Gives `h2` what it is to have now.
    fn hand_over(&mut self) -> Result<(), h2::Error> {
        if let Sending::Head { head, empty } = &mut self.sending {
            let (head, empty) = (std::mem::take(head), *empty);
            self.sending = Sending::Body(self.respond.send_response(head, empty)?);
            if empty {
                self.outgoing.end();
            }
        }
        match &mut self.sending {
            Sending::Body(stream) => self.outgoing.hand_over(stream),
            Sending::Nothing | Sending::Head { .. } => Ok(()),
        }
    }
}

impl Downstream for Stream {
    fn request_length(&self) -> Length {
        self.length
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<Progress, Fault>> {
        self.send_continue();
        match ready!(self.body.poll(cx, into, limit)).map_err(|error| fault_of(&error))? {
            Arrived::Data(count) => Poll::Ready(Ok(Progress::Data(count))),
            Arrived::End(trailers) => {
                if let Some(trailers) = trailers {
                    self.trailers = Some(request::trailers(&trailers, self.limits)?);
                }
                Poll::Ready(Ok(Progress::End))
            }
        }
    }

    fn request_trailers(&self) -> Option<&Fields> {
        self.trailers.as_ref()
    }

    fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    fn interim(&mut self, response: &Response) {
        if !self.has_started() {
            // A stream that is over says so when it is written to.
            let _ = self.respond.send_informational(response::head(response, Length::Empty));
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.poll_reset(cx).map(|()| Gone::Surely)
    }

    fn start(&mut self, response: &Response, length: Length) {
        self.sending = Sending::Head { head: response::head(response, length), empty: length == Length::Empty };
    }

    fn has_started(&self) -> bool {
        !matches!(self.sending, Sending::Nothing)
    }

    fn room(&mut self) -> &mut Vec<u8> {
        self.outgoing.room()
    }

    fn appended(&mut self, _: usize) {}

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.outgoing.finish(trailers);
    }

    fn wants(&self) -> usize {
        self.outgoing.wants()
    }

    fn unwritten(&self) -> usize {
        self.outgoing.unwritten()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.hand_over().is_err() || self.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.outgoing.poll_written(cx).map(Ok)
    }

    /// The connection carries many exchanges; none of them decides for the others.
    fn close_after(&mut self) {}

    fn retract(&mut self) -> bool {
        let untouched = matches!(self.sending, Sending::Head { .. });
        if untouched {
            self.outgoing.clear();
            self.sending = Sending::Nothing;
        }
        untouched
    }

    fn abort(&mut self) {
        match &mut self.sending {
            Sending::Nothing | Sending::Head { .. } => self.respond.send_reset(Reason::INTERNAL_ERROR),
            Sending::Body(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// Whose fault it is that a body broke off. `h2` resets a stream whose data are not what its `content-length` says.
fn fault_of(error: &h2::Error) -> Fault {
    if error.is_reset() && error.is_library() { Fault::Malformed(Malformed::Framing) } else { Fault::ClientGone }
}
