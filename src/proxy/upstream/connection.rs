//! A connection to a backend.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::base::alarm::Moment;
use crate::proxy::balance::Target;
use crate::proxy::http::h1::server::has_token;
use crate::proxy::http::h1::stream::Stream;
use crate::proxy::message::{Name, Response, Version};
use crate::proxy::socket::Socket;

/// How many addresses of a name are tried for one connection.
const MOST_ADDRESSES: usize = 8;

/// An open connection and how long it may be kept unused.
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// The id of its endpoint.
    pub(super) endpoint: u64,
    /// Whether the backend lets it be used again after the answer under way.
    pub(super) keeps: bool,
    /// How long the backend keeps it open unused, where it said so.
    pub(super) keep_alive: Option<Duration>,
    /// Since when it has been unused.
    pub(super) idle_since: Moment,
}

impl Connection {
    /// Notes what the head of an answer says about the connection's future (RFC 9112 §9.3).
    pub(super) fn note(&mut self, response: &Response) {
        let closes = response.fields.all(Name::Connection).any(|value| has_token(value, b"close"));
        self.keeps = response.version == Version::Http11 && !closes;
        if let Some(seconds) = response.fields.first(Name::KeepAlive).and_then(announced) {
            // One second less, so that it is us who close first.
            self.keep_alive = Some(Duration::from_secs(seconds.saturating_sub(1)));
        }
    }
}

/// The `timeout` of a `Keep-Alive` field, in seconds.
fn announced(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let timeout = text.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    timeout.trim_matches('"').parse().ok()
}

/// Connects a socket.
pub(super) async fn dial(target: &Target) -> io::Result<Socket> {
    let stream = match target {
        Target::Address(address) => TcpStream::connect(*address).await?,
        Target::Name(name, port) => first_of(lookup_host((name.as_str(), *port)).await?).await?,
        Target::Unix(path) => return UnixStream::connect(path).await.map(Socket::Unix),
    };
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.take(MOST_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_keep_alive_is_read() {
        assert_eq!(announced(b"timeout=5, max=100"), Some(5));
        assert_eq!(announced(b"max=100, timeout=\"7\""), Some(7));
        assert_eq!(announced(b"max=100"), None);
        assert_eq!(announced(b"timeout=soon"), None);
        assert_eq!(announced(b"\xff"), None);
    }
}
