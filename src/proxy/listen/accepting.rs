//! Listening sockets, TCP or Unix. What is above does not ask which.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcp};
use std::os::unix::net::UnixListener as StdUnix;

use tokio::net::{TcpListener, UnixListener};

use crate::proxy::socket::{Detached, Socket};

/// The peer of a connection over a Unix socket: it has no address, and is on this machine. No TCP peer has port 0.
const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A listening socket on its way to a worker.
#[derive(Debug)]
pub enum Listening {
    /// TCP, over IPv4 or IPv6.
    Tcp(StdTcp),
    /// A Unix socket.
    Unix(StdUnix),
}

impl Listening {
    /// Gives it to this thread's runtime.
    ///
    /// # Errors
    /// Where the runtime cannot watch it.
    pub fn attach(self) -> io::Result<Accepting> {
        match self {
            Self::Tcp(socket) => TcpListener::from_std(socket).map(Accepting::Tcp),
            Self::Unix(socket) => UnixListener::from_std(socket).map(Accepting::Unix),
        }
    }

    /// The next connection that waits, and its peer.
    ///
    /// # Errors
    /// `WouldBlock` where none does, and what the kernel says.
    pub fn accept(&self) -> io::Result<(Detached, SocketAddr)> {
        let (socket, peer) = match self {
            Self::Tcp(socket) => socket.accept().map(|(stream, peer)| (Detached::Tcp(stream), peer))?,
            Self::Unix(socket) => socket.accept().map(|(stream, _)| (Detached::Unix(stream), UNIX_PEER))?,
        };
        socket.set_nonblocking()?;
        Ok((socket, peer))
    }
}

/// A listening socket of this thread's runtime.
#[derive(Debug)]
pub enum Accepting {
    /// TCP, over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Accepting {
    /// The next connection and its peer. Cancel-safe.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(stream, peer)| (Socket::Tcp(stream), peer)),
            Self::Unix(socket) => socket.accept().await.map(|(stream, _)| (Socket::Unix(stream), UNIX_PEER)),
        }
    }

    /// Takes it from this thread's runtime.
    ///
    /// # Errors
    /// Where the runtime does not let go of it.
    pub fn detach(self) -> io::Result<Listening> {
        match self {
            Self::Tcp(socket) => socket.into_std().map(Listening::Tcp),
            Self::Unix(socket) => socket.into_std().map(Listening::Unix),
        }
    }
}
