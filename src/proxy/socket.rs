//! The socket beneath a connection: TCP or a Unix socket. What is above does not ask which.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcp};
use std::os::unix::net::UnixStream as StdUnix;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How long a connection is silent before the kernel asks whether the other end is still there, and between two questions.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(15);

/// A connected stream socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP, over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// A connected socket on its way to another thread's runtime.
#[derive(Debug)]
pub enum Detached {
    /// TCP.
    Tcp(StdTcp),
    /// A Unix socket.
    Unix(StdUnix),
}

impl Detached {
    /// Gives it to this thread's runtime.
    ///
    /// # Errors
    /// Where the runtime cannot watch it.
    pub fn attach(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Socket::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Socket::Unix),
        }
    }

    /// Makes it one that a runtime can watch.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }
}

impl Socket {
    /// Takes it from this thread's runtime.
    ///
    /// # Errors
    /// Where the runtime does not let go of it.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
        }
    }

    /// Sends small pieces at once; a Unix socket always does.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Our own address; a Unix socket has none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(stream) => stream.local_addr().map(Some),
            Self::Unix(_) => Ok(None),
        }
    }

    /// Waits until something has arrived and copies it, without taking it. 0 is the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.peek(into).await,
            Self::Unix(stream) => {
                let peek = || Ok(rustix::net::recv(stream, &mut *into, RecvFlags::PEEK)?.1);
                stream.async_io(Interest::READABLE, peek).await
            }
        }
    }

    /// Whether nothing has arrived, not even the end. Unlike a poll it does not ask whether the task has had its share of turns,
    /// which looks the same as silence. A byte that has arrived is lost: the connection is no good then.
    pub fn is_quiet(&self) -> bool {
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut [0]),
            Self::Unix(stream) => stream.try_read(&mut [0]),
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Makes the close that follows a reset, so that the other side cannot take what it got for the whole. A Unix socket has no
    /// reset; its close tells no more than an end.
    pub fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // A connection that is gone already needs no reset.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Has the kernel find out when the other end is gone without a word, within two minutes: for connections that may be silent
    /// for long and right so.
    pub fn keep_alive(&self) {
        if let Self::Tcp(stream) = self {
            let probes = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(PROBE).with_retries(4);
            // Without it the idle deadline still ends the connection.
            let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&probes);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [piece] = pieces {
            // What the kernel does beside the sending itself is less for one piece than for a list of one.
            return self.poll_write(cx, piece);
        }
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
