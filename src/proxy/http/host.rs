//! The host of a request: `Host`, `:authority` or the authority of an absolute target, checked and normalised once.
//!
//! Everything that asks for a host (route, certificate check, redirect) gets it from here, so that no two of them can
//! read the same bytes differently.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::proxy::fault::Malformed;

/// The longest value that is read, in bytes: a DNS name has at most 253, brackets and port come on top.
pub const LONGEST: usize = 255;

/// A host as it was asked for: lower case, without a trailing dot, IPv6 without brackets and in canonical text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Reads `host [":" port]` (RFC 9110 §7.2).
    ///
    /// Of a reg-name's alphabet only the unreserved octets are accepted: no DNS name has others, and percent-encoding,
    /// commas or user information in a host mean different things to different readers. A name that ends in a number
    /// must be an IPv4 address in its one canonical spelling. An empty port is no port.
    ///
    /// # Errors
    /// [`Malformed::Host`].
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        if value.len() > LONGEST {
            return Err(Malformed::Host);
        }
        if let [b'[', rest @ ..] = value {
            return Self::bracketed(rest);
        }
        let (name, port) = match value.iter().position(|byte| *byte == b':') {
            Some(colon) => (&value[..colon], port(&value[colon + 1..])?),
            None => (value, None),
        };
        Ok(Self { name: reg_name(name)?, port })
    }

    fn bracketed(rest: &'a [u8]) -> Result<Self, Malformed> {
        let close = rest.iter().position(|byte| *byte == b']').ok_or(Malformed::Host)?;
        let port = match &rest[close + 1..] {
            [] => None,
            [b':', digits @ ..] => port(digits)?,
            _ => return Err(Malformed::Host),
        };
        let text = std::str::from_utf8(&rest[..close]).map_err(|_| Malformed::Host)?;
        let address: Ipv6Addr = text.parse().map_err(|_| Malformed::Host)?;
        let canonical = address.to_string();
        let name = if canonical == text { Cow::Borrowed(text) } else { Cow::Owned(canonical) };
        Ok(Self { name, port })
    }

    /// The normalised name or address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, where one was written. 1 to 65,535.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is an IP address and no name.
    pub fn is_address(&self) -> bool {
        self.name.contains(':') || self.name.parse::<Ipv4Addr>().is_ok()
    }

    /// The normalised name, without the port.
    pub fn into_name(self) -> Cow<'a, str> {
        self.name
    }
}

/// Whether two values, the authority of an absolute target and `Host`, name the same host and port. A request where
/// they differ is refused: RFC 9112 §3.2.2 lets the target win, but what stands behind may read the other one.
///
/// # Errors
/// [`Malformed::Host`] where they differ or either is no host.
pub fn same(target: &[u8], host: &[u8]) -> Result<(), Malformed> {
    let equal = Host::parse(target)? == Host::parse(host)?;
    if equal { Ok(()) } else { Err(Malformed::Host) }
}

fn reg_name(name: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut upper = false;
    let mut label_start = true;
    for byte in name {
        match byte {
            b'.' if label_start => return Err(Malformed::Host),
            b'A'..=b'Z' => upper = true,
            b'.' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {}
            _ => return Err(Malformed::Host),
        }
        label_start = *byte == b'.';
    }
    if label_start {
        return Err(Malformed::Host);
    }
    let text = std::str::from_utf8(name).map_err(|_| Malformed::Host)?;
    if ends_in_number(text) && text.parse::<Ipv4Addr>().is_err() {
        return Err(Malformed::Host);
    }
    Ok(if upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) })
}

