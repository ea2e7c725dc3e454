//! Messages to bytes: start lines, fields, chunks.

use super::framing::Framing;
use crate::base::decimal::number;
use crate::proxy::message::{Fields, Name, Request, Response};

/// Appends the whole head of a request, as a backend gets it, for a body of that framing.
pub fn request_head(output: &mut Vec<u8>, request: &Request, framing: Framing) {
    request_open(output, request);
    if framing == Framing::Chunked {
        line(output, b"transfer-encoding", b"chunked");
    }
    if request.fields.first(Name::Te).is_some() {
        // What is left of TE is for this hop, and says so (RFC 9110 §10.1.4).
        line(output, b"connection", b"te");
    }
    output.extend_from_slice(b"\r\n");
}

/// Appends the request line and fields of a request, without the empty line that ends them.
pub fn request_open(output: &mut Vec<u8>, request: &Request) {
    output.extend_from_slice(request.method());
    output.push(b' ');
    output.extend_from_slice(request.target());
    output.extend_from_slice(b" HTTP/1.1\r\n");
    request.fields.write_lines(output);
}

/// Appends the status line and fields of a response, without the empty line that ends them.
pub fn response_open(output: &mut Vec<u8>, response: &Response) {
    output.extend_from_slice(b"HTTP/1.1 ");
    number(output, u64::from(response.status));
    output.push(b' ');
    output.extend_from_slice(reason(response.status).as_bytes());
    output.extend_from_slice(b"\r\n");
    response.fields.write_lines(output);
}

/// Appends one field line.
pub fn line(output: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    output.extend_from_slice(name);
    output.extend_from_slice(b": ");
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

/// Appends one chunk. `data` is not empty: an empty chunk would be the last.
pub fn chunk(output: &mut Vec<u8>, data: &[u8]) {
    let mut digits = [0; 16];
    let (mut at, mut rest) = (digits.len(), data.len());
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    output.extend_from_slice(&digits[at..]);
    output.extend_from_slice(b"\r\n");
    output.extend_from_slice(data);
    output.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailer fields that may travel.
pub fn last_chunk(output: &mut Vec<u8>, trailers: Option<&Fields>) {
    output.extend_from_slice(b"0\r\n");
    for (name, raw, value) in trailers.into_iter().flat_map(Fields::iter) {
        if may_trail(name, raw) {
            line(output, raw, value);
        }
    }
    output.extend_from_slice(b"\r\n");
}

/// Whether a field may stand in a trailer section (RFC 9110 §6.5.1): none that frames, routes, authenticates or is for one hop.
pub fn may_trail(name: Name, raw: &[u8]) -> bool {
    match name {
        Name::RetryAfter | Name::Date | Name::Server | Name::ProxyStatus => true,
        // A twin, because some reader takes underscores for dashes.
        Name::Other => {
            Name::of_twin(raw) == Name::Other && !NEVER_TRAILS.iter().any(|front| Name::twin_begins(raw, front))
        }
        _ => false,
    }
}

/// What names that must not trail begin with, beside those that the gateway knows: framing and content, conditions, identity,
/// what says who the client is, and how to cache.
const NEVER_TRAILS: [&[u8]; 13] = [
    b":",
    b"content-",
    b"if-",
    b"range",
    b"authorization",
    b"www-authenticate",
    b"x-forwarded-",
    b"x-auth-",
    b"x-remote-",
    b"remote-user",
    b"proxy-",
    b"cache-control",
    b"max-forwards",
];

/// The reason phrase of a status; empty where there is no usual one.
pub fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_chunks() {
        let mut output = Vec::new();
        number(&mut output, 0);
        number(&mut output, 18_446_744_073_709_551_615);
        chunk(&mut output, &[b'x'; 26]);
        last_chunk(&mut output, None);
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text, "0184467440737095516151a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
    }

    #[test]
    fn trailers_carry_no_framing() {
        let mut trailers = Fields::default();
        for name in [
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "Grpc-Status",
            "Authorization",
            "Connection",
            "X_Forwarded_For",
            "X-Forwarded-Port",
            "X_Forwarded-Port",
            "content_length",
            "If-Match",
        ] {
            trailers.add(name.as_bytes(), b"1");
        }
        let mut output = Vec::new();
        last_chunk(&mut output, Some(&trailers));
        assert_eq!(output, b"0\r\nGrpc-Status: 1\r\n\r\n");
    }
}
