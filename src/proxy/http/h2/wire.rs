//! What `h2` reads from and writes to, towards clients and towards backends: it holds back what is written, so that a turn's output
//! is one write, and shows what passes to who watches it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frames, Seen};
use crate::base::alarm::Moment;
use crate::proxy::http::h1::channel::Channel;

/// What is read in one turn, so that a peer that never stops sending does not stop the worker's other tasks.
const MOST_INPUT: usize = 256 << 10;

/// Who looks at what passes, and may have enough of it.
pub(super) trait Watch {
    /// What may wait to be written: above it `h2` is told to wait. One frame more can be over it.
    const MOST_OUTPUT: usize;

    /// A turn begins, so long after the one before.
    fn begin(&mut self, now: Moment, passed: Duration);

    /// What the peer sends.
    fn received(&mut self, seen: Seen<'_>);

    /// What `h2` sends.
    fn sent(&mut self, seen: Seen<'_>);

    /// Whether more is read. Never again, where it is not and that is no error.
    fn poll_reads(&self) -> Poll<io::Result<()>>;
}

/// The connection's bytes. `h2` owns one [`End`] of it, the connection's task looks in between turns.
pub(super) struct Wire<W> {
    pub(super) channel: Channel,
    pub(super) watch: W,
    received: Frames,
    sent: Frames,
    begun: Option<Moment>,
    /// What may still be read in this turn.
    readable: usize,
    /// `h2` wanted to write and had to wait.
    full: bool,
}

impl<W: Watch> Wire<W> {
    /// One on which nothing has passed. What is received and what is sent begins with so many bytes that are no frame.
    pub(super) fn new(channel: Channel, watch: W, (received, sent): (usize, usize)) -> Rc<RefCell<Self>> {
        let (received, sent) = (Frames::after(received), Frames::after(sent));
        Rc::new(RefCell::new(Self { channel, watch, received, sent, begun: None, readable: MOST_INPUT, full: false }))
    }

    /// Begins a turn.
    pub(super) fn begin(&mut self, now: Moment) {
        self.readable = MOST_INPUT;
        let passed = now.since(self.begun.unwrap_or(now));
        self.begun = Some(now);
        self.watch.begin(now, passed);
    }

    /// Whether a header block has begun and not ended.
    pub(super) fn is_within_block(&self) -> bool {
        self.received.is_within_block()
    }

    /// Writes what was held back. Wakes the task where `h2` waits for the room.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.channel.poll_flush(cx);
        if self.full && self.channel.unwritten() < W::MOST_OUTPUT {
            self.full = false;
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.watch.poll_reads())?;
        if self.readable == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = self.channel.poll_read_buf(cx, into);
        if let Poll::Ready(Ok(())) = &read {
            let fresh = &into.filled()[before..];
            self.readable = self.readable.saturating_sub(fresh.len());
            self.received.pass(fresh, |seen| self.watch.received(seen));
        }
        read
    }

    /// Takes all of it, unless there is too much already.
    fn poll_append(&mut self, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.channel.unwritten() >= W::MOST_OUTPUT {
            self.full = true;
            return Poll::Pending;
        }
        for piece in pieces {
            self.sent.pass(piece, |seen| self.watch.sent(seen));
            self.channel.output().extend_from_slice(piece);
        }
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
    }
}

/// The end of the wire that `h2` owns.
pub(super) struct End<W>(pub(super) Rc<RefCell<Wire<W>>>);

impl<W: Watch> AsyncRead for End<W> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, into)
    }
}

impl<W: Watch> AsyncWrite for End<W> {
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

    /// `h2` flushes after each larger frame; the connection's task does once per turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The connection's task closes, once everything is written.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
