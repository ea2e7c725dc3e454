//! What `h2` reads from and writes to: it holds back what is written, and notes when something was read.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h2::frames::{Frames, Kind, Seen};

/// What may wait to be written: above it `h2` is told to wait. One frame more can be over it.
const MOST_OUTPUT: usize = 128 << 10;

/// What is read in one turn, so that a fast backend does not stop the worker's other tasks.
const MOST_INPUT: usize = 256 << 10;

/// The connection's bytes. `h2` owns one [`End`] of it, the connection looks in between turns.
pub(super) struct Wire {
    channel: Channel,
    received: Frames,
    readable: usize,
    full: bool,
    /// Something was read since this was last taken back.
    pub(super) heard: bool,
    /// The backend's first SETTINGS have come.
    pub(super) settled: bool,
}

impl Wire {
    pub(super) fn new(channel: Channel) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            channel,
            received: Frames::after(0),
            readable: MOST_INPUT,
            full: false,
            heard: false,
            settled: false,
        }))
    }

    /// Begins a turn.
    pub(super) fn begin(&mut self) {
        self.readable = MOST_INPUT;
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
            if !self.settled {
                let settled = &mut self.settled;
                self.received.pass(fresh, |seen| {
                    *settled |= matches!(seen, Seen::Frame(frame) if frame.kind == Kind::Settings);
                });
            }
        }
        read
    }

    fn poll_append(&mut self, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.channel.unwritten() >= MOST_OUTPUT {
            self.full = true;
            return Poll::Pending;
        }
        pieces.iter().for_each(|piece| self.channel.output().extend_from_slice(piece));
        Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
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

    /// The connection's task flushes once per turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The connection's task closes, once everything is written.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
