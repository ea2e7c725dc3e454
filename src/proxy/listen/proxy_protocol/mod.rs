//! The PROXY protocol: what a proxy says of its client before the client's first byte. Version 1 is a line of text,
//! version 2 is binary (`proxy-protocol.txt` of HAProxy).

mod read;
#[cfg(test)]
mod testing;
mod v1;
mod v2;
mod write;

use std::net::SocketAddr;

pub use read::{HeaderError, read};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Header {
    /// The proxy speaks for itself, as in its health checks (version 2, `LOCAL`).
    Local,
    /// The proxy speaks for a client whose address it does not say, or that has none (`UNKNOWN`, a Unix socket, a datagram).
    Unnamed,
    /// The proxy speaks for a client.
    Named {
        /// The client. Never IPv4-mapped.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The connection begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    /// More than 107 bytes in version 1, or more than we take in version 2.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It says something that the protocol does not have.
    #[error("the PROXY header is malformed")]
    Syntax,
    /// Its checksum is not that of its bytes.
    #[error("the PROXY header has a wrong checksum")]
    Checksum,
}

/// Reads the header at the start of `bytes`, and how long it is. `None` where all of them are the start of one.
///
/// # Errors
/// As soon as no further byte could make a header of them.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => v1::parse(bytes),
        Some(_) => v2::parse(bytes),
    }
}

/// Whether `bytes` begin like `start`, as far as there are any.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn named(source: SocketAddr, destination: SocketAddr) -> Header {
    let unmapped = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Header::Named { source: unmapped(source), destination: unmapped(destination) }
}

#[cfg(test)]
mod tests {
    use super::testing::tcp4;
    use super::*;

    /// Every header, cut everywhere, and with bytes of the client's behind it.
    #[test]
    fn a_header_is_whole_at_its_last_byte_and_not_before() {
        let source = "192.0.2.7:4711".parse().unwrap();
        let destination = "198.51.100.1:443".parse().unwrap();
        for header in [b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(), tcp4(&[])] {
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(None), "{cut}");
            }
            let expected = Header::Named { source, destination };
            assert_eq!(parse(&header), Ok(Some((expected, header.len()))));
            assert_eq!(parse(&[&header[..], b"GET"].concat()), Ok(Some((expected, header.len()))));
        }
    }

    #[test]
    fn what_is_no_header_is_known_by_its_first_wrong_byte() {
        for bytes in [&b"G"[..], b"\x16\x03\x01", b"PRI", b"PROPFIND", b"PROXY\t", b"\r\n\r\nG", b"\0"] {
            assert_eq!(parse(bytes), Err(Malformed::Absent), "{bytes:?}");
        }
    }

    /// Whatever the bytes: no panic, no length beyond them, and a whole header does not change with what follows it.
    #[test]
    fn any_bytes_have_one_answer() {
        let mut random = fastrand::Rng::with_seed(11);
        let seeds = [b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".to_vec(), tcp4(&[4, 0, 1, 9])];
        for _ in 0..50_000 {
            let mut bytes = random.choice(&seeds).unwrap().clone();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(0..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(0..=bytes.len()));
            if let Ok(Some((header, length))) = parse(&bytes) {
                assert!(length <= bytes.len());
                bytes.extend_from_slice(b"more");
                assert_eq!(parse(&bytes), Ok(Some((header, length))));
            }
        }
    }
}
