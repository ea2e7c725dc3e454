//! Fields between messages and HTTP/2, in either direction and on either side.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::proxy::http::h1::write::may_trail;
use crate::proxy::message::Fields;

/// Adds a field. The codec that read it has checked it by the same grammar; one that HTTP/2 cannot carry is left out.
pub(super) fn add(headers: &mut HeaderMap, raw: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(raw), HeaderValue::from_bytes(value)) {
        // Full at 32,768 fields; a head has at most a thousand.
        let _ = headers.try_append(name, value);
    }
}

/// The trailers, as far as there are any that may travel.
pub(super) fn trailers(fields: &Fields) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    for (_, raw, value) in fields.iter().filter(|(name, raw, _)| may_trail(*name, raw)) {
        add(&mut trailers, raw, value);
    }
    (!trailers.is_empty()).then_some(trailers)
}

/// A name that is a token (RFC 9110 §5.1). `http` takes a `"` for a part of one where it reads HTTP/2: an HTTP/1.1 reader would
/// refuse the message, or read another name.
pub(super) fn token(name: &HeaderName) -> Option<&[u8]> {
    let name = name.as_str().as_bytes();
    memchr::memchr(b'"', name).is_none().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens() {
        let tokens = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
        for byte in 0..=u8::MAX {
            let Ok(name) = HeaderName::from_lowercase(&[b'x', byte]) else { continue };
            assert_eq!(token(&name).is_some(), tokens.contains(&byte), "{byte}");
        }
    }

    #[test]
    fn trailers_neither_frame_nor_identify() {
        let mut fields = Fields::default();
        for name in ["Content-Length", "Host", "X-Forwarded-For", "X_Forwarded_For", "Authorization", "TE"] {
            fields.add(name.as_bytes(), b"1");
        }
        assert_eq!(trailers(&fields), None);
        fields.add(b"Grpc-Status", b"0");
        assert_eq!(trailers(&fields).unwrap().get("grpc-status").unwrap(), "0");
    }
}
