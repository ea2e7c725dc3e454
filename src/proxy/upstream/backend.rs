//! The backend's side of one exchange, whatever it speaks.

use std::task::{Context, Poll};

use super::connection::Connection;
use super::forward::Call;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Length, Progress};
use crate::proxy::http::h1::channel::GATHER;
use crate::proxy::http::h1::framing::{self, Framing};
use crate::proxy::http::h1::stream::BodyError;
use crate::proxy::http::h2::client::Stream;
use crate::proxy::http::websocket;
use crate::proxy::message::{Fields, Name, Response, Version};

/// An HTTP/1.1 connection or a stream of HTTP/2. The request has been begun. Boxed, because it is passed on from hand to hand.
pub(super) enum Backend {
    H1(Box<Connection>),
    H2(Box<Stream>),
}

/// Why the backend's side broke and what that says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    pub(super) fault: Fault,
    /// The backend has certainly done nothing of the request.
    pub(super) unseen: bool,
    /// The connection had been used before and broke before anything of the answer: it may have been closed meanwhile.
    pub(super) stale: bool,
}

impl Backend {
    /// Where the next data of the request's body are to be appended; then [`appended`](Self::appended) is to be told.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        match self {
            Self::H1(connection) => connection.stream.room(),
            Self::H2(stream) => stream.room(),
        }
    }

    /// Frames the `count` bytes that were appended. False where they exceed the announced length.
    #[must_use]
    pub(super) fn appended(&mut self, count: usize) -> bool {
        match self {
            Self::H1(connection) => connection.stream.appended(count),
            Self::H2(_) => true,
        }
    }

    /// Ends the request. False where less than the announced length was sent.
    #[must_use]
    pub(super) fn finish(&mut self, trailers: Option<&Fields>) -> bool {
        match self {
            Self::H1(connection) => connection.stream.finish(trailers),
            Self::H2(stream) => {
                stream.finish(trailers);
                true
            }
        }
    }

    /// Ends the client's side of a tunnel.
    pub(super) fn end_tunnel(&mut self) {
        match self {
            Self::H1(connection) => connection.stream.end_tunnel(),
            Self::H2(stream) => stream.finish(None),
        }
    }

    /// How many bytes of the request are held here.
    pub(super) fn unwritten(&self) -> usize {
        match self {
            Self::H1(connection) => connection.stream.channel.unwritten(),
            Self::H2(stream) => stream.unwritten(),
        }
    }

    /// How many more bytes of the request are taken now, at most; 0 while the backend has to take some first.
    pub(super) fn wants(&self) -> usize {
        match self {
            Self::H1(connection) if connection.stream.channel.unwritten() < GATHER => GATHER,
            Self::H1(_) => 0,
            Self::H2(stream) => stream.wants(),
        }
    }

    /// Sends what is held. Ready when nothing is left here; an error where the backend no longer takes it.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        match self {
            Self::H1(connection) => connection.stream.poll_flush(cx).map_err(drop),
            Self::H2(stream) => stream.poll_flush(cx),
        }
    }

    /// Fills `response`, which is empty, with the next head of the answer: an interim one (1xx), or the one that begins it.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, response: &mut Response) -> Poll<Result<(), Broken>> {
        match self {
            Self::H1(connection) => connection.poll_head(cx, response),
            Self::H2(stream) => stream.poll_head(cx, response).map_err(|broken| Broken {
                fault: broken.fault,
                unseen: broken.unprocessed,
                stale: broken.stale,
            }),
        }
    }

    /// How long the answer is whose head has come.
    ///
    /// # Errors
    /// [`Fault::BackendMalformed`] where that is not clear, [`Fault::NoTunnel`] for a tunnel that was not understood.
    pub(super) fn begin_answer(&mut self, call: &Call<'_>, response: &mut Response) -> Result<Length, Fault> {
        let to_head = call.request.method() == b"HEAD";
        match self {
            Self::H1(connection) if response.status == 101 => connection.begin_tunnel(call.request, response),
            Self::H1(connection) => connection.begin_answer(to_head, response),
            Self::H2(_) if call.request.tunnel && (200..300).contains(&response.status) => {
                accept_tunnel(call, response);
                Ok(Length::Tunnel)
            }
            Self::H2(_) if response.status < 200 => Err(Fault::BackendMalformed),
            Self::H2(stream) => {
                let framing = framing::of_response(response, to_head)?;
                if to_head || matches!(response.status, 204 | 304) {
                    stream.expect_no_body();
                }
                Ok(length_of(framing, stream.is_empty(), call.request.version, response))
            }
        }
    }

    /// Appends the next piece of the answer's body to `into`, at most `limit` bytes.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<Progress, Fault>> {
        match self {
            Self::H1(connection) => connection.stream.poll_body(cx, into, limit).map_err(|error| match error {
                BodyError::Broken => Fault::BackendMalformed,
                BodyError::Cut => Fault::BackendReset,
            }),
            Self::H2(stream) => stream.poll_body(cx, into, limit).map_err(|broken| broken.fault),
        }
    }

    /// The answer's trailers, once its body has ended.
    pub(super) fn trailers(&self) -> Option<&Fields> {
        match self {
            Self::H1(connection) => connection.stream.trailers(),
            Self::H2(stream) => stream.trailers(),
        }
    }
}

/// How long an answer of HTTP/2 is. The end of one without a length is in its frames, which a client of HTTP/1.1 does not see: an
/// empty one has to say so.
fn length_of(framing: Framing, empty: bool, client: Version, response: &mut Response) -> Length {
    match framing {
        Framing::Length(length) if !empty => Length::Known(length),
        Framing::Chunked | Framing::Close if !empty => Length::Unknown,
        Framing::Close if client != Version::Http2 => {
            response.fields.add(b"content-length", b"0");
            Length::Empty
        }
        Framing::Empty | Framing::Length(_) | Framing::Chunked | Framing::Close => Length::Empty,
    }
}

/// An extended CONNECT was accepted: the client of HTTP/1.1 gets the answer that it waits for. A tunnel has no length, whatever its
/// answer announces (RFC 9110 §9.3.6).
fn accept_tunnel(call: &Call<'_>, response: &mut Response) {
    response.status = 101;
    response.fields.remove(Name::ContentLength);
    if call.request.version != Version::Http2
        && let Some(key) = call.request.fields.first(Name::SecWebSocketKey)
    {
        response.fields.set(Name::SecWebSocketAccept, websocket::accept(key).as_bytes());
    }
}
