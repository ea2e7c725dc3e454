//! Version 2: twelve fixed bytes, version and command, family and transport, a length, addresses, extensions.

use std::net::{IpAddr, SocketAddr};

use super::{Header, Malformed, begins, named};

/// What every header of this version begins with.
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version and command: the proxy speaks for itself, or for a client.
pub(super) const LOCAL: u8 = 0x20;
pub(super) const PROXY: u8 = 0x21;

/// Family and transport.
pub(super) const UNSPECIFIED: u8 = 0x00;
pub(super) const STREAM_IPV4: u8 = 0x11;
pub(super) const STREAM_IPV6: u8 = 0x21;

/// Everything up to the length.
const FIXED: usize = 16;

/// The longest header that is taken. Addresses need 216 bytes at most; the rest is room for extensions, which are small.
const LONGEST: usize = 4 << 10;

/// The type of the extension that holds the checksum.
const CRC32C: u8 = 3;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    if !begins(bytes, SIGNATURE) {
        return Err(Malformed::Absent);
    }
    let Some(fixed) = bytes.get(..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > LONGEST {
        return Err(Malformed::TooLong);
    }
    // What the proxy says for itself counts whatever the family is.
    let addresses = match Command::of(fixed[12]).ok_or(Malformed::Syntax)? {
        Command::Local => None,
        Command::Proxy => Some(Addresses::of(fixed[13]).ok_or(Malformed::Syntax)?),
    };
    let Some(whole) = bytes.get(..length) else { return Ok(None) };
    let header = match addresses {
        None => Header::Local,
        Some(addresses) => {
            let (header, extensions) = addresses.read(&whole[FIXED..]).ok_or(Malformed::Syntax)?;
            check(whole, extensions)?;
            header
        }
    };
    Ok(Some((header, length)))
}

#[derive(Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

impl Command {
    /// The high half is the version.
    fn of(byte: u8) -> Option<Self> {
        match byte {
            LOCAL => Some(Self::Local),
            PROXY => Some(Self::Proxy),
            _ => None,
        }
    }
}

/// What kind of addresses follow. Only those of streams over IP name a client.
#[derive(Clone, Copy)]
enum Addresses {
    Ipv4,
    Ipv6,
    /// Of so many bytes.
    Other(usize),
    /// Not said: nobody can tell where the extensions begin.
    Unspecified,
}

impl Addresses {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            STREAM_IPV4 => Some(Self::Ipv4),
            STREAM_IPV6 => Some(Self::Ipv6),
            UNSPECIFIED..=0x02 => Some(Self::Unspecified),
            0x10 | 0x12 => Some(Self::Other(12)),
            0x20 | 0x22 => Some(Self::Other(36)),
            0x30..=0x32 => Some(Self::Other(216)),
            _ => None,
        }
    }

    /// The header, and the extensions behind the addresses.
    fn read(self, body: &[u8]) -> Option<(Header, &[u8])> {
        match self {
            Self::Ipv4 => ends::<4>(body),
            Self::Ipv6 => ends::<16>(body),
            Self::Other(length) => Some((Header::Unnamed, body.get(length..)?)),
            Self::Unspecified => Some((Header::Unnamed, &[])),
        }
    }
}

/// Both addresses, then both ports; and what follows.
fn ends<const N: usize>(body: &[u8]) -> Option<(Header, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let ([a, b, c, d], rest) = rest.split_first_chunk::<4>()?;
    let source = SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([*a, *b]));
    let destination = SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes([*c, *d]));
    Some((named(source, destination), rest))
}

/// Passes over the extensions. Each has to lie within the header; the checksum, where there is one, has to be right.
fn check(whole: &[u8], mut extensions: &[u8]) -> Result<(), Malformed> {
    while !extensions.is_empty() {
        let ([kind, high, low], rest) = extensions.split_first_chunk::<3>().ok_or(Malformed::Syntax)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Malformed::Syntax)?;
        if *kind == CRC32C {
            let stated = u32::from_be_bytes(value.try_into().map_err(|_| Malformed::Syntax)?);
            // It is counted over the whole header with zeros in its own place.
            let at = whole.len() - rest.len() - value.len();
            let zeroed = whole[..at].iter().chain(&[0; 4]).chain(rest);
            if crc32c(zeroed) != stated {
                return Err(Malformed::Checksum);
            }
        }
        extensions = rest;
    }
    Ok(())
}

