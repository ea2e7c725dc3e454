//! Takes the header off a connection, and not a byte of what follows it.

use std::io;

use tokio::io::AsyncReadExt;

use super::{Header, Malformed, parse};
use crate::proxy::socket::Socket;

/// How much is looked at in one go: every header without large extensions.
const PIECE: usize = 256;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The connection ended without a byte, as those of port checks do.
    #[error("the connection ended before its PROXY header")]
    Silent,
    /// It ended within the header.
    #[error("the connection ended within its PROXY header")]
    Cut,
    /// It begins with something else.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header that `socket` begins with. It keeps no deadline: the caller puts one over it.
///
/// What has arrived is looked at first, and then taken as far as it is header: two calls where it comes in one piece.
///
/// # Errors
/// Why there is none.
pub async fn read(socket: &mut Socket) -> Result<Header, HeaderError> {
    let mut bytes = Vec::new();
    let mut taken = 0;
    loop {
        bytes.resize(taken + PIECE, 0);
        let seen = taken + socket.peek(&mut bytes[taken..]).await?;
        if seen == taken {
            return Err(if taken == 0 { HeaderError::Silent } else { HeaderError::Cut });
        }
        let parsed = parse(&bytes[..seen])?;
        let end = parsed.map_or(seen, |(_, length)| length);
        socket.read_exact(&mut bytes[taken..end]).await?;
        taken = end;
        if let Some((header, _)) = parsed {
            return Ok(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::tcp4;
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    /// What is read of `pieces`, sent one after the other, and what is left for whoever reads next.
    async fn read_of(pieces: impl IntoIterator<Item = Vec<u8>>) -> (Result<Header, HeaderError>, Vec<u8>) {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut server = Socket::Unix(server);
        let sending = async {
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let reading = async {
            let header = read(&mut server).await;
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            (header, rest)
        };
        tokio::join!(sending, reading).1
    }

    #[tokio::test]
    async fn what_follows_is_left() {
        let line = b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n".to_vec();
        let by_byte: Vec<_> = line.iter().map(|byte| vec![*byte]).collect();
        for pieces in [vec![line], by_byte] {
            let (header, rest) = read_of(pieces).await;
            assert_eq!((header.unwrap(), &rest[..]), (Header::Unnamed, &b"GET / HTTP/1.1\r\n"[..]));
        }
        let extended = tcp4(&[&[4, 7, 0][..], &[0; 7 * 256]].concat());
        let (header, rest) = read_of([[&extended[..], b"\x16\x03\x01"].concat()]).await;
        assert!(matches!(header.unwrap(), Header::Named { .. }));
        assert_eq!(rest, b"\x16\x03\x01");
    }

    #[tokio::test]
    async fn an_end_before_or_within_the_header_is_told_apart() {
        assert!(matches!(read_of([]).await.0, Err(HeaderError::Silent)));
        assert!(matches!(read_of([b"PROXY TCP".to_vec()]).await.0, Err(HeaderError::Cut)));
        assert!(matches!(read_of([b"GET".to_vec()]).await.0, Err(HeaderError::Malformed(Malformed::Absent))));
    }
}
