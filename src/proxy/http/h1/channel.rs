//! One HTTP/1.1 connection's bytes, either side: what was read and not yet used, what is to be written.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::base::buffers::{BUFFER, Buffers};
use crate::proxy::io::Io;

/// The most that is read ahead in one turn before it is passed on.
pub const GATHER: usize = 128 << 10;

/// How often one task reads and passes on before the others have their turn: between two fast ends it would never wait.
pub const MOST_TURNS: u32 = 8;

/// A connection with its buffers. The buffers come from the worker's pool and go back while there is nothing in them.
pub struct Channel {
    io: Io,
    buffers: Rc<Buffers>,
    input: Vec<u8>,
    used: usize,
    output: Vec<u8>,
    written: usize,
    flushed: bool,
    sent: u64,
}

impl Channel {
    /// A channel over a connection on which nothing has been read yet.
    pub fn new(io: Io, buffers: Rc<Buffers>) -> Self {
        Self { io, buffers, input: Vec::new(), used: 0, output: Vec::new(), written: 0, flushed: true, sent: 0 }
    }

    /// What was read and not yet used.
    pub fn input(&self) -> &[u8] {
        &self.input[self.used..]
    }

    /// Marks the first `count` bytes of the input as used.
    pub fn consume(&mut self, count: usize) {
        self.used += count;
        if self.used >= self.input.len() {
            self.used = 0;
            self.buffers.give(&mut self.input);
        }
    }

    /// Reads more input. 0 is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffers.lend(&mut self.input);
        if self.used > 0 {
            self.input.drain(..self.used);
            self.used = 0;
        }
        self.input.reserve(BUFFER / 2);
        let read = self.io.poll_read(cx, &mut self.input, GATHER);
        if self.input.is_empty() {
            self.buffers.give(&mut self.input);
        }
        read
    }

    /// Reads up to `limit` bytes past the (empty) input, straight into `into`. 0 is the end of the stream.
    pub fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.input().is_empty(), "input comes first");
        into.reserve(limit.clamp(BUFFER / 2, GATHER / 2));
        self.io.poll_read(cx, into, limit)
    }

    /// Reads past the (empty) input, straight into `into`. Nothing read is the end of the stream.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        debug_assert!(self.input().is_empty(), "input comes first");
        self.io.poll_read_buf(cx, into)
    }

    /// The bytes to be written, to append to.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.buffers.lend(&mut self.output);
        self.flushed = false;
        &mut self.output
    }

    /// How many bytes wait to be written. What TLS has taken and still holds counts as one: it is to be flushed as well.
    pub fn unwritten(&self) -> usize {
        (self.output.len() - self.written).max(usize::from(!self.flushed))
    }

    /// How many bytes the connection has taken since it was opened. A write inside TLS that failed counts as one.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Takes the output out of a connection that took none of it, to be sent on another.
    pub fn take_output(&mut self) -> Vec<u8> {
        debug_assert_eq!(self.written, 0, "what was written cannot be taken back");
        (self.flushed, self.written) = (true, 0);
        std::mem::take(&mut self.output)
    }

    /// Writes the output. Ready when all of it is with the kernel. Progress shows in [`unwritten`](Self::unwritten).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let written = ready!(self.io.poll_write(cx, &self.output[self.written..]));
            if written.is_err() && matches!(self.io, Io::Tls(_)) {
                // One write of TLS is many of the socket: some records may have left before the one that failed.
                self.sent += 1;
            }
            let count = written?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.sent += count as u64;
        }
        if !self.flushed {
            ready!(self.io.poll_flush(cx))?;
            self.flushed = true;
            self.written = 0;
            self.buffers.give(&mut self.output);
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_shutdown(cx)
    }

    /// Closes: delivers the output, says that nothing more comes, then drops what still arrives until the other side closes or
    /// `budget` is used up. A close with unread input would reset the connection and take the output with it.
    pub fn poll_linger(&mut self, cx: &mut Context<'_>, budget: &mut usize) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        ready!(self.poll_shutdown(cx))?;
        for _ in 0..MOST_TURNS {
            let waiting = self.input().len();
            self.consume(waiting);
            let count = ready!(self.poll_fill(cx))?;
            if count == 0 || count >= *budget {
                return Poll::Ready(Ok(()));
            }
            *budget -= count;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Has the kernel watch a connection that may be silent for long.
    pub fn keep_alive(&self) {
        self.io.keep_alive();
    }

    /// Makes the close that follows a reset.
    pub fn reset_on_close(&self) {
        self.io.reset_on_close();
    }

    /// Whether an unused connection is still good: open, and silent. Costs no system call while nothing has arrived.
    pub fn is_quiet(&self) -> bool {
        self.input().is_empty() && self.io.is_quiet()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.buffers.give(&mut self.input);
        self.buffers.give(&mut self.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::h1::testing::{nobody, plain, secure};
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_tls_holds_is_not_written() {
        let (mut channel, mut peer) = secure().await;
        let mut all = 0;
        while channel.poll_flush(&mut nobody()).is_ready() {
            assert_eq!(channel.unwritten(), 0);
            channel.output().extend_from_slice(&[b'x'; 1 << 10]);
            all += 1 << 10;
        }
        assert_eq!((channel.written, channel.unwritten()), (channel.output.len(), 1), "all of it is with TLS");
        let mut got = vec![0; all];
        let (flushed, read) =
            tokio::join!(std::future::poll_fn(|cx| channel.poll_flush(cx)), peer.read_exact(&mut got));
        assert_eq!((flushed.unwrap(), read.unwrap(), channel.unwritten()), ((), all, 0));
    }

    #[tokio::test]
    async fn a_write_that_failed_inside_tls_may_have_sent_something() {
        let (mut channel, peer) = secure().await;
        drop(peer);
        channel.output().extend_from_slice(b"request");
        assert!(matches!(channel.poll_flush(&mut nobody()), Poll::Ready(Err(_))));
        assert!(channel.sent() > 0);

        let (mut channel, peer) = plain();
        drop(peer);
        channel.output().extend_from_slice(b"request");
        assert!(matches!(channel.poll_flush(&mut nobody()), Poll::Ready(Err(_))));
        assert_eq!(channel.sent(), 0, "the kernel took nothing");
    }
}
