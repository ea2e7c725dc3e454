//! A request of HTTP/2 as a message (RFC 9113 §8.3), fit to be sent on as HTTP/1.1: what an HTTP/1.1 reader would take for
//! something else is refused.

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;

use super::fields::token;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::Length;
use crate::proxy::http::h1::framing::{self, Framing};
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::http::host;
use crate::proxy::message::{Fields, Name, Request, Span, Version};

const SYNTAX: Fault = Fault::Malformed(Malformed::Syntax);
const HOST: Fault = Fault::Malformed(Malformed::Host);

/// Fills `request`, which is empty. Where it is refused, as much of it is there as the log needs.
///
/// # Errors
/// What an HTTP/1.1 reader would take for something else, no host or several, CONNECT and TRACE, and what is over the limits.
pub fn fill(parts: &Parts, limits: HeadLimits, request: &mut Request) -> Result<(), Fault> {
    request.version = Version::Http2;
    request.tunnel = asks_for_websocket(parts);
    let method = if request.tunnel { "GET" } else { parts.method.as_str() };
    let method = request.fields.store(method.as_bytes());
    request.set_method(method);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes();
    let kept = &target[..target.len().min(limits.uri)];
    let span = request.fields.store(kept);
    request.set_target(span);
    let authority = store_authority(parts, request);
    if target.len() > limits.uri {
        return Err(Fault::UriTooLong);
    }
    if matches!(request.method(), b"CONNECT" | b"TRACE") {
        return Err(Fault::MethodRefused);
    }
    match request.target() {
        [b'/', ..] => {}
        b"*" if request.method() == b"OPTIONS" => {}
        _ => return Err(SYNTAX),
    }
    store_fields(&parts.headers, authority, limits, &mut request.fields)?;
    if request.tunnel {
        settle_tunnel(&mut request.fields)?;
    }
    settle_host(authority, request)
}

/// An extended CONNECT (RFC 8441 §4). Of its protocols only WebSocket is passed on.
fn asks_for_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    parts.method == http::Method::CONNECT
        && protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// What a tunnel carries is no body: a backend would wait for one that is announced, or take the next request for it. A key is of
/// HTTP/1.1 alone (RFC 8441 §5), where there is one, and that is ours.
fn settle_tunnel(fields: &mut Fields) -> Result<(), Fault> {
    if fields.first(Name::ContentLength).is_some() {
        return Err(Fault::Malformed(Malformed::Framing));
    }
    fields.remove(Name::SecWebSocketKey);
    Ok(())
}

/// Stores `:authority`. A host that follows from here on is held against it.
fn store_authority(parts: &Parts, request: &mut Request) -> Option<Span> {
    let authority = parts.uri.authority()?;
    let span = request.fields.store(authority.as_str().as_bytes());
    request.set_authority(span);
    request.set_authority_field(Name::Host);
    Some(span)
}

fn store_fields(
    headers: &HeaderMap,
    authority: Option<Span>,
    limits: HeadLimits,
    fields: &mut Fields,
) -> Result<(), Fault> {
    let mut room = Room { size: limits.fields_size, count: limits.fields };
    room.take(authority.map_or(0, |span| span.len as usize + 4), usize::from(authority.is_some()))?;
    let mut crumbs = false;
    for (name, value) in headers {
        room.take(name.as_str().len() + value.len(), 1)?;
        let known = Name::of(name.as_str().as_bytes());
        match known {
            Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade => {
                return Err(SYNTAX);
            }
            Name::Te if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => return Err(SYNTAX),
            Name::Cookie => crumbs = true,
            Name::Host if authority.is_some() => {
                let first = fields.first(Name::Host).unwrap_or_default();
                host::same(first, value.as_bytes()).map_err(Fault::Malformed)?;
            }
            _ => fields.add_known(known, token(name).ok_or(SYNTAX)?, checked(value)?),
        }
    }
    if crumbs {
        join_crumbs(headers, fields)?;
    }
    Ok(())
}

