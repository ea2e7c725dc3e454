//! Heads towards and from a backend: a message as a request of HTTP/2, an answer of HTTP/2 as a message.

use http::header::HeaderMap;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, response};

use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::http::h2::fields::{add, token};
use crate::proxy::message::{Fields, Name, Request, Response, Version};

/// What a backend's answer may have for a head.
pub(super) const LIMITS: HeadLimits = HeadLimits { uri: 256, fields_size: 64 << 10, fields: 256 };

/// The request as a backend gets it; a tunnel as an extended CONNECT (RFC 8441 §4).
///
/// # Errors
/// What HTTP/2 has no spelling for.
pub(super) fn request(request: &Request, secure: bool) -> Result<http::Request<()>, Fault> {
    let mut head = http::Request::new(());
    *head.method_mut() = if request.tunnel {
        head.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        Method::CONNECT
    } else {
        Method::from_bytes(request.method()).map_err(|_| Fault::Malformed(Malformed::Syntax))?
    };
    *head.uri_mut() = uri(request, secure)?;
    head.headers_mut().reserve(request.fields.len());
    for (name, raw, value) in request.fields.iter() {
        // The host travels as `:authority`; a tunnel's key and its proof are HTTP/1.1's.
        if !matches!(name, Name::Host | Name::SecWebSocketKey) {
            add(head.headers_mut(), raw, value);
        }
    }
    Ok(head)
}

fn uri(request: &Request, secure: bool) -> Result<Uri, Fault> {
    let path = PathAndQuery::try_from(request.target()).map_err(|_| Fault::Malformed(Malformed::Path))?;
    // The `http` crate reads more into a target than it keeps; what it would change is not sent.
    if path.as_str().as_bytes() != request.target() {
        return Err(Fault::Malformed(Malformed::Path));
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(request.authority()).map_err(|_| Fault::Malformed(Malformed::Host))?);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| Fault::Malformed(Malformed::Path))
}

/// Fills `response`, which is empty, with an answer's head.
///
/// # Errors
/// One that is too large, that has fields of an HTTP/1.1 connection (RFC 9113 §8.2.2), or a status that means nothing.
pub(super) fn fill(parts: &response::Parts, response: &mut Response) -> Result<(), Fault> {
    response.version = Version::Http2;
    response.status = parts.status.as_u16();
    if response.status > 599 {
        return Err(Fault::BackendMalformed);
    }
    store(&parts.headers, &mut response.fields)
}

/// The trailers of an answer.
///
/// # Errors
/// As for its head.
pub(super) fn answered_trailers(headers: &HeaderMap) -> Result<Fields, Fault> {
    let mut fields = Fields::default();
    store(headers, &mut fields)?;
    Ok(fields)
}

fn store(headers: &HeaderMap, fields: &mut Fields) -> Result<(), Fault> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > LIMITS.fields || size > LIMITS.fields_size {
        return Err(Fault::BackendHeadersTooLarge);
    }
    for (name, value) in headers {
        match Name::of(name.as_str().as_bytes()) {
            Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade => {
                return Err(Fault::BackendMalformed);
            }
            _ => {
                let name = token(name).ok_or(Fault::BackendMalformed)?;
                // HTTP/1.1 would lose blanks at either end on the way.
                fields.add(name, value.as_bytes().trim_ascii());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(target: &str) -> Request {
        let mut request = Request::default();
        let method = request.fields.store(b"PUT");
        request.set_method(method);
        request.rewrite_target(target.as_bytes());
        let authority = request.fields.store(b"example.com:8443");
        request.set_authority(authority);
        request.set_authority_field(Name::Host);
        request.fields.add(b"X-A", b"1");
        request
    }

    #[test]
    fn a_message_becomes_a_request() {
        let head = request(&sample("/a%2e?b=c%20d"), true).unwrap();
        assert_eq!(head.method(), "PUT");
        assert_eq!(head.uri().to_string(), "https://example.com:8443/a%2e?b=c%20d");
        let fields: Vec<_> = head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("x-a", &b"1"[..])]);
        let mut asks = sample("/chat");
        asks.tunnel = true;
        asks.fields.add(b"Sec-WebSocket-Key", b"x");
        let head = request(&asks, false).unwrap();
        assert_eq!((head.method(), head.headers().len()), (&Method::CONNECT, 1));
        assert_eq!(head.extensions().get::<h2::ext::Protocol>().map(|protocol| protocol.as_str()), Some("websocket"));
    }

    #[test]
    fn a_target_is_sent_as_it_is_or_not_at_all() {
        for target in ["/", "/a//b/../c", "/?", "/%00", "*", "/a;b,c!$&'()*+=:@~_-."] {
            assert_eq!(request(&sample(target), false).unwrap().uri().path_and_query().unwrap().as_str(), target);
        }
        for target in ["/a#b", "/a b", "/\u{7f}"] {
            assert!(request(&sample(target), false).is_err(), "{target}");
        }
    }

    #[test]
    fn an_answer_has_no_fields_of_the_connection() {
        let answer = |name: &str, value: &str| {
            let head = http::Response::builder().status(200).header(name, value).body(()).unwrap();
            let mut response = Response::default();
            fill(&head.into_parts().0, &mut response).map(|()| response.fields.len())
        };
        assert_eq!(answer("x-a", "1"), Ok(1));
        assert_eq!(answer("connection", "close"), Err(Fault::BackendMalformed));
        assert_eq!(answer("x-a", &"x".repeat(65 << 10)), Err(Fault::BackendHeadersTooLarge));
    }

    #[test]
    fn an_answer_has_a_status_that_means_something() {
        for (status, expected) in [(100, Ok(())), (599, Ok(())), (600, Err(Fault::BackendMalformed))] {
            let head = http::Response::builder().status(status).body(()).unwrap();
            assert_eq!(fill(&head.into_parts().0, &mut Response::default()), expected, "{status}");
        }
    }
}
