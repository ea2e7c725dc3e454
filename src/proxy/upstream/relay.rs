//! From the head of an answer to its end: the response's way, while the rest of the request still goes up.

use std::task::{Context, Poll};

use super::attempt::Begun;
use super::attempt::HALF_CLOSED;
use super::backend::Backend;
use super::clocks::Clocks;
use super::connection::Limits;
use super::forward::{Call, Trip};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Progress};
use crate::proxy::http::h1::channel::MOST_TURNS;

/// Moves the response's body to the client, whose response has been started, and gives the connection back to the pool when
/// both messages are complete. On an error the response is taken back, or, where that is too late, left as far as it came.
pub async fn relay<D: Downstream>(client: &mut D, call: &Call<'_>, begun: Begun, trip: &mut Trip) -> Result<(), Fault> {
    let Begun { mut backend, mut sending, mut asked, .. } = begun;
    let mut clocks = Clocks::new(call.alarm, call.total);
    clocks.backend_fault = Fault::StreamTimeout;
    let mut receiving = Receiving { ended: false, fault: None, bytes: 0, left: usize::MAX };
    let mut listening = true;
    let result = std::future::poll_fn(|cx| {
        let sends = !receiving.ended && !sending.broken && !sending.is_done(&backend);
        if !sends {
            // Nothing more of the request is asked for, so it cannot be late.
            clocks.body = clocks.after(None);
        } else if let Poll::Ready(Err(fault)) = sending.poll(cx, call, (client, &mut backend), &mut clocks) {
            return Poll::Ready(Err(fault));
        }
        let before = receiving.bytes;
        if let Poll::Ready(done) = receiving.poll(cx, call, (client, &mut backend), &mut clocks) {
            return Poll::Ready(done);
        }
        if listening && !receiving.is_over() && sending.is_done(&backend) {
            match client.poll_gone(cx) {
                Poll::Ready(Gone::Surely) => return Poll::Ready(Err(Fault::ClientGone)),
                Poll::Ready(Gone::Perhaps) => listening = false,
                Poll::Pending => {}
            }
        }
        if client.unwritten() > 0 {
            // The client's turn: how long it may take over what there is, the write clock says.
            clocks.gone = clocks.after(None);
        } else if !listening && (receiving.bytes > before || clocks.gone == clocks.after(None)) {
            // It may still read. Whether it does shows when there is something to write, so a silent backend is not waited for.
            clocks.gone = clocks.after(Some(HALF_CLOSED));
        }
        clocks.poll(cx).map(Err)
    })
    .await;
    trip.request_bytes = sending.taken;
    trip.response_bytes = receiving.bytes;
    if let Err(fault) = result {
        asked.failed(call, fault);
        if client.has_started() {
            // Where that is too late, it is broken off where faults become answers.
            client.retract();
        }
    } else if sending.is_done(&backend)
        && let Backend::H1(connection) = backend
    {
        call.client.give(connection, Limits::of(call.pool));
    }
    result
}

/// How far the response has come.
struct Receiving {
    ended: bool,
    /// How it broke. Where some of it was sent, what came before is delivered first.
    fault: Option<Fault>,
    bytes: u64,
    /// What the client had still to take when it was last waited for.
    left: usize,
}

impl Receiving {
    /// Moves what can be moved. All that the backend has sent is gathered before it is written in one go.
    fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        call: &Call<'_>,
        (client, backend): (&mut D, &mut Backend),
        clocks: &mut Clocks<'_>,
    ) -> Poll<Result<(), Fault>> {
        // Between two polls the rest of an HTTP/2 connection may have written what is held.
        let mut moved = client.unwritten() < self.left;
        let mut turns = 0;
        loop {
            let full = client.wants() == 0;
            let gathered = self.gather(cx, client, backend);
            if let Some(fault) = self.fault
                && client.retract()
            {
                // Nothing of it was sent: the client gets a clean refusal instead of a cut answer.
                return Poll::Ready(Err(fault));
            }
            if gathered || clocks.backend == clocks.after(None) {
                clocks.backend = clocks.after(call.timeouts.idle);
            }
            let waiting = client.unwritten();
            match client.poll_flush(cx) {
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Ready(Ok(())) if self.is_over() => return Poll::Ready(self.fault.map_or(Ok(()), Err)),
                Poll::Ready(Ok(())) => {
                    clocks.write = clocks.after(None);
                    // Where it was full, the backend was not asked, and would wake nobody.
                    let unasked = full && client.wants() > 0;
                    if !gathered && !unasked {
                        return Poll::Pending;
                    }
                    turns += 1;
                    if turns == MOST_TURNS {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Poll::Pending => {
                    moved |= client.unwritten() < waiting;
                    if moved || clocks.write == clocks.after(None) {
                        clocks.write = clocks.after(Some(call.write_idle));
                    }
                    if self.is_over() || client.wants() == 0 {
                        // The client's turn: the backend is not asked for more meanwhile.
                        clocks.backend = clocks.after(None);
                    }
                    self.left = client.unwritten();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether nothing more comes of the backend.
    fn is_over(&self) -> bool {
        self.ended || self.fault.is_some()
    }

    /// Reads what the backend has sent. Whether there was anything.
    fn gather<D: Downstream>(&mut self, cx: &mut Context<'_>, client: &mut D, backend: &mut Backend) -> bool {
        let mut gathered = false;
        while !self.is_over() && client.wants() > 0 {
            let limit = client.wants();
            match backend.poll_body(cx, client.room(), limit) {
                Poll::Ready(Ok(Progress::Data(count))) => {
                    self.bytes += count as u64;
                    client.appended(count);
                }
                Poll::Ready(Ok(Progress::End)) => {
                    self.ended = true;
                    client.finish(backend.trailers());
                }
                Poll::Ready(Err(fault)) => self.fault = Some(fault),
                Poll::Pending => break,
            }
            gathered = true;
        }
        gathered
    }
}