/// Cookies may come in crumbs (RFC 9113 §8.2.3); HTTP/1.1 has one field for all of them. Empty ones are left out: at the end
/// they would leave a blank that HTTP/1.1 loses.
fn join_crumbs(headers: &HeaderMap, fields: &mut Fields) -> Result<(), Fault> {
    let crumbs = headers.get_all(http::header::COOKIE);
    for crumb in &crumbs {
        checked(crumb)?;
    }
    fields.set_written(Name::Cookie, |into| {
        for (index, crumb) in crumbs.iter().filter(|crumb| !crumb.is_empty()).enumerate() {
            into.extend_from_slice(if index == 0 { b"" } else { b"; " });
            into.extend_from_slice(crumb.as_bytes());
        }
    });
    Ok(())
}

/// There is one host: `:authority`, or else the only `Host`.
fn settle_host(authority: Option<Span>, request: &mut Request) -> Result<(), Fault> {
    if authority.is_some() {
        return Ok(());
    }
    let mut hosts = request.fields.all_spans(Name::Host);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(HOST) };
    drop(hosts);
    request.set_authority(host);
    Ok(())
}

/// How long the body of a filled request is, which `ended` with its head or goes on.
///
/// # Errors
/// More than one clear framing.
pub fn length(request: &Request, ended: bool) -> Result<Length, Fault> {
    Ok(match framing::of_request(request)? {
        // What a tunnel carries is no body.
        _ if ended || request.tunnel => Length::Empty,
        Framing::Length(length) => Length::Known(length),
        Framing::Empty if request.fields.first(Name::ContentLength).is_some() => Length::Known(0),
        Framing::Empty | Framing::Chunked | Framing::Close => Length::Unknown,
    })
}

/// The trailers of a request.
///
/// # Errors
/// What is over the limits, and values that HTTP/1.1 would lose a part of.
pub fn trailers(headers: &HeaderMap, limits: HeadLimits) -> Result<Fields, Fault> {
    let mut fields = Fields::default();
    let mut room = Room { size: limits.fields_size, count: limits.fields };
    for (name, value) in headers {
        room.take(name.as_str().len() + value.len(), 1)?;
        fields.add(token(name).ok_or(SYNTAX)?, checked(value)?);
    }
    Ok(fields)
}

/// A value of HTTP/2 has no blank at either end (RFC 9113 §8.2.1): HTTP/1.1 would lose it on the way. CR, LF and NUL do not
/// get this far.
fn checked(value: &HeaderValue) -> Result<&[u8], Fault> {
    let value = value.as_bytes();
    if value.trim_ascii().len() == value.len() { Ok(value) } else { Err(SYNTAX) }
}

/// What is left of the limits.
struct Room {
    size: usize,
    count: usize,
}

