//! What `h2` reads from and writes to: it holds back what is written, notes what was read, and ends a connection whose backend
//! sends more of what no answer needs than a request of ours could have caused.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pings::Pings;
use crate::base::alarm::Moment;
use crate::proxy::fault::Fault;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h2::budget::Budget;
use crate::proxy::http::h2::frames::{Frame, Frames, Kind, PREFACE, Seen};

/// What may wait to be written: above it `h2` is told to wait. One frame more can be over it.
const MOST_OUTPUT: usize = 128 << 10;

/// What is read in one turn, so that a fast backend does not stop the worker's other tasks.
const MOST_INPUT: usize = 256 << 10;

/// How many heads and resets one request of ours pays for: interim answers, the answer, trailers, the end.
const PER_REQUEST: u32 = 20;

/// How many window updates and pings.
const ANSWERS_PER_REQUEST: u32 = 3;

/// What is saved up of heads and resets: those of as many streams as there are at once.
const MOST_HEADS: u32 = 2_000;

/// The connection's bytes. `h2` owns one [`End`] of it, the connection looks in between turns.
pub(super) struct Wire {
    channel: Channel,
    received: Frames,
    sent: Frames,
    account: Account,
    earned: Option<Moment>,
    readable: usize,
    full: bool,
    heard: bool,
    leaving: bool,
    overdrawn: bool,
    /// The backend's first SETTINGS hold: `h2` has acknowledged them.
    pub(super) settled: bool,
    /// Whether the backend may be asked for a sign of life.
    pub(super) pings: Pings,
}

impl Wire {
    pub(super) fn new(channel: Channel) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            channel,
            received: Frames::after(0),
            sent: Frames::after(PREFACE),
            account: Account::default(),
            earned: None,
            readable: MOST_INPUT,
            full: false,
            heard: false,
            leaving: false,
            overdrawn: false,
            settled: false,
            pings: Pings::default(),
        }))
    }

    /// Begins a turn.
    pub(super) fn begin(&mut self, now: Moment) {
        self.readable = MOST_INPUT;
        let passed = now.since(self.earned.unwrap_or(now));
        self.earned = Some(now);
        self.account.budget.earn(passed);
    }

    /// Whether anything was read, and whether a GOAWAY was, since this was last asked.
    pub(super) fn take_news(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.heard), std::mem::take(&mut self.leaving))
    }

    /// How much the connection has taken.
    pub(super) fn sent(&self) -> u64 {
        self.channel.sent()
    }

    /// Writes what was held back. Wakes the task where `h2` waits for the room.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.channel.poll_flush(cx);
        if self.full && self.channel.unwritten() < MOST_OUTPUT {
            self.full = false;
            cx.waker().wake_by_ref();
        }
        flushed
    }

    /// Says goodbye, as far as the kernel takes it at once.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Ok(())) = self.channel.poll_flush(cx) {
            let _ = self.channel.poll_shutdown(cx);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.overdrawn {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if self.readable == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = self.channel.poll_read_buf(cx, into);
        if let Poll::Ready(Ok(())) = &read {
            let fresh = &into.filled()[before..];
            self.heard |= !fresh.is_empty();
            self.readable = self.readable.saturating_sub(fresh.len());
            self.received.pass(fresh, |seen| {
                let Seen::Frame(frame) = seen else { return };
                self.leaving |= frame.kind == Kind::GoAway;
                self.pings.received(frame);
                self.overdrawn |= !self.account.pay(frame);
            });
        }
        read
    }

    fn poll_append(&mut self, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.channel.unwritten() >= MOST_OUTPUT {
            self.full = true;
            return Poll::Pending;
        }
        for piece in pieces {
            self.sent.pass(piece, |seen| {
                if let Seen::Frame(frame) = seen {
                    self.settled |= frame.kind == Kind::Settings && frame.is_ack();
                    self.account.sent(frame);
                    self.pings.sent(frame, self.earned);
                }
            });
            self.channel.output().extend_from_slice(piece);
        }
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }
}

/// What a backend may still send that no answer needs. What our requests and their bodies cause is paid for by them.
#[derive(Default)]
struct Account {
    budget: Budget,
    heads: u32,
}

impl Account {
    /// A frame from the backend. Whether it could be paid.
    fn pay(&mut self, frame: Frame) -> bool {
        match frame.kind {
            Kind::Headers | Kind::Reset if self.heads > 0 => {
                self.heads -= 1;
                true
            }
            Kind::Headers => self.budget.spend(1),
            // `h2` bounds how many one head may have.
            Kind::Continuation => true,
            _ => self.budget.pay(frame),
        }
    }

    /// A frame of ours.
    fn sent(&mut self, frame: Frame) {
        self.budget.sent(frame);
        if frame.kind == Kind::Headers {
            self.heads = (self.heads + PER_REQUEST).min(MOST_HEADS);
            self.budget.credit(ANSWERS_PER_REQUEST);
        }
    }
}

/// A backend that breaks the protocol or floods us, or one that is gone.
pub(super) fn fault_of(error: &h2::Error) -> Fault {
    let flood = error.get_io().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
    if error.is_library() || flood { Fault::BackendMalformed } else { Fault::BackendReset }
}

/// The end of the wire that `h2` owns.
pub(super) struct End(pub(super) Rc<RefCell<Wire>>);

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, into)
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_append(&[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_append(pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection's task flushes once per turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The connection's task closes, once everything is written.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8) -> Frame {
        let mut found = None;
        Frames::after(0).pass(&[0, 0, 4, kind, 4, 0, 0, 0, 1], |seen| match seen {
            Seen::Frame(frame) => found = Some(frame),
            Seen::Payload(_) => {}
        });
        found.unwrap()
    }

    fn affordable(account: &mut Account, kind: u8) -> u32 {
        (0..1_000_000).take_while(|_| account.pay(frame(kind))).count() as u32
    }

    #[test]
    fn a_million_exchanges_cost_nothing() {
        let mut account = Account::default();
        for number in 0..1_000_000 {
            account.sent(frame(HEADERS));
            let costs = [HEADERS, HEADERS, RESET, WINDOW_UPDATE, WINDOW_UPDATE, PING];
            assert!(costs.iter().all(|kind| account.pay(frame(*kind))), "{number}");
        }
    }

    #[test]
    fn heads_and_resets_that_nobody_asked_for_run_out() {
        assert_eq!(affordable(&mut Account::default(), HEADERS), 1_000);
        assert_eq!(affordable(&mut Account::default(), RESET), 500);
        assert_eq!(affordable(&mut Account::default(), PING), 1_000);
        let mut account = Account::default();
        (0..1_000_000).for_each(|_| account.sent(frame(HEADERS)));
        assert_eq!(affordable(&mut account, HEADERS), MOST_HEADS + 1_000, "what is saved up has a bound");
    }
}
