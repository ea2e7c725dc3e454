//! The PROXY header that a connection begins with: against a plain reading of both versions, and against itself in pieces, with
//! more behind it, and written again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis::proxy::listen::proxy_protocol::{Header, parse};

/// The longest header that is taken, in either version.
const LONGEST: usize = 4 << 10;

/// How many pieces a header is cut into.
const CUTS: usize = 64;

/// The bytes are what a connection brings.
pub fn run(bytes: &[u8]) {
    let parsed = parse(bytes);
    let Ok(Some((header, length))) = parsed else {
        // What is still the start of a header is short enough to be one.
        assert!(parsed.is_err() || bytes.len() < LONGEST, "{} bytes and no end", bytes.len());
        // What is no header does not become one.
        if parsed.is_err() {
            assert_eq!(parse(&[bytes, b"\r\n"].concat()), parsed);
        }
        return;
    };
    let (whole, rest) = bytes.split_at(length);
    assert_eq!(header, if whole[0] == b'P' { line(whole) } else { binary(whole) });
    for cut in (0..length).step_by(length / CUTS + 1).chain([length - 1]) {
        assert_eq!(parse(&whole[..cut]), Ok(None), "of {length} bytes {cut}");
    }
    assert_eq!(parse(whole), parsed);
    assert_eq!(parse(&[whole, rest, b"GET / HTTP/1.1\r\n"].concat()), parsed);
    let again = header.to_v2();
    assert_eq!(parse(&again), Ok(Some((header, again.len()))));
}

/// What a line says that was taken.
fn line(whole: &[u8]) -> Header {
    let text = std::str::from_utf8(whole).unwrap().strip_suffix("\r\n").unwrap();
    assert!(whole.len() <= 107 && !text.contains('\n'), "{text:?}");
    let words: Vec<&str> = text.split(' ').collect();
    if words[1] == "UNKNOWN" {
        return Header::Unnamed;
    }
    let [_, family, from, to, from_port, to_port] = words[..] else { panic!("{text:?}") };
    let address = |word: &str| -> IpAddr {
        match family {
            "TCP4" => IpAddr::V4(word.parse::<Ipv4Addr>().unwrap()),
            "TCP6" => IpAddr::V6(word.parse::<Ipv6Addr>().unwrap()),
            _ => panic!("{text:?}"),
        }
    };
    let port = |word: &str| {
        let port: u16 = word.parse().unwrap();
        // One spelling only.
        assert_eq!(port.to_string(), word);
        port
    };
    named((address(from), port(from_port)), (address(to), port(to_port)))
}

/// What a binary header says that was taken.
fn binary(whole: &[u8]) -> Header {
    assert_eq!(&whole[..12], b"\r\n\r\n\0\r\nQUIT\n");
    assert!(whole.len() <= LONGEST && whole.len() == 16 + usize::from(whole[14]) * 256 + usize::from(whole[15]));
    let port = |at: usize| u16::from(whole[at]) * 256 + u16::from(whole[at + 1]);
    let ipv4 = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&whole[at..at + 4]).unwrap());
    let ipv6 = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&whole[at..at + 16]).unwrap());
    match (whole[12], whole[13]) {
        (0x20, _) => Header::Local,
        (0x21, 0x11) => named((ipv4(16), port(24)), (ipv4(20), port(26))),
        (0x21, 0x21) => named((ipv6(16), port(48)), (ipv6(32), port(50))),
        (0x21, family) => {
            assert!(family >> 4 <= 3 && family & 15 <= 2, "{family:x}");
            Header::Unnamed
        }
        (version, _) => panic!("{version:x}"),
    }
}

fn named(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Header {
    let end = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
    Header::Named { source: end(source), destination: end(destination) }
}
