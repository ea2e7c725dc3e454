//! Version 1: `PROXY TCP4 192.0.2.7 198.51.100.1 4711 443` and CRLF.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Header, Malformed, begins, named};

/// The longest line that the protocol has, with its CRLF.
const LONGEST: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    if !begins(bytes, b"PROXY ") {
        return Err(Malformed::Absent);
    }
    let window = &bytes[..bytes.len().min(LONGEST)];
    match memchr::memchr(b'\n', window) {
        Some(end) => {
            let line = window[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
            let header = line.and_then(header).ok_or(Malformed::Syntax)?;
            Ok(Some((header, end + 1)))
        }
        None if bytes.len() >= LONGEST => Err(Malformed::TooLong),
        None => Ok(None),
    }
}

fn header(line: &str) -> Option<Header> {
    let mut words = line.split(' ').skip(1);
    let header = match words.next()? {
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Some(Header::Unnamed),
        "TCP4" => ends::<Ipv4Addr>(&mut words)?,
        "TCP6" => ends::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    words.next().is_none().then_some(header)
}

fn ends<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<Header> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination) = (address()?, address()?);
    let mut end = |address| Some(SocketAddr::new(address, port(words.next()?)?));
    Some(named(end(source)?, end(destination)?))
}

/// Digits without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<Option<Header>, Malformed> {
        parse(line.as_bytes()).map(|parsed| parsed.map(|(header, _)| header))
    }

    #[test]
    fn clients_are_named() {
        for (line, source) in [
            ("PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "192.0.2.7:1"),
            ("PROXY TCP4 192.0.2.7 127.0.0.1 0 65535\r\n", "192.0.2.7:0"),
            ("PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "[2001:db8::1]:4711"),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:127.0.0.1 4711 443\r\n", "192.0.2.7:4711"),
        ] {
            let Ok(Some(Header::Named { source: found, .. })) = said(line) else { panic!("{line}") };
            assert_eq!(found.to_string(), source);
        }
        assert_eq!(said("PROXY UNKNOWN\r\n"), Ok(Some(Header::Unnamed)));
        assert_eq!(said("PROXY UNKNOWN ff:ff:: ::1 a b c\r\n"), Ok(Some(Header::Unnamed)));
    }

    #[test]
    fn the_longest_line_is_taken_and_no_longer_one() {
        let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
        assert_eq!(said(&line(LONGEST)), Ok(Some(Header::Unnamed)));
        assert_eq!(said(&line(LONGEST + 1)), Err(Malformed::TooLong));
        assert_eq!(said(&"PROXY ".repeat(100)), Err(Malformed::TooLong));
        assert_eq!(said(&line(LONGEST)[..LONGEST - 1]), Ok(None));
    }

    #[test]
    fn one_spelling_only() {
        for line in [
            "PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n",
            "PROXY TCP4  192.0.2.7 127.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 127.0.0.1 1 2 \r\n",
            "PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n",
            "PROXY TCP4 192.0.2.7 127.0.0.1 1 2 3\r\n",
            "PROXY TCP4 192.0.2.07 127.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2 127.0.0.1 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n",
            "PROXY TCP6 [::1] ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 127.0.0.1 01 2\r\n",
            "PROXY TCP4 192.0.2.7 127.0.0.1 +1 2\r\n",
            "PROXY TCP4 192.0.2.7 127.0.0.1 65536 2\r\n",
            "PROXY TCP4 192.0.2.7\t127.0.0.1 1 2\r\n",
            "PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n",
            "PROXY tcp4 192.0.2.7 127.0.0.1 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
            "PROXY TCP4 \u{e9} 127.0.0.1 1 2\r\n",
        ] {
            assert_eq!(said(line), Err(Malformed::Syntax), "{line:?}");
        }
    }
}
