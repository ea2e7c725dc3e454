//! How long a body is (RFC 9112 §6.3), where there is one clear answer; anything else is refused.

use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::message::{Fields, Name, Request, Response, Version};

/// What delimits a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The end of the connection. Responses only.
    Close,
}

/// The framing of a request.
pub fn of_request(request: &Request) -> Result<Framing, Fault> {
    let malformed = Fault::Malformed(Malformed::Framing);
    let length = content_length(&request.fields).map_err(|()| malformed)?;
    let coded = chunked(&request.fields).map_err(|()| malformed)?;
    match (length, coded) {
        (Some(_), true) => Err(malformed),
        (_, true) if request.version == Version::Http10 => Err(malformed),
        (None, true) => Ok(Framing::Chunked),
        (Some(0) | None, false) => Ok(Framing::Empty),
        (Some(length), false) => Ok(Framing::Length(length)),
    }
}

/// The framing of the response to a request, `to_head` where its method was HEAD.
pub fn of_response(response: &Response, to_head: bool) -> Result<Framing, Fault> {
    let length = content_length(&response.fields).map_err(|()| Fault::BackendMalformed)?;
    let coded = chunked(&response.fields).map_err(|()| Fault::BackendMalformed)?;
    if coded && (length.is_some() || response.version == Version::Http10) {
        return Err(Fault::BackendMalformed);
    }
    if to_head || matches!(response.status, 100..=199 | 204 | 304) {
        return Ok(Framing::Empty);
    }
    Ok(match (length, coded) {
        (_, true) => Framing::Chunked,
        (Some(0), false) => Framing::Empty,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::Close,
    })
}

/// The one `Content-Length`: only digits, one field. A list, a sign, a blank or a second field is refused even where the
/// numbers agree: some reader behind us may read it otherwise.
fn content_length(fields: &Fields) -> Result<Option<u64>, ()> {
    let mut all = fields.all(Name::ContentLength);
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    let mut length: u64 = 0;
    for digit in value {
        length = length.checked_mul(10).and_then(|length| length.checked_add(u64::from(digit - b'0'))).ok_or(())?;
    }
    Ok(Some(length))
}

/// Whether `Transfer-Encoding` is exactly `chunked`. Any other coding or spelling is refused.
fn chunked(fields: &Fields) -> Result<bool, ()> {
    let mut all = fields.all(Name::TransferEncoding);
    match (all.next(), all.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Result<Framing, Fault> {
        let mut request = Request::default();
        for (name, value) in fields {
            request.fields.add(name.as_bytes(), value.as_bytes());
        }
        of_request(&request)
    }

    #[test]
    fn one_clear_framing_is_taken() {
        assert_eq!(request(&[]), Ok(Framing::Empty));
        assert_eq!(request(&[("Content-Length", "0")]), Ok(Framing::Empty));
        assert_eq!(request(&[("content-length", "18446744073709551615")]), Ok(Framing::Length(u64::MAX)));
        assert_eq!(request(&[("Transfer-Encoding", "Chunked")]), Ok(Framing::Chunked));
    }

    #[test]
    fn every_doubt_is_refused() {
        let refused = Err(Fault::Malformed(Malformed::Framing));
        for value in ["", "+3", "-3", "3 3", "3,3", "0x3", "18446744073709551616", "3\t", "٣"] {
            assert_eq!(request(&[("Content-Length", value)]), refused, "{value:?}");
        }
        for value in
            ["", "identity", "gzip, chunked", "chunked, chunked", "chunked,", "xchunked", "chunked;q=1", "\x0bchunked"]
        {
            assert_eq!(request(&[("Transfer-Encoding", value)]), refused, "{value:?}");
        }
        assert_eq!(request(&[("Content-Length", "3"), ("Content-Length", "3")]), refused);
        assert_eq!(request(&[("Content-Length", "3"), ("Transfer-Encoding", "chunked")]), refused);
        assert_eq!(request(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]), refused);
    }

    #[test]
    fn chunked_needs_http_1_1() {
        let mut request = Request::default();
        request.version = Version::Http10;
        request.fields.add(b"Transfer-Encoding", b"chunked");
        assert_eq!(of_request(&request), Err(Fault::Malformed(Malformed::Framing)));
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_say() {
        let mut response = Response { status: 200, ..Response::default() };
        response.fields.add(b"Content-Length", b"10");
        assert_eq!(of_response(&response, false), Ok(Framing::Length(10)));
        assert_eq!(of_response(&response, true), Ok(Framing::Empty));
        response.status = 304;
        assert_eq!(of_response(&response, false), Ok(Framing::Empty));
        response.fields.clear();
        response.status = 200;
        assert_eq!(of_response(&response, false), Ok(Framing::Close));
    }
}
