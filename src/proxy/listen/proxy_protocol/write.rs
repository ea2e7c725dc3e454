//! The header of version 2 that a connection of ours begins with.

use std::net::{IpAddr, SocketAddr};

use super::Header;
use super::v2::{LOCAL, PROXY, SIGNATURE, STREAM_IPV4, STREAM_IPV6, UNSPECIFIED};

impl Header {
    /// The header in version 2. Two ends of two families are both written as IPv6, the IPv4 one mapped.
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        match *self {
            Self::Local => bytes.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]),
            Self::Unnamed => bytes.extend_from_slice(&[PROXY, UNSPECIFIED, 0, 0]),
            Self::Named { source, destination } => named(source, destination, &mut bytes),
        }
        bytes
    }
}

fn named(source: SocketAddr, destination: SocketAddr, bytes: &mut Vec<u8>) {
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend_from_slice(&[PROXY, STREAM_IPV4, 0, 12]);
            bytes.extend_from_slice(&from.octets());
            bytes.extend_from_slice(&to.octets());
        }
        (from, to) => {
            bytes.extend_from_slice(&[PROXY, STREAM_IPV6, 0, 36]);
            for end in [from, to] {
                bytes.extend_from_slice(&as_ipv6(end));
            }
        }
    }
    bytes.extend_from_slice(&source.port().to_be_bytes());
    bytes.extend_from_slice(&destination.port().to_be_bytes());
}

fn as_ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::listen::proxy_protocol::parse;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let named = |source: &str, destination: &str| Header::Named {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        for (header, length) in [
            (Header::Local, 16),
            (Header::Unnamed, 16),
            (named("192.0.2.7:4711", "198.51.100.1:443"), 28),
            (named("[2001:db8::7]:4711", "[2001:db8::1]:443"), 52),
            (named("[2001:db8::7]:0", "198.51.100.1:443"), 52),
            (named("192.0.2.7:0", "[2001:db8::1]:443"), 52),
        ] {
            let bytes = header.to_v2();
            assert_eq!(bytes.len(), length);
            assert_eq!(parse(&bytes), Ok(Some((header, length))));
        }
    }
}