impl Room {
    fn take(&mut self, size: usize, count: usize) -> Result<(), Fault> {
        self.size = self.size.checked_sub(size).ok_or(Fault::HeadersTooLarge)?;
        self.count = self.count.checked_sub(count).ok_or(Fault::HeadersTooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits { uri: 50, fields_size: 200, fields: 6 };

    fn filled(method: &str, uri: &str, fields: &[(&str, &str)]) -> (Request, Result<(), Fault>) {
        let mut builder = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        let mut request = Request::default();
        let result = fill(&parts, LIMITS, &mut request);
        (request, result)
    }

    fn refused(method: &str, uri: &str, fields: &[(&str, &str)]) -> Option<Fault> {
        filled(method, uri, fields).1.err()
    }

    #[test]
    fn a_request_becomes_a_message_of_http_1() {
        let (request, result) =
            filled("GET", "https://h:1/a?b=c", &[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("te", "trailers")]);
        assert_eq!(result, Ok(()));
        assert_eq!(
            (request.method(), request.target(), request.authority()),
            (&b"GET"[..], &b"/a?b=c"[..], &b"h:1"[..])
        );
        let fields: Vec<_> = request.fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
        let expected = [("host", "h:1"), ("x", "1"), ("te", "trailers"), ("cookie", "a=1; b=2")];
        assert_eq!(fields, expected.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
    }

    #[test]
    fn empty_crumbs_are_left_out() {
        for (crumbs, cookie) in [(["", "a=1", "", "b=2", ""], "a=1; b=2"), ([""; 5], "")] {
            let (request, _) = filled("GET", "https://h/", &crumbs.map(|crumb| ("cookie", crumb)));
            assert_eq!(request.fields.first(Name::Cookie), Some(cookie.as_bytes()));
        }
    }

    #[test]
    fn there_is_one_host() {
        assert_eq!(refused("GET", "https://h/", &[("host", "H.")]), None);
        let (request, result) = filled("GET", "/", &[("host", "h")]);
        assert_eq!((result, request.authority()), (Ok(()), &b"h"[..]));
        for (uri, fields) in [
            ("https://h/", &[("host", "other")][..]),
            ("https://h/", &[("host", "h"), ("host", "other")]),
            ("https://h:1/", &[("host", "h")]),
            ("/", &[("host", "h"), ("host", "h")]),
            ("/", &[]),
        ] {
            assert_eq!(refused("GET", uri, fields), Some(HOST), "{uri} {fields:?}");
        }
    }

    #[test]
    fn what_means_something_else_in_http_1_is_refused() {
        for (name, value) in [
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x", " a"),
            ("x", "a\t"),
            ("cookie", "a=1 "),
        ] {
            assert_eq!(refused("GET", "https://h/", &[(name, value)]), Some(SYNTAX), "{name}: {value}");
        }
    }

    #[test]
    fn a_tunnel_has_no_length_and_no_key_of_the_client() {
        let tunnel = |name: &str| {
            let request = http::Request::connect("https://h/").header(name, "5");
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(h2::ext::Protocol::from("websocket"));
            let mut request = Request::default();
            fill(&parts, LIMITS, &mut request).map(|()| request)
        };
        assert_eq!(tunnel("content-length").err(), Some(Fault::Malformed(Malformed::Framing)));
        let request = tunnel("sec-websocket-key").unwrap();
        assert!(request.tunnel && request.method() == b"GET");
        assert_eq!(request.fields.first(Name::SecWebSocketKey), None);
    }

    #[test]
    fn names_that_are_no_tokens_are_refused() {
        let quoted = HeaderName::from_lowercase(b"x\"y").unwrap();
        let mut map = HeaderMap::new();
        map.insert(quoted, HeaderValue::from_static("1"));
        assert_eq!(trailers(&map, LIMITS).err(), Some(SYNTAX));
        assert_eq!(store_fields(&map, None, LIMITS, &mut Fields::default()), Err(SYNTAX));
    }

    #[test]
    fn bytes_that_would_end_a_line_do_not_get_this_far() {
        for byte in [b'\r', b'\n', 0, 0x7f] {
            assert!(HeaderValue::from_bytes(&[b'a', byte, b'b']).is_err());
            assert!(HeaderName::from_bytes(&[b'a', byte, b'b']).is_err());
            assert!(http::Method::from_bytes(&[b'a', byte, b'b']).is_err());
        }
        for byte in [b'\r', b'\n', 0, b' '] {
            assert!(http::uri::PathAndQuery::try_from(&[b'/', byte][..]).is_err());
            assert!(http::uri::Authority::try_from(&[b'h', byte][..]).is_err());
        }
    }

    #[test]
    fn targets_are_paths() {
        assert_eq!(refused("OPTIONS", "*", &[("host", "h")]), None);
        assert_eq!(refused("GET", "*", &[("host", "h")]), Some(SYNTAX));
        assert_eq!(refused("TRACE", "https://h/", &[]), Some(Fault::MethodRefused));
        assert_eq!(refused("CONNECT", "h:443", &[]), Some(Fault::MethodRefused));
        let (request, _) = filled("GET", "/a#b", &[("host", "h")]);
        assert_eq!(request.target(), b"/a");
    }

    #[test]
    fn limits_are_told_apart() {
        let long = format!("https://h/{}", "x".repeat(60));
        let (request, result) = filled("GET", &long, &[]);
        assert_eq!((result, request.target().len()), (Err(Fault::UriTooLong), LIMITS.uri));
        let large = "x".repeat(200);
        assert_eq!(refused("GET", "https://h/", &[("x", &large)]), Some(Fault::HeadersTooLarge));
        let crumbs: Vec<_> = (0..6).map(|_| ("cookie", "a=b")).collect();
        assert_eq!(refused("GET", "https://h/", &crumbs[..5]), None);
        assert_eq!(refused("GET", "https://h/", &crumbs), Some(Fault::HeadersTooLarge));
    }
}
