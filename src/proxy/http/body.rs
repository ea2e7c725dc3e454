//! Bodies between the two sides, whatever the protocols.

use std::task::{Context, Poll};

use crate::proxy::fault::Fault;
use crate::proxy::message::{Fields, Response};

/// What came of reading from a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// That many bytes were appended; more than none.
    Data(usize),
    /// The body is complete; its trailers are known.
    End,
}

/// How long a body is going to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    Empty,
    /// That many bytes.
    Known(u64),
    /// Until it ends.
    Unknown,
    /// No message any more: the bytes of a tunnel, until its side of it ends.
    Tunnel,
}

/// How certain it is that a client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It reset the connection or the stream.
    Surely,
    /// It closed its sending side: it may have gone, or may only have nothing more to say.
    Perhaps,
}

/// The client's side of one exchange: an HTTP/1.1 connection or an HTTP/2 stream. The request's head has been read.
///
/// All `poll_` methods are cancel-safe: dropping the future that called them loses nothing.
pub trait Downstream {
    /// How long the request's body is.
    fn request_length(&self) -> Length;

    /// Appends the next piece of the request's body to `into`, at most `limit` bytes.
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<Progress, Fault>>;

    /// The request's trailers, once its body has ended.
    fn request_trailers(&self) -> Option<&Fields>;

    /// Whether the client waits for a `100 Continue` before it sends its body. Asking for the body sends one.
    fn expects_continue(&self) -> bool;

    /// Passes an interim response (1xx) on, where the client's protocol has them and the response has not begun. Nothing is sent
    /// before the next [`poll_flush`](Self::poll_flush).
    fn interim(&mut self, response: &Response);

    /// Ready once the client has gone away. Asked while a backend is waited for, after the request was read.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone>;

    /// Starts the response. Nothing is sent before the next [`poll_flush`](Self::poll_flush). With [`Length::Tunnel`] the request's
    /// body is from here on the client's side of the tunnel, and the response's the backend's.
    fn start(&mut self, response: &Response, length: Length);

    /// Whether [`start`](Self::start) was called.
    fn has_started(&self) -> bool;

    /// Where the response's next data are to be appended; then [`appended`](Self::appended) is to be told.
    fn room(&mut self) -> &mut Vec<u8>;

    /// Frames the `count` bytes that were appended to [`room`](Self::room).
    fn appended(&mut self, count: usize);

    /// Ends the response.
    fn finish(&mut self, trailers: Option<&Fields>);

    /// How many more bytes of the response are taken now, at most; 0 while the client has to take some first.
    fn wants(&self) -> usize;

    /// How many bytes of the response are held here.
    fn unwritten(&self) -> usize;

    /// Sends what is held. Ready when nothing is left here.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>>;

    /// Makes this the last exchange of a connection that carries one at a time.
    fn close_after(&mut self);

    /// Takes back a response that was started and of which nothing was sent. False where it is too late.
    fn retract(&mut self) -> bool;

    /// The response that was started cannot be completed: the client must be able to tell.
    fn abort(&mut self);
}
