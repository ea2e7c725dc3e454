//! A connection in memory: all input is there at once, then its end; output is taken and forgotten.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};

/// The connection.
pub(super) struct Memory {
    input: Vec<u8>,
    used: usize,
    /// Input is there once something was written: an answer comes after its request.
    asked: bool,
    waiting: Option<Waker>,
}

impl Memory {
    /// A connection on which `input` has arrived.
    pub(super) fn arrived(input: &[u8]) -> Self {
        Self { input: input.to_vec(), used: 0, asked: true, waiting: None }
    }

    /// A connection on which `input` is the answer to what is written first.
    pub(super) fn answering(input: &[u8]) -> Self {
        Self { asked: false, ..Self::arrived(input) }
    }
}

impl Read for Memory {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = into.remaining().min(self.input.len() - self.used);
        into.put_slice(&self.input[self.used..self.used + count]);
        self.used += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that waits for nothing outside of itself.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
