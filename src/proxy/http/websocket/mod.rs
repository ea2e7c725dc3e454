//! The WebSocket handshake (RFC 6455 §4, RFC 8441): who asks for a tunnel, and the proof that a backend understood.

mod boundary;

use aws_lc_rs::digest;
use aws_lc_rs::rand::{self, SecureRandom};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::proxy::http::h1::server::has_token;
use crate::proxy::http::h1::write;
use crate::proxy::message::{Fields, Name, Request};

pub use boundary::{Boundary, GOING_AWAY, GOING_AWAY_MASKED};

/// What a key is joined with before it is hashed (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request of HTTP/1.1 asks for a WebSocket tunnel: a GET with one `Sec-WebSocket-Key` whose `Connection` and `Upgrade`
/// say so. Any other upgrade is for this hop and is not passed on: `h2c` behind our back would carry requests that no rule sees.
pub fn is_asked(request: &Request) -> bool {
    let fields = &request.fields;
    request.method() == b"GET"
        && fields.all(Name::SecWebSocketKey).count() == 1
        && fields.all(Name::Connection).any(|value| has_token(value, b"upgrade"))
        && is_websocket(fields)
}

/// Whether the only `Upgrade` is to WebSocket.
pub fn is_websocket(fields: &Fields) -> bool {
    let mut all = fields.all(Name::Upgrade);
    matches!((all.next(), all.next()), (Some(value), None) if value.eq_ignore_ascii_case(b"websocket"))
}

/// Appends the whole head of a request for a tunnel, as an HTTP/1.1 backend gets it. The proof that is due for it.
pub fn request_head(output: &mut Vec<u8>, request: &Request) -> String {
    write::request_open(output, request);
    write::line(output, b"connection", b"Upgrade");
    write::line(output, b"upgrade", b"websocket");
    let proof = match request.fields.first(Name::SecWebSocketKey) {
        Some(key) => accept(key),
        None => {
            let key = fresh_key();
            write::line(output, b"sec-websocket-key", key.as_bytes());
            accept(key.as_bytes())
        }
    };
    output.extend_from_slice(b"\r\n");
    proof
}

/// A key for a request to a backend, where the client's protocol has none.
pub fn fresh_key() -> String {
    let mut nonce = [0; 16];
    // It need not be secret, only differ: where the system gives no randomness, zeros serve.
    let _ = rand::SystemRandom::new().fill(&mut nonce);
    BASE64_STANDARD.encode(nonce)
}

/// What `Sec-WebSocket-Accept` has to be for a key.
pub fn accept(key: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    BASE64_STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_is_that_of_the_standard() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_16_bytes_and_differ() {
        let (one, other) = (fresh_key(), fresh_key());
        assert_ne!(one, other);
        assert_eq!(BASE64_STANDARD.decode(one).unwrap().len(), 16);
    }

    fn asked(method: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = Request::default();
        let method = request.fields.store(method.as_bytes());
        request.set_method(method);
        for (name, value) in fields {
            request.fields.add(name.as_bytes(), value.as_bytes());
        }
        is_asked(&request)
    }

    #[test]
    fn a_tunnel_is_asked_for_in_full_or_not_at_all() {
        let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let (connection, upgrade) = (("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket"));
        assert!(asked("GET", &[key, connection, upgrade]));
        assert!(!asked("POST", &[key, connection, upgrade]));
        assert!(!asked("GET", &[connection, upgrade]));
        assert!(!asked("GET", &[key, key, connection, upgrade]));
        assert!(!asked("GET", &[key, upgrade]));
        assert!(!asked("GET", &[key, connection]));
        assert!(!asked("GET", &[key, connection, ("Upgrade", "h2c")]));
        assert!(!asked("GET", &[key, connection, upgrade, ("Upgrade", "h2c")]));
        assert!(!asked("GET", &[key, connection, ("Upgrade", "websocket, h2c")]));
    }
}
