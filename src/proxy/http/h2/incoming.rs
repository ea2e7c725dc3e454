//! A stream between its being opened and its exchange.

use std::rc::Rc;

use h2::RecvStream;
use h2::server::SendResponse;

use super::piece::{Held, Piece};
use super::request;
use super::stream::{Parts, Stream};
use crate::base::buffers::Buffers;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::Length;
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::http::h1::server::expects_continue;
use crate::proxy::message::Request;

/// A stream that the client has opened.
pub struct Incoming {
    pub(super) parts: http::request::Parts,
    /// Its `:path` had a fragment, which is not in `parts`.
    pub(super) fragment: bool,
    pub(super) body: RecvStream,
    pub(super) respond: SendResponse<Piece>,
    pub(super) limits: HeadLimits,
    pub(super) held: Rc<Held>,
    pub(super) buffers: Rc<Buffers>,
}

impl Incoming {
    /// Reads its head into `request`, which is empty, and says what became of that.
    pub fn read(self, request: &mut Request) -> (Stream, Result<(), Fault>) {
        let Self { parts, fragment, body, respond, limits, held, buffers } = self;
        let read = request::fill(&parts, limits, request).and_then(|()| {
            // As in HTTP/1.1: who cuts it off asks for another resource than who does not.
            if fragment { Err(Fault::Malformed(Malformed::Syntax)) } else { understand(&body, request) }
        });
        let (length, expects_continue) = read.unwrap_or((Length::Unknown, false));
        let stream = Stream::new(body, respond, Parts { length, limits, expects_continue, held, buffers });
        (stream, read.map(drop))
    }
}

/// How long the body is, and whether the client waits for a `100 Continue`.
fn understand(body: &RecvStream, request: &Request) -> Result<(Length, bool), Fault> {
    let length = request::length(request, body.is_end_stream())?;
    Ok((length, expects_continue(request)? && length != Length::Empty))
}
