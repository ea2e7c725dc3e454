//! The bytes of one connection, plain or inside TLS, to a client or a backend. What is beneath can change without touching HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::socket::Socket;

/// A connection.
pub enum Io {
    /// The socket's own bytes.
    Plain(Socket),
    /// TLS over the socket, after the handshake.
    Tls(Box<TlsStream<Socket>>),
}

impl Io {
    /// Reads what is there into the free capacity of `into`, up to `limit` bytes. 0 is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        let mut into = bytes::BufMut::limit(into, limit);
        match self {
            Self::Plain(socket) => poll_read_buf(Pin::new(socket), cx, &mut into),
            Self::Tls(stream) => poll_read_buf(Pin::new(stream.as_mut()), cx, &mut into),
        }
    }

    /// Reads what is there into a buffer of fixed size. Nothing read is the end of the stream.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, into),
        }
    }

    /// Whether nothing has arrived, not even the end; see [`Socket::is_quiet`]. What TLS has decrypted and nobody has read counts,
    /// and so does its word that nothing more comes: neither is in the socket any more.
    pub fn is_quiet(&self) -> bool {
        let silent = match self {
            Self::Plain(_) => true,
            Self::Tls(stream) => stream.get_ref().1.wants_read(),
        };
        silent && self.socket().is_quiet()
    }

    /// Makes the close that follows a reset; see [`Socket::reset_on_close`].
    pub fn reset_on_close(&self) {
        self.socket().reset_on_close();
    }

    /// Has the kernel watch a connection that may be silent for long; see [`Socket::keep_alive`].
    pub fn keep_alive(&self) {
        self.socket().keep_alive();
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => poll_write_buf(Pin::new(socket), cx, &mut bytes),
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
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
