//! The request's way: from the client to the backend, as fast as the slower of both.

use std::task::{Context, Poll};

use super::clocks::Clocks;
use super::forward::Call;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Progress};
use crate::proxy::http::h1::channel::{GATHER, MOST_TURNS};
use crate::proxy::http::h1::stream::Stream;

/// How far the request has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sending {
    /// The last of it was read from the client.
    pub(super) ended: bool,
    /// The backend no longer takes it; an answer may still come.
    pub(super) broken: bool,
    /// Bytes of the body read from the client.
    pub(super) taken: u64,
}

impl Sending {
    /// Whether all of the request is with the backend.
    pub(super) fn is_done(&self, backend: &Stream) -> bool {
        self.ended && !self.broken && backend.channel.unwritten() == 0
    }

    /// Moves what can be moved. Gathers all that the client has sent before it is written in one go. Fails only with faults
    /// of the client; a backend that stops taking is for its answer to explain.
    pub(super) fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        call: &Call<'_>,
        (client, backend): (&mut D, &mut Stream),
        clocks: &mut Clocks<'_>,
    ) -> Poll<Result<(), Fault>> {
        let mut turns = 0;
        while !self.broken {
            let full = backend.channel.unwritten() >= GATHER;
            let gathered = self.gather(cx, call, client, backend)?;
            if gathered || (clocks.body == clocks.after(None) && !self.ended) {
                clocks.body = clocks.after(Some(call.body_idle));
            }
            let waiting = backend.channel.unwritten();
            match backend.channel.poll_flush(cx) {
                Poll::Ready(Err(_)) => self.broken = true,
                Poll::Ready(Ok(())) if self.ended => break,
                // Where it was full, the client was not asked, and would wake nobody.
                Poll::Ready(Ok(())) if !gathered && !full => {
                    // The client's turn: the backend cannot be late with an answer to what it has not got.
                    clocks.backend = clocks.after(None);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {
                    turns += 1;
                    if turns == MOST_TURNS {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Poll::Pending => {
                    if backend.channel.unwritten() < waiting || clocks.backend == clocks.after(None) {
                        clocks.backend = clocks.after(call.timeouts.response);
                    }
                    // The backend's turn.
                    clocks.body = clocks.after(None);
                    return Poll::Pending;
                }
            }
        }
        if clocks.backend == clocks.after(None) {
            clocks.backend = clocks.after(call.timeouts.response);
        }
        clocks.body = clocks.after(None);
        Poll::Ready(Ok(()))
    }

    /// Reads what the client has sent. Whether there was anything.
    fn gather<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        call: &Call<'_>,
        client: &mut D,
        backend: &mut Stream,
    ) -> Result<bool, Fault> {
        let mut gathered = false;
        while !self.ended && backend.channel.unwritten() < GATHER {
            match client.poll_body(cx, backend.room(), GATHER) {
                Poll::Ready(Ok(Progress::Data(count))) => {
                    self.taken += count as u64;
                    if call.body_limit.is_some_and(|limit| self.taken > limit) {
                        return Err(Fault::BodyTooLarge);
                    }
                    if !backend.appended(count) {
                        return Err(Fault::Internal);
                    }
                }
                Poll::Ready(Ok(Progress::End)) => {
                    self.ended = true;
                    if !backend.finish(client.request_trailers()) {
                        return Err(Fault::Internal);
                    }
                }
                Poll::Ready(Err(fault)) => return Err(fault),
                Poll::Pending => break,
            }
            gathered = true;
        }
        Ok(gathered)
    }
}
