//! The bytes of one connection, plain or inside TLS. What is beneath can change without touching HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// A connection.
pub enum Io {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// Reads what is there into the free capacity of `into`, up to `limit` bytes. 0 is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        let mut into = bytes::BufMut::limit(into, limit);
        match self {
            Self::Plain(stream) => poll_read_buf(Pin::new(stream), cx, &mut into),
            Self::Tls(stream) => poll_read_buf(Pin::new(stream.as_mut()), cx, &mut into),
        }
    }

    /// Reads what is there into a buffer of fixed size. Nothing read is the end of the stream.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, into),
        }
    }

    /// Whether nothing has arrived, not even the end. Unlike a poll it does not ask whether the task has had its share of turns,
    /// which looks the same as silence. A byte that has arrived is lost: the connection is no good then.
    pub fn is_quiet(&self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Makes the close that follows a reset, so that the other side cannot take what it got for the whole.
    pub fn reset_on_close(&self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // A connection that is gone already needs no reset.
        let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => poll_write_buf(Pin::new(stream), cx, &mut bytes),
            Self::Tls(stream) => poll_write_buf(Pin::new(stream.as_mut()), cx, &mut bytes),
        }
    }

    /// Ready once everything written has been handed to the kernel.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written: `close_notify` inside TLS, then FIN.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
