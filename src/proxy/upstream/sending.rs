//! The request's way: from the client to the backend, as fast as the slower of both.

use std::task::{Context, Poll};

use super::backend::Backend;
use super::clocks::Clocks;
use super::forward::Call;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Progress};
use crate::proxy::http::h1::channel::MOST_TURNS;
use crate::proxy::message::Fields;

/// How much of a body is kept while a backend of HTTP/2 may still refuse the request unprocessed.
const REPLAY: usize = 64 << 10;

/// How far the request has come.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The last of it was read from the client.
    pub(super) ended: bool,
    /// The backend no longer takes it; an answer may still come.
    pub(super) broken: bool,
    /// The client waits for a `100 Continue`, and we for the backend's.
    pub(super) held: bool,
    /// Bytes of the body read from the client.
    pub(super) taken: u64,
    /// All that was read of the body, where it can be sent again.
    replay: Option<Vec<u8>>,
}

/// The client's trailers. Where they say who it is in the gateway's place, none goes on.
fn trailers<'f, D: Downstream>(call: &Call<'_>, client: &'f D) -> Option<&'f Fields> {
    client.request_trailers().filter(|trailers| !call.identity.is_named(trailers))
}

impl Sending {
    /// Nothing was read yet. A tunnel has no body to be sent before it is open.
    pub(super) fn begin(call: &Call<'_>, client: &impl Downstream) -> Self {
        Self { ended: call.request.tunnel, held: client.expects_continue(), ..Self::default() }
    }

    /// Whether all of the request is with the backend.
    pub(super) fn is_done(&self, backend: &Backend) -> bool {
        self.is_done_with(backend.unwritten())
    }

    /// As [`is_done`](Self::is_done), for a backend that holds so many bytes.
    pub(super) fn is_done_with(&self, unwritten: usize) -> bool {
        self.ended && !self.broken && unwritten == 0
    }

    /// Whether what was read of the request can be sent to another backend, where this one has done nothing of it.
    pub(super) fn can_resume(&self) -> bool {
        self.taken == 0 || self.replay.is_some()
    }

    /// Begins the body on a new connection with what was read of it before.
    pub(super) fn resume<D: Downstream>(
        &mut self,
        call: &Call<'_>,
        client: &D,
        backend: &mut Backend,
    ) -> Result<(), Fault> {
        let shared = matches!(backend, Backend::H2(_));
        if let Some(body) = self.replay.take().filter(|body| !body.is_empty()) {
            backend.room().extend_from_slice(&body);
            if !backend.appended(body.len()) {
                return Err(Fault::Internal);
            }
            self.replay = shared.then_some(body);
        } else if shared && self.taken == 0 {
            self.replay = Some(Vec::new());
        }
        if self.ended && !call.request.tunnel && !backend.finish(trailers(call, client)) {
            return Err(Fault::Internal);
        }
        Ok(())
    }

    /// Takes back what a backend that has done nothing of it was to get.
    pub(super) fn take_back(&mut self, backend: &mut Backend) {
        self.broken = false;
        if let Backend::H1(connection) = backend {
            self.replay = Some(connection.stream.take_unsent());
        }
    }

    /// The answer has begun: nothing is sent again from here on.
    pub(super) fn take_over(&mut self) -> Self {
        self.replay = None;
        std::mem::take(self)
    }

    /// Moves what can be moved. Gathers all that the client has sent before it is written in one go. Fails only with faults
    /// of the client; a backend that stops taking is for its answer to explain.
    pub(super) fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        call: &Call<'_>,
        (client, backend): (&mut D, &mut Backend),
        clocks: &mut Clocks<'_>,
    ) -> Poll<Result<(), Fault>> {
        let mut turns = 0;
        while !self.broken {
            let full = backend.wants() == 0;
            let gathered = self.gather(cx, call, client, backend)?;
            if gathered || (clocks.body == clocks.after(None) && !self.ended && !self.held) {
                clocks.body = clocks.after(call.body_idle);
            }
            let waiting = backend.unwritten();
            match backend.poll_flush(cx) {
                Poll::Ready(Err(())) => self.broken = true,
                Poll::Ready(Ok(())) if self.ended => break,
                Poll::Ready(Ok(())) if self.held => {
                    // The backend's turn: it decides whether it wants the body.
                    if clocks.backend == clocks.after(None) {
                        clocks.backend = clocks.after(call.timeouts.response);
                    }
                    return Poll::Pending;
                }
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
                    if backend.unwritten() < waiting || clocks.backend == clocks.after(None) {
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
        backend: &mut Backend,
    ) -> Result<bool, Fault> {
        let mut gathered = false;
        while !self.ended && !self.held && backend.wants() > 0 {
            let limit = backend.wants();
            match client.poll_body(cx, backend.room(), limit) {
                Poll::Ready(Ok(Progress::Data(count))) => {
                    self.taken += count as u64;
                    if call.body_limit.is_some_and(|limit| self.taken > limit) {
                        return Err(Fault::BodyTooLarge);
                    }
                    let room = backend.room();
                    self.keep(&room[room.len() - count..]);
                    if !backend.appended(count) {
                        return Err(Fault::Internal);
                    }
                }
                Poll::Ready(Ok(Progress::End)) => {
                    self.ended = true;
                    if !backend.finish(trailers(call, client)) {
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

    /// Keeps what was just read for another backend, within bounds.
    fn keep(&mut self, fresh: &[u8]) {
        let Some(replay) = &mut self.replay else { return };
        if replay.len() + fresh.len() > REPLAY {
            self.replay = None;
        } else {
            replay.extend_from_slice(fresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let mut sending = Sending { replay: Some(Vec::new()), ..Sending::default() };
        for piece in [&[1; 1][..], &[2; REPLAY - 1]] {
            sending.keep(piece);
            sending.taken += piece.len() as u64;
        }
        assert_eq!((sending.replay.as_ref().map(Vec::len), sending.can_resume()), (Some(REPLAY), true));
        sending.keep(&[3]);
        sending.taken += 1;
        assert_eq!((&sending.replay, sending.can_resume()), (&None, false));
        sending.keep(&[4]);
        assert_eq!(sending.replay, None, "nor is the rest of it");
    }

    #[test]
    fn nothing_is_sent_again_once_the_answer_has_begun() {
        let mut sending = Sending { replay: Some(vec![1]), taken: 1, ended: true, ..Sending::default() };
        let over = sending.take_over();
        assert!(!over.can_resume() && over.ended && over.is_done_with(0) && !over.is_done_with(1));
    }
}