fn ends_in_number(text: &str) -> bool {
    // Most names end in a letter: there is nothing to split off then.
    text.as_bytes().last().is_some_and(u8::is_ascii_digit)
        && text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn port(digits: &[u8]) -> Result<Option<u16>, Malformed> {
    if digits.is_empty() {
        return Ok(None);
    }
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Host);
    }
    let number = digits.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Malformed::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_and_port(value: &str) -> Option<(String, Option<u16>)> {
        Host::parse(value.as_bytes()).ok().map(|host| (host.name().to_owned(), host.port()))
    }

    #[test]
    fn hosts_are_normalised() {
        for (value, name, port) in [
            ("example.com", "example.com", None),
            ("EXAMPLE.com", "example.com", None),
            ("example.com.", "example.com", None),
            ("Example.Com.:8443", "example.com", Some(8443)),
            ("example.com:", "example.com", None),
            ("localhost:1", "localhost", Some(1)),
            ("a_b.example.com:65535", "a_b.example.com", Some(65535)),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
            ("127.0.0.1:443", "127.0.0.1", Some(443)),
            ("[::1]", "::1", None),
            ("[0:0:0:0:0:0:0:1]:8443", "::1", Some(8443)),
            ("[2001:DB8::A]", "2001:db8::a", None),
            ("[::1]:", "::1", None),
        ] {
            assert_eq!(name_and_port(value), Some((name.to_owned(), port)), "{value}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for value in [
            "",
            ".",
            "..",
            ":80",
            ".example.com",
            "a..b",
            "example.com..",
            "user@example.com",
            "user:pw@example.com",
            "a b",
            " example.com",
            "example.com ",
            "a,b",
            "example.com, example.org",
            "example.com/",
            "example.com?x",
            "example.com#x",
            "ex%61mple.com",
            "example.com:0",
            "example.com:65536",
            "example.com:8a",
            "example.com:+80",
            "example.com:80:80",
            "example.com:000080",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1]x",
            "[::1]80",
            "[::1%eth0]",
            "[v1.x]",
            "[127.0.0.1]",
            "127.1",
            "1",
            "0177.0.0.1",
            "256.1.1.1",
            "1.2.3.4.5",
            "web.1",
            "*",
            "*.example.com",
            "a\0b",
            "a\tb",
            "a\r\nb",
            "a\u{7f}",
            "b\u{fc}cher.example",
            "a;b",
            "a=b",
            "a\\b",
            "<a>",
            "a'b",
            "(a)",
        ] {
            assert_eq!(Host::parse(value.as_bytes()), Err(Malformed::Host), "{value:?}");
        }
        assert_eq!(Host::parse(&[b'a'; 256]), Err(Malformed::Host));
        assert!(Host::parse(&[b'a'; 255]).is_ok());
        assert_eq!(Host::parse(b"\xff\xfe"), Err(Malformed::Host));
    }

    #[test]
    fn a_lower_case_name_is_borrowed() {
        assert!(matches!(Host::parse(b"www.example.com.:443").unwrap().into_name(), Cow::Borrowed("www.example.com")));
        assert!(matches!(Host::parse(b"[::1]:443").unwrap().into_name(), Cow::Borrowed("::1")));
    }

    #[test]
    fn addresses_are_told_from_names() {
        for (value, expected) in [("127.0.0.1", true), ("[::1]:80", true), ("localhost", false), ("1a.example", false)]
        {
            assert_eq!(Host::parse(value.as_bytes()).unwrap().is_address(), expected, "{value}");
        }
    }

    #[test]
    fn target_and_host_must_name_the_same() {
        assert_eq!(same(b"EXAMPLE.com.:80", b"example.com:80"), Ok(()));
        for (target, host) in [("a.example", "b.example"), ("a.example:80", "a.example"), ("a.example", ""), ("", "")] {
            assert_eq!(same(target.as_bytes(), host.as_bytes()), Err(Malformed::Host), "{target} {host}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_what_is_read_reads_the_same_again() {
        let mut random = fastrand::Rng::with_seed(1);
        let alphabet = b"aA0.:[]-_~@,% \0\xff1f";
        for _ in 0..50_000 {
            let value: Vec<u8> = (0..random.usize(0..24)).map(|_| alphabet[random.usize(0..alphabet.len())]).collect();
            let Ok(host) = Host::parse(&value) else { continue };
            let again = if host.name().contains(':') { format!("[{}]", host.name()) } else { host.name().to_owned() };
            assert_eq!(Host::parse(again.as_bytes()).unwrap().name(), host.name(), "{value:?}");
        }
    }
}