/// The checksum of RFC 3720 appendix B.4, bit by bit: headers are short and few carry one.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ENDS, tcp4, v2 as header};
    use super::*;

    fn said(bytes: &[u8]) -> Result<Header, Malformed> {
        parse(bytes).map(|parsed| parsed.unwrap().0)
    }

    #[test]
    fn clients_are_named() {
        let named = |source: &str, destination: &str| {
            Ok(Header::Named { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
        };
        assert_eq!(said(&tcp4(&[])), named("192.0.2.7:4711", "198.51.100.1:443"));
        let mut body = [0; 36];
        (body[0], body[15], body[16], body[31], body[33], body[35]) = (0x20, 7, 0x20, 8, 9, 10);
        assert_eq!(said(&header(0x21, 0x21, &body)), named("[2000::7]:9", "[2000::8]:10"));
        let mut mapped = [0; 36];
        mapped[10..16].copy_from_slice(&[255, 255, 192, 0, 2, 7]);
        mapped[26..32].copy_from_slice(&[255, 255, 192, 0, 2, 8]);
        assert_eq!(said(&header(0x21, 0x21, &mapped)), named("192.0.2.7:0", "192.0.2.8:0"));
    }

    #[test]
    fn others_are_not() {
        for (command, family, body) in [
            (0x21, 0x00, &b""[..]),
            (0x21, 0x00, b"anything at all"),
            (0x21, 0x12, &ENDS),
            (0x21, 0x10, &ENDS),
            (0x21, 0x22, &[0; 36]),
            (0x21, 0x31, &[0; 216]),
            (0x21, 0x32, &[0; 216]),
        ] {
            assert_eq!(said(&header(command, family, body)), Ok(Header::Unnamed), "{family:x}");
        }
        for (family, body) in [(0x00, &b""[..]), (0x11, &ENDS), (0x11, b"short"), (0x31, b""), (0xff, b"?")] {
            assert_eq!(said(&header(0x20, family, body)), Ok(Header::Local));
        }
    }

    #[test]
    fn what_the_protocol_does_not_have_is_refused() {
        for (command, family, body) in [
            (0x11, 0x11, &ENDS[..]),
            (0x31, 0x11, &ENDS),
            (0x22, 0x11, &ENDS),
            (0x21, 0x41, &ENDS),
            (0x21, 0x13, &ENDS),
            (0x21, 0x11, &ENDS[..11]),
            (0x21, 0x21, &[0; 35]),
            (0x21, 0x31, &[0; 215]),
        ] {
            assert_eq!(said(&header(command, family, body)), Err(Malformed::Syntax), "{command:x} {family:x}");
        }
    }

    #[test]
    fn the_longest_header_is_taken_and_no_longer_one() {
        let room = LONGEST - FIXED - ENDS.len() - 3;
        let extension = |length: usize| [&[4, (length >> 8) as u8, length as u8][..], &vec![0; length]].concat();
        assert!(said(&tcp4(&extension(room))).is_ok());
        assert_eq!(parse(&tcp4(&extension(room + 1))[..FIXED]), Err(Malformed::TooLong));
    }

    #[test]
    fn extensions_lie_within_the_header() {
        for good in [&[1, 0, 0][..], &[1, 0, 2, b'h', b'2', 2, 0, 1, b'a'], &[0xff, 0, 0]] {
            assert!(said(&tcp4(good)).is_ok());
        }
        for bad in [&[1][..], &[1, 0], &[1, 0, 1], &[1, 0, 0, 2, 255, 255], &[3, 0, 3, 1, 2, 3]] {
            assert_eq!(said(&tcp4(bad)), Err(Malformed::Syntax), "{bad:?}");
        }
    }

    #[test]
    fn the_checksum_is_held() {
        // The vector of RFC 3720 appendix B.4.
        assert_eq!(crc32c([0; 32].iter()), 0x8a91_36aa);
        let sum = crc32c(tcp4(&[3, 0, 4, 0, 0, 0, 0, 4, 0, 0]).iter()).to_be_bytes();
        let with = |sum: [u8; 4]| tcp4(&[&[3, 0, 4][..], &sum, &[4, 0, 0]].concat());
        assert!(said(&with(sum)).is_ok());
        assert_eq!(said(&with([sum[0] ^ 1, sum[1], sum[2], sum[3]])), Err(Malformed::Checksum));
    }
}
