//! Redirects: a route's `redirect`, and a plain listener's `redirect_https`.

use crate::proxy::message::{Name, Request, Response};

/// A route's `redirect`.
#[derive(Clone, Debug)]
pub struct Redirect {
    to: Vec<u8>,
    keeps_target: bool,
    status: u16,
}

impl Redirect {
    /// `to` is a scheme and an authority, optionally with a path. Without one, the request's path and query follow.
    pub fn new(to: &str, status: u16) -> Self {
        let authority = to.find("://").map_or(0, |colon| colon + 3);
        let keeps_target = !to[authority..].contains(['/', '?', '#']);
        let mut escaped = Vec::with_capacity(to.len());
        push_escaped(&mut escaped, to.as_bytes());
        Self { to: escaped, keeps_target, status }
    }

    /// Makes `response` the redirect of `request`. It has no body.
    pub fn answer(&self, request: &Request, response: &mut Response) {
        let target = if self.keeps_target { request.target() } else { b"" };
        locate(response, self.status, &[&self.to], target);
    }
}

/// Makes `response` a 308 to the same target over HTTPS. `host` is the request's checked host, without port and
/// brackets and never empty; `port` the public HTTPS port, left out of the URL where it is 443.
pub fn to_https(request: &Request, host: &str, port: u16, response: &mut Response) {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let mut digits = [b':', 0, 0, 0, 0, 0];
    let port: &[u8] = if port == 443 { b"" } else { decimal(port, &mut digits) };
    let origin: [&[u8]; 5] = [b"https://", open.as_bytes(), host.as_bytes(), close.as_bytes(), port];
    locate(response, 308, &origin, request.target());
}

fn decimal(port: u16, text: &mut [u8; 6]) -> &[u8] {
    let length = port.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut rest = port;
    for digit in text[1..=length].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    &text[..=length]
}

fn locate(response: &mut Response, status: u16, origin: &[&[u8]], target: &[u8]) {
    response.status = status;
    response.fields.set_written(Name::Location, |location| {
        origin.iter().for_each(|part| location.extend_from_slice(part));
        push_target(location, target);
    });
}

/// Appends a target so that it can neither end the field nor become part of the authority before it.
fn push_target(location: &mut Vec<u8>, target: &[u8]) {
    if !target.is_empty() && target[0] != b'/' {
        location.push(b'/');
    }
    // `*`, the target of an OPTIONS request to the server as a whole, is no path.
    push_escaped(location, if target == b"*" { b"" } else { target });
}

/// Appends text with every octet that no URL has percent-encoded, line ends among them.
fn push_escaped(location: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') {
            location.push(byte);
        } else {
            let hex = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
            location.extend([b'%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::Name;

    fn request(target: &str) -> Request {
        let mut request = Request::default();
        request.rewrite_target(target.as_bytes());
        request
    }

    fn location(response: &Response) -> &str {
        std::str::from_utf8(response.fields.first(Name::Location).unwrap()).unwrap()
    }

    #[test]
    fn the_target_follows_unless_there_is_a_path() {
        for (to, target, expected) in [
            ("https://www.example.com", "/a?b=1", "https://www.example.com/a?b=1"),
            ("https://www.example.com:8443", "/", "https://www.example.com:8443/"),
            ("https://www.example.com/", "/a?b=1", "https://www.example.com/"),
            ("https://www.example.com/new", "/a?b=1", "https://www.example.com/new"),
            ("https://www.example.com?x", "/a", "https://www.example.com?x"),
            ("https://www.example.com", "/a\"b|c", "https://www.example.com/a%22b%7Cc"),
            ("https://www.example.com", "//evil.example/", "https://www.example.com//evil.example/"),
            ("https://www.example.com", "/%0d%0aX:1", "https://www.example.com/%0d%0aX:1"),
            ("https://www.example.com", "/\r\nX: 1", "https://www.example.com/%0D%0AX:%201"),
            ("https://www.example.com", "/caf\u{e9}", "https://www.example.com/caf%C3%A9"),
            ("https://www.example.com", "@evil.example/", "https://www.example.com/@evil.example/"),
            ("https://www.example.com", ".evil.example", "https://www.example.com/.evil.example"),
            ("https://www.example.com/caf\u{e9}\r\nX: 1", "/", "https://www.example.com/caf%C3%A9%0D%0AX:%201"),
            ("https://www.example.com", "*", "https://www.example.com/"),
            ("https://www.example.com", "", "https://www.example.com"),
        ] {
            let mut response = Response::default();
            Redirect::new(to, 301).answer(&request(target), &mut response);
            assert_eq!((location(&response), response.status), (expected, 301), "{to} {target}");
        }
    }

    #[test]
    fn https_keeps_host_and_target() {
        for (host, port, expected) in [
            ("example.com", 443, "https://example.com/a?b"),
            ("example.com", 8443, "https://example.com:8443/a?b"),
            ("example.com", 1, "https://example.com:1/a?b"),
            ("example.com", 65535, "https://example.com:65535/a?b"),
            ("::1", 443, "https://[::1]/a?b"),
            ("2001:db8::a", 8443, "https://[2001:db8::a]:8443/a?b"),
            ("127.0.0.1", 80, "https://127.0.0.1:80/a?b"),
        ] {
            let mut response = Response::default();
            to_https(&request("/a?b"), host, port, &mut response);
            assert_eq!((location(&response), response.status), (expected, 308), "{host} {port}");
        }
    }

    #[test]
    fn there_is_one_location() {
        let mut response = Response::default();
        response.fields.add(b"Location", b"https://other.example");
        to_https(&request("/"), "a.example", 443, &mut response);
        assert_eq!(response.fields.all(Name::Location).count(), 1);
    }
}
