//! Where a head ends, and its fields into a message. Tokens are httparse's; line ends, framing and hosts are ours.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig};

use crate::proxy::message::{Fields, Request, Response, Span, Version};

/// Up to this limit of fields, a head is parsed without allocating.
const USUAL_FIELDS: usize = 256;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Breaks the grammar.
    Syntax,
    /// More fields, or larger, than the limits.
    TooLarge,
    /// The request target is longer than the limit.
    UriTooLong,
}

/// The limits of one head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Request target.
    pub uri: usize,
    /// All fields together.
    pub fields_size: usize,
    /// Number of fields.
    pub fields: usize,
}

/// Finds the end of a head: the index after its empty line. `None` while it is not there yet. Every line must end in CRLF
/// (RFC 9112 §2.2 lets a recipient take a bare LF; two readers that differ on it are how requests are smuggled).
///
/// `searched` remembers how far earlier calls came, so that a head that arrives byte by byte costs no more than one that does not.
pub fn find_end(input: &[u8], searched: &mut usize) -> Result<Option<usize>, HeadError> {
    while let Some(at) = memchr::memchr(b'\n', &input[*searched..]) {
        let end = *searched + at;
        if end == 0 || input[end - 1] != b'\r' {
            return Err(HeadError::Syntax);
        }
        *searched = end + 1;
        if end >= 3 && input[end - 2] == b'\n' {
            return Ok(Some(end + 1));
        }
    }
    *searched = input.len();
    Ok(None)
}

/// Whether a head that has no end yet has outgrown its limits already.
pub fn outgrown(input: &[u8], limits: HeadLimits) -> Result<(), HeadError> {
    let first_line = memchr::memchr(b'\n', input).unwrap_or(input.len());
    // A method and a version beside the target, and some room for the names' separators and line ends.
    if first_line > limits.uri + 64 {
        return Err(HeadError::UriTooLong);
    }
    if input.len() - first_line > limits.fields_size + 4 * limits.fields + 2 {
        return Err(HeadError::TooLarge);
    }
    Ok(())
}

/// Parses a whole request head into `request`, which is empty. Nothing is decided about framing or host yet.
pub fn request(head: &[u8], limits: HeadLimits, request: &mut Request) -> Result<(), HeadError> {
    let stored = request.fields.store(head);
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; USUAL_FIELDS];
    let mut more = Vec::new();
    let slots = match slots.get_mut(..limits.fields) {
        Some(slots) => slots,
        None => {
            more.resize_with(limits.fields, MaybeUninit::uninit);
            more.as_mut_slice()
        }
    };
    let mut parsed = httparse::Request::new(&mut []);
    let status = ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, slots);
    complete(status, head.len())?;
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(HeadError::Syntax);
    };
    if target.len() > limits.uri {
        return Err(HeadError::UriTooLong);
    }
    let place = Placement { head, base: stored.start };
    store_fields(&mut request.fields, &place, parsed.headers, limits.fields_size)?;
    request.set_method(place.span(method.as_bytes()));
    request.set_target(place.span(target.as_bytes()));
    request.version = version_of(version);
    Ok(())
}

/// Parses a whole response head into `response`, which is empty.
pub fn response(head: &[u8], limits: HeadLimits, response: &mut Response) -> Result<(), HeadError> {
    let stored = response.fields.store(head);
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; USUAL_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, &mut slots);
    complete(status, head.len())?;
    let (Some(code), Some(version)) = (parsed.code, parsed.version) else { return Err(HeadError::Syntax) };
    if !(100..600).contains(&code) {
        return Err(HeadError::Syntax);
    }
    store_fields(&mut response.fields, &Placement { head, base: stored.start }, parsed.headers, limits.fields_size)?;
    response.status = code;
    response.version = version_of(version);
    Ok(())
}

