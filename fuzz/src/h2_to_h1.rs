//! A request of HTTP/2 that is accepted means the same once it is written as HTTP/1.1 and read again.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri;
use portcullis::proxy::http::Host;
use portcullis::proxy::http::h1::head::HeadLimits;
use portcullis::proxy::http::h1::server::expects_continue;
use portcullis::proxy::http::h1::stream::TRAILERS;
use portcullis::proxy::http::h2::request;
use portcullis::proxy::message::{Request, Version};

use super::oracle::meaning::{List, listed, shown, sorted};
use super::oracle::upstream;

const LIMITS: HeadLimits = HeadLimits { uri: 8 << 10, fields_size: 32 << 10, fields: 100 };

/// Lines: `:method`, `:authority`, `:path`, `:protocol` and fields, each `name: value`; `+name: value` is a trailer. Behind an empty line
/// comes the body; without one the stream ends with its head.
pub fn run(bytes: &[u8]) {
    let Some(stream) = Stream::read(bytes) else { return };
    let Some(parts) = stream.parts() else { return };
    let mut request = Request::default();
    if request::fill(&parts, LIMITS, &mut request).is_err() {
        return;
    }
    means_what_was_asked(&parts, &stream, &request);
    let ended = stream.body.is_none() && stream.trailers.is_empty();
    let Ok(length) = request::length(&request, ended) else { return };
    if expects_continue(&request).is_err() {
        return;
    }
    // No more than is read of them in HTTP/1.1.
    let Ok(trailers) = request::trailers(&map(&stream.trailers), TRAILERS) else { return };
    let body = stream.body.unwrap_or_default();
    if upstream::is_routed(&request) {
        upstream::check(&mut request, length, body, (!trailers.is_empty()).then_some(&trailers));
    }
}

/// What a client sends on a stream.
#[derive(Default)]
struct Stream<'a> {
    method: &'a [u8],
    authority: Option<&'a [u8]>,
    path: &'a [u8],
    protocol: Option<&'a str>,
    fields: Vec<(HeaderName, HeaderValue)>,
    trailers: Vec<(HeaderName, HeaderValue)>,
    body: Option<&'a [u8]>,
}

impl<'a> Stream<'a> {
    /// None where `h2` resets the stream before anybody sees it: it checks names, values and the announced length.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut stream = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if line.is_empty() {
                stream.body = Some(rest);
                break;
            }
            stream.line(line)?;
        }
        stream.is_whole().then_some(stream)
    }

    fn line(&mut self, line: &'a [u8]) -> Option<()> {
        let trailer = line.first() == Some(&b'+');
        let line = line.strip_prefix(b"+").unwrap_or(line);
        let colon = 1 + line.get(1..)?.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b":method" => self.method = value,
            b":authority" => self.authority = Some(value),
            b":path" => self.path = value,
            b":protocol" => self.protocol = Some(std::str::from_utf8(value).ok()?),
            _ => {
                let field = (HeaderName::from_lowercase(name).ok()?, HeaderValue::from_bytes(value).ok()?);
                if trailer { self.trailers.push(field) } else { self.fields.push(field) }
            }
        }
        Some(())
    }

    /// Whether the body has the length that every `content-length` announces.
    fn is_whole(&self) -> bool {
        let announced = self.fields.iter().filter(|(name, _)| name == http::header::CONTENT_LENGTH);
        let length = self.body.map_or(0, <[u8]>::len);
        announced.into_iter().all(|(_, value)| {
            let digits = value.as_bytes();
            digits.len() < 20
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0, |sum: u128, digit| sum * 10 + u128::from(digit - b'0')) == length as u128
        })
    }

    /// The head as `h2` hands it on; none where it does not.
    fn parts(&self) -> Option<http::request::Parts> {
        let mut parts = uri::Parts::default();
        if let Some(authority) = self.authority {
            parts.authority = Some(uri::Authority::try_from(authority).ok()?);
            parts.scheme = Some(uri::Scheme::HTTPS);
        }
        if !self.path.is_empty() {
            parts.path_and_query = Some(uri::PathAndQuery::try_from(self.path).ok()?);
        }
        let request = http::Request::builder().method(self.method).uri(uri::Uri::from_parts(parts).ok()?);
        let (mut parts, ()) = request.version(http::Version::HTTP_2).body(()).ok()?.into_parts();
        if let Some(protocol) = self.protocol {
            // On anything else it is an error of the stream.
            (parts.method == http::Method::CONNECT && !self.path.is_empty()).then_some(())?;
            parts.extensions.insert(h2::ext::Protocol::from(protocol));
        }
        parts.headers = map(&self.fields);
        Some(parts)
    }
}

fn map(fields: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name.clone(), value.clone());
    }
    map
}

/// The message says what the stream said: one host in front, cookies in one field, everything else as it was.
fn means_what_was_asked(parts: &http::request::Parts, stream: &Stream<'_>, request: &Request) {
    let text = || shown(stream.path);
    let method = if request.tunnel { b"GET" } else { stream.method };
    assert_eq!((request.version, request.method()), (Version::Http2, method));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    assert_eq!(request.target(), target.as_bytes(), "{}", text());
    let hosts: Vec<_> = stream.fields.iter().filter(|(name, _)| name == http::header::HOST).collect();
    let asked = stream.authority.unwrap_or_else(|| hosts[0].1.as_bytes());
    assert_eq!(request.authority(), asked, "{}", text());
    for (_, other) in &hosts {
        assert_eq!(Host::parse(other.as_bytes()).ok(), Host::parse(asked).ok(), "{}", text());
    }
    let is_special = |name: &HeaderName| name == http::header::HOST || name == http::header::COOKIE;
    // The key of a tunnel is the gateway's own.
    let is_key = |name: &HeaderName| request.tunnel && name == http::header::SEC_WEBSOCKET_KEY;
    let others = stream.fields.iter().filter(|(name, _)| !is_special(name) && !is_key(name));
    let mut expected: List = others.map(|(name, value)| (name.as_str().into(), value.as_bytes().into())).collect();
    expected.push((b"host".to_vec(), asked.to_vec()));
    let crumbs = stream.fields.iter().filter(|(name, _)| name == http::header::COOKIE);
    let crumbs: Vec<&[u8]> = crumbs.map(|(_, value)| value.as_bytes()).collect();
    if !crumbs.is_empty() {
        let crumbs: Vec<&[u8]> = crumbs.into_iter().filter(|crumb| !crumb.is_empty()).collect();
        expected.push((b"cookie".to_vec(), crumbs.join(&b"; "[..])));
    }
    assert_eq!(listed(&request.fields), sorted(expected), "{}", text());
}
