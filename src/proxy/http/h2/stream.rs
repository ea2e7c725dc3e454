//! One stream: the client's side of one exchange.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::HeaderMap;

use super::piece::{Held, Piece};
use super::{fields, request, response};
use crate::base::buffers::{BUFFER, Buffers};
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::message::{Fields, Response};

/// The stream. Dropped before its response is complete, it is reset.
pub struct Stream {
    body: RecvStream,
    /// Data that came in one frame and was more than was asked for.
    rest: Bytes,
    length: Length,
    trailers: Option<Fields>,
    limits: HeadLimits,
    expects_continue: bool,
    respond: SendResponse<Piece>,
    sending: Sending,
    output: Vec<u8>,
    held: Rc<Held>,
    buffers: Rc<Buffers>,
}

/// How far the response has come.
enum Sending {
    /// Not begun.
    Nothing,
    /// Begun; nothing of it is with `h2`.
    Head { head: http::Response<()>, empty: bool, end: Option<End> },
    /// The head is with `h2`.
    Body { stream: SendStream<Piece>, end: Option<End> },
    /// The end is with `h2`.
    Ended { stream: SendStream<Piece> },
}

/// How the body ends.
struct End(Option<HeaderMap>);

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
            body,
            rest: Bytes::new(),
            length: parts.length,
            trailers: None,
            limits: parts.limits,
            expects_continue: parts.expects_continue,
            respond,
            sending: Sending::Nothing,
            output: Vec::new(),
            held: parts.held,
            buffers: parts.buffers,
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
            Sending::Body { stream, .. } | Sending::Ended { stream } => stream.poll_reset(cx).map(drop),
        }
    }

    /// Gives `h2` what it is to have now. Small pieces are gathered while others are on their way, so that a client that takes
    /// nothing costs bytes and not buffers.
    fn hand_over(&mut self) -> Result<(), h2::Error> {
        if let Sending::Head { head, empty, end } = &mut self.sending {
            let (head, empty, end) = (std::mem::take(head), *empty, end.take());
            let stream = self.respond.send_response(head, empty)?;
            self.sending = if empty { Sending::Ended { stream } } else { Sending::Body { stream, end } };
        }
        let Sending::Body { stream, end } = &mut self.sending else {
            self.buffers.give(&mut self.output);
            return Ok(());
        };
        if self.output.is_empty() {
            self.buffers.give(&mut self.output);
        } else if self.held.bytes() == 0 || self.output.len() >= BUFFER {
            let last = matches!(end, Some(End(None)));
            stream.send_data(Piece::taking(&mut self.output, &self.held, &self.buffers), last)?;
            if last {
                self.end();
                return Ok(());
            }
        } else {
            return Ok(());
        }
        match end.take() {
            None => return Ok(()),
            Some(End(Some(trailers))) => stream.send_trailers(trailers)?,
            Some(End(None)) => {
                stream.send_data(Piece::taking(&mut Vec::new(), &self.held, &self.buffers), true)?;
            }
        }
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        if let Sending::Body { stream, .. } = std::mem::replace(&mut self.sending, Sending::Nothing) {
            self.sending = Sending::Ended { stream };
        }
    }
}

impl Downstream for Stream {
    fn request_length(&self) -> Length {
        self.length
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<Progress, Fault>> {
        self.send_continue();
        while self.rest.is_empty() {
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(error)) => return Poll::Ready(Err(fault_of(&error))),
                None => {
                    if let Some(trailers) = ready!(self.body.poll_trailers(cx)).map_err(|error| fault_of(&error))? {
                        self.trailers = Some(request::trailers(&trailers, self.limits)?);
                    }
                    return Poll::Ready(Ok(Progress::End));
                }
            }
        }
        let count = self.rest.len().min(limit);
        into.extend_from_slice(&self.rest[..count]);
        self.rest.advance(count);
        // It was received, so it can be released; on a stream that is over it no longer matters.
        let _ = self.body.flow_control().release_capacity(count);
        Poll::Ready(Ok(Progress::Data(count)))
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
        self.sending =
            Sending::Head { head: response::head(response, length), empty: length == Length::Empty, end: None };
    }

    fn has_started(&self) -> bool {
        !matches!(self.sending, Sending::Nothing)
    }

    fn room(&mut self) -> &mut Vec<u8> {
        self.buffers.lend(&mut self.output);
        &mut self.output
    }

    fn appended(&mut self, _: usize) {}

    fn finish(&mut self, trailers: Option<&Fields>) {
        if let Sending::Head { end, .. } | Sending::Body { end, .. } = &mut self.sending {
            *end = Some(End(trailers.and_then(fields::trailers)));
        }
    }

    fn wants(&self) -> usize {
        let allowance = self.held.allowance();
        if self.unwritten() < allowance { allowance } else { 0 }
    }

    fn unwritten(&self) -> usize {
        self.output.len() + self.held.bytes()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.hand_over().is_err() || self.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        if self.unwritten() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.held.wait(cx);
        Poll::Pending
    }

    /// The connection carries many exchanges; none of them decides for the others.
    fn close_after(&mut self) {}

    fn retract(&mut self) -> bool {
        let untouched = matches!(self.sending, Sending::Head { .. });
        if untouched {
            self.buffers.give(&mut self.output);
            self.sending = Sending::Nothing;
        }
        untouched
    }

    fn abort(&mut self) {
        match &mut self.sending {
            Sending::Nothing | Sending::Head { .. } => self.respond.send_reset(Reason::INTERNAL_ERROR),
            Sending::Body { stream, .. } | Sending::Ended { stream } => stream.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.buffers.give(&mut self.output);
    }
}

/// Whose fault it is that a body broke off. `h2` resets a stream whose data are not what its `content-length` says.
fn fault_of(error: &h2::Error) -> Fault {
    if error.is_reset() && error.is_library() { Fault::Malformed(Malformed::Framing) } else { Fault::ClientGone }
}
