//! What `h2` reads from and writes to: it holds back what is written, so that a turn's output is one write, and watches
//! what is read, so that no client costs more than its requests are worth.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::budget::Budget;
use super::fragment::Fragments;
use super::frames::{Frame, Frames, Kind, PREFACE, Seen};
use super::unseen::Unseen;
use crate::base::alarm::Moment;
use crate::proxy::http::h1::channel::Channel;

/// What may wait to be written: above it `h2` is told to wait. One frame more can be over it.
const MOST_OUTPUT: usize = 64 << 10;

/// What is read in one turn, so that a client that never stops sending does not stop the worker's others.
const MOST_INPUT: usize = 256 << 10;

/// What HEADERS cost that `h2` ignores: they ask for nothing that is served.
const PER_IGNORED: u32 = 2;

/// The connection's bytes. `h2` owns one [`End`] of it, the server looks in between turns.
pub(super) struct Wire {
    pub(super) channel: Channel,
    received: Frames,
    sent: Frames,
    budget: Budget,
    earned: Option<Moment>,
    /// What may still be read in this turn.
    readable: usize,
    /// `h2` wanted to write and had to wait.
    full: bool,
    /// The client's first SETTINGS have come.
    pub(super) settled: bool,
    /// The client has overdrawn its budget: nothing more is read.
    pub(super) exhausted: bool,
    /// The stream whose header block is being read.
    block: Option<u32>,
    fragments: Fragments,
    /// Streams that are with `h2`.
    pub(super) unseen: Unseen,
}

impl Wire {
    pub(super) fn new(channel: Channel) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            channel,
            received: Frames::after(PREFACE),
            sent: Frames::after(0),
            budget: Budget::default(),
            earned: None,
            readable: MOST_INPUT,
            full: false,
            settled: false,
            exhausted: false,
            block: None,
            fragments: Fragments::default(),
            unseen: Unseen::default(),
        }))
    }

    /// Begins a turn.
    pub(super) fn begin(&mut self, now: Moment) {
        self.readable = MOST_INPUT;
        let passed = now.since(self.earned.unwrap_or(now));
        self.earned = Some(now);
        self.budget.earn(passed);
    }

    /// Whether a header block has begun and not ended.
    pub(super) fn is_within_block(&self) -> bool {
        self.received.is_within_block()
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

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.exhausted || self.readable == 0 {
            if !self.exhausted {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = self.channel.poll_read_buf(cx, into);
        if let Poll::Ready(Ok(())) = &read {
            let fresh = &into.filled()[before..];
            self.readable = self.readable.saturating_sub(fresh.len());
            let mut frames = std::mem::replace(&mut self.received, Frames::after(0));
            frames.pass(fresh, |seen| match seen {
                Seen::Frame(frame) => self.frame(frame),
                Seen::Payload(bytes) => self.payload(bytes),
            });
            self.received = frames;
        }
        read
    }

    /// A frame of the client.
    fn frame(&mut self, frame: Frame) {
        self.settled |= frame.kind == Kind::Settings;
        self.exhausted |= !self.budget.pay(frame);
        match frame.kind {
            Kind::Headers => {
                self.block = Some(frame.stream);
                if !self.unseen.headers(frame.stream) {
                    self.exhausted |= !self.budget.spend(PER_IGNORED);
                }
                self.fragments.headers(frame);
            }
            Kind::Continuation => self.fragments.continuation(frame),
            _ => self.block = None,
        }
    }

    /// More of the frame's payload.
    fn payload(&mut self, bytes: &[u8]) {
        if let Some(stream) = self.block
            && self.fragments.payload(bytes)
        {
            self.unseen.mark(stream);
        }
    }

    /// Takes what fits; all of it, unless there is too much already.
    fn poll_append(&mut self, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.channel.unwritten() >= MOST_OUTPUT {
            self.full = true;
            return Poll::Pending;
        }
        let mut count = 0;
        for piece in pieces {
            let (budget, unseen) = (&mut self.budget, &mut self.unseen);
            self.sent.pass(piece, |seen| {
                if let Seen::Frame(frame) = seen {
                    budget.sent(frame);
                }
                unseen.sent(seen);
            });
            self.channel.output().extend_from_slice(piece);
            count += piece.len();
        }
        Poll::Ready(Ok(count))
    }
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

    /// `h2` flushes after each larger frame; the server does once per turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The server closes, once everything is written.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
