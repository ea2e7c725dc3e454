//! The data of one stream between an exchange and `h2`: what arrives and what goes out.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use http::header::HeaderMap;

use super::fields;
use super::piece::{Held, Piece};
use crate::base::buffers::{BUFFER, Buffers};
use crate::proxy::message::Fields;

/// What came of reading.
pub(super) enum Arrived {
    /// That many bytes were appended; more than none.
    Data(usize),
    /// The message is complete; its trailers.
    End(Option<HeaderMap>),
}

/// A body as it arrives.
pub(super) struct Arriving {
    body: RecvStream,
    /// Data that came in one frame and was more than was asked for.
    rest: Bytes,
}

impl Arriving {
    pub(super) fn new(body: RecvStream) -> Self {
        Self { body, rest: Bytes::new() }
    }

    /// Whether nothing more comes.
    pub(super) fn is_at_end(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Appends the next piece to `into`, at most `limit` bytes.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<Arrived, h2::Error>> {
        while self.rest.is_empty() {
            match ready!(self.body.poll_data(cx)?) {
                Some(bytes) => self.rest = bytes,
                None => return self.body.poll_trailers(cx).map_ok(Arrived::End),
            }
        }
        let count = self.rest.len().min(limit);
        into.extend_from_slice(&self.rest[..count]);
        self.rest.advance(count);
        // It was received, so it can be released; on a stream that is over it no longer matters.
        let _ = self.body.flow_control().release_capacity(count);
        Poll::Ready(Ok(Arrived::Data(count)))
    }
}

/// A body as it goes out.
pub(super) struct Outgoing {
    output: Vec<u8>,
    /// How the message is to end, with which trailers, once the rest of it is with `h2`.
    end: Option<Option<HeaderMap>>,
    /// The end is with `h2`.
    ended: bool,
    held: Rc<Held>,
    buffers: Rc<Buffers>,
}

impl Outgoing {
    pub(super) fn new(held: Rc<Held>, buffers: &Rc<Buffers>) -> Self {
        Self { output: Vec::new(), end: None, ended: false, held, buffers: Rc::clone(buffers) }
    }

    /// Where the next data are to be appended.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.buffers.lend(&mut self.output);
        &mut self.output
    }

    /// Ends the message.
    pub(super) fn finish(&mut self, trailers: Option<&Fields>) {
        if !self.ended && self.end.is_none() {
            self.end = Some(trailers.and_then(fields::trailers));
        }
    }

    /// The message has ended with its head.
    pub(super) fn end(&mut self) {
        (self.end, self.ended) = (None, true);
    }

    /// Whether the end is with `h2`.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Forgets what `h2` has not got.
    pub(super) fn clear(&mut self) {
        self.end = None;
        self.buffers.give(&mut self.output);
    }

    /// How many bytes are held here.
    pub(super) fn unwritten(&self) -> usize {
        self.output.len() + self.held.bytes()
    }

    /// How many more bytes are taken now, at most.
    pub(super) fn wants(&self) -> usize {
        let allowance = self.held.allowance();
        if self.unwritten() < allowance { allowance } else { 0 }
    }

    /// Ready when nothing is left here.
    pub(super) fn poll_written(&self, cx: &Context<'_>) -> Poll<()> {
        if self.unwritten() == 0 {
            return Poll::Ready(());
        }
        self.held.wait(cx);
        Poll::Pending
    }

    /// Gives `h2` what it is to have now. Small pieces are gathered while others are on their way, so that who takes nothing costs
    /// bytes and not buffers.
    pub(super) fn hand_over(&mut self, stream: &mut SendStream<Piece>) -> Result<(), h2::Error> {
        if self.ended || self.output.is_empty() {
            self.buffers.give(&mut self.output);
        } else if self.held.bytes() == 0 || self.output.len() >= BUFFER {
            let last = matches!(self.end, Some(None));
            stream.send_data(Piece::taking(&mut self.output, &self.held, &self.buffers), last)?;
            if last {
                self.end();
            }
        } else {
            return Ok(());
        }
        match self.end.take() {
            None => return Ok(()),
            Some(Some(trailers)) => stream.send_trailers(trailers)?,
            Some(None) => stream.send_data(Piece::taking(&mut Vec::new(), &self.held, &self.buffers), true)?,
        }
        self.end();
        Ok(())
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.buffers.give(&mut self.output);
    }
}