/// Parses trailer fields: field lines up to an empty line.
pub fn trailers(lines: &[u8], limits: HeadLimits, fields: &mut Fields) -> Result<(), HeadError> {
    let stored = fields.store(lines);
    let mut slots = [httparse::EMPTY_HEADER; USUAL_FIELDS];
    match httparse::parse_headers(lines, &mut slots[..limits.fields.min(USUAL_FIELDS)]) {
        Ok(httparse::Status::Complete((length, parsed))) if length == lines.len() => {
            store_fields(fields, &Placement { head: lines, base: stored.start }, parsed, limits.fields_size)
        }
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLarge),
        _ => Err(HeadError::Syntax),
    }
}

fn complete(status: httparse::Result<usize>, length: usize) -> Result<(), HeadError> {
    match status {
        Ok(httparse::Status::Complete(parsed)) if parsed == length => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLarge),
        _ => Err(HeadError::Syntax),
    }
}

fn version_of(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

/// The head that was parsed and where its copy lies in the arena.
struct Placement<'a> {
    head: &'a [u8],
    base: u32,
}

impl Placement<'_> {
    /// The span of a part of the head in its copy.
    fn span(&self, part: &[u8]) -> Span {
        let offset = part.as_ptr() as usize - self.head.as_ptr() as usize;
        Span { start: self.base + offset as u32, len: part.len() as u32 }
    }
}

fn store_fields(
    fields: &mut Fields,
    place: &Placement<'_>,
    parsed: &[Header<'_>],
    limit: usize,
) -> Result<(), HeadError> {
    let mut size = 0;
    for header in parsed {
        size += header.name.len() + header.value.len();
        if size > limit {
            return Err(HeadError::TooLarge);
        }
        fields.push_stored(place.span(header.name.as_bytes()), place.span(header.value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::Name;

    const LIMITS: HeadLimits = HeadLimits { uri: 100, fields_size: 200, fields: 5 };

    fn parse(head: &str) -> Result<Request, HeadError> {
        let mut searched = 0;
        let end = find_end(head.as_bytes(), &mut searched)?.expect("a whole head");
        let mut parsed = Request::default();
        request(&head.as_bytes()[..end], LIMITS, &mut parsed).map(|()| parsed)
    }

    #[test]
    fn a_request_head_becomes_a_message() {
        let request = parse("GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX: 1\r\n\r\n").unwrap();
        assert_eq!((request.method(), request.path(), request.query()), (&b"GET"[..], &b"/a"[..], Some(&b"b=c"[..])));
        assert_eq!(request.fields.first(Name::Host), Some(&b"example.com"[..]));
        assert_eq!(request.fields.values(b"x").next(), Some(&b"1"[..]));
    }

    #[test]
    fn every_line_must_end_in_crlf() {
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET",
        ] {
            assert_eq!(find_end(head.as_bytes(), &mut 0), Err(HeadError::Syntax), "{head:?}");
        }
    }

    #[test]
    fn a_head_in_single_bytes_is_found_like_one_in_a_piece() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut searched = 0;
        for length in 0..head.len() {
            let found = find_end(&head[..length], &mut searched).unwrap();
            assert_eq!(found, (length >= 27).then_some(27));
            if found.is_some() {
                break;
            }
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for head in [
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\n: empty\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(parse(head).err(), Some(HeadError::Syntax), "{head:?}");
        }
    }

    #[test]
    fn limits_are_told_apart() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100));
        assert_eq!(parse(&long).err(), Some(HeadError::UriTooLong));
        let large = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(200));
        assert_eq!(parse(&large).err(), Some(HeadError::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(6));
        assert_eq!(parse(&many).err(), Some(HeadError::TooLarge));
        assert_eq!(outgrown("x".repeat(165).as_bytes(), LIMITS), Err(HeadError::UriTooLong));
        assert_eq!(
            outgrown(format!("GET / HTTP/1.1\r\n{}", "x".repeat(240)).as_bytes(), LIMITS),
            Err(HeadError::TooLarge)
        );
    }
}
