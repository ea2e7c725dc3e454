//! What a backend is sent for an accepted request, read again: it must mean what the request meant, to us and to hyper.

use std::net::IpAddr;

use portcullis::proxy::exchange::prepare;
use portcullis::proxy::http::body::Length;
use portcullis::proxy::http::forwarded::{Client, Forwarding, RequestIds};
use portcullis::proxy::http::h1::framing::Framing;
use portcullis::proxy::http::h1::head::HeadLimits;
use portcullis::proxy::http::h1::write;
use portcullis::proxy::http::{Deciding, Host, websocket};
use portcullis::proxy::message::{Fields, Request};

use super::gateway::{self, End};
use super::hyper_server;
use super::meaning::{Asked, Body, List, listed, shown, sorted};

/// Twice what a client may send: what is sent upstream has a few fields more.
const LIMITS: HeadLimits = HeadLimits { uri: 128 << 10, fields_size: 1 << 20, fields: 256 };

/// Whether the gateway would look for a route at all: the host is one, and the path can be decided by.
pub fn is_routed(request: &Request) -> bool {
    let path = request.path();
    Host::parse(request.authority()).is_ok() && Deciding::of(if path == b"*" { b"/" } else { path }).is_ok()
}

/// Sends `request` with its body, and has it read again.
pub fn check(request: &mut Request, length: Length, data: &[u8], trailers: Option<&Fields>) {
    let host = Host::parse(request.authority()).unwrap().name().to_owned();
    let peer = IpAddr::from([192, 0, 2, 1]);
    let client = Client::resolve(peer, &request.fields, &[]);
    let mut ids = RequestIds::new(fastrand::Rng::with_seed(1));
    if prepare(request, &Forwarding { client, tls: true }, &mut ids).is_err() {
        return;
    }
    if request.tunnel {
        return tunnelled(request, &host);
    }
    let framing = match length {
        Length::Empty | Length::Tunnel => Framing::Empty,
        Length::Known(length) => Framing::Length(length),
        Length::Unknown => Framing::Chunked,
    };
    let sent = written(request, framing, data, trailers);
    let expected = Asked {
        method: request.method().into(),
        target: request.target().into(),
        authority: None,
        fields: with_framing(request, framing),
        body: Body { data: data.to_vec(), trailers: trailing(framing, trailers), whole: true },
    };
    read_again(&sent, expected, &host);
}

/// What is sent for a WebSocket asks for one, has no body whoever reads it, and one key.
fn tunnelled(request: &Request, host: &str) {
    let mut sent = Vec::new();
    websocket::request_head(&mut sent, request);
    let (taken, _) = gateway::requests(&sent, LIMITS);
    assert!(taken.len() == 1 && taken[0].request.tunnel, "{}", shown(&sent));
    let found = taken[0].asked();
    let announces =
        |(name, value): &(Vec<u8>, Vec<u8>)| name == b"content-length" && value.iter().any(|byte| *byte != b'0');
    assert!(!found.fields.iter().any(announces), "{}", shown(&sent));
    let mut fields: List = listed(&request.fields);
    fields.push((b"connection".to_vec(), b"Upgrade".to_vec()));
    fields.push((b"upgrade".to_vec(), b"websocket".to_vec()));
    let key = |(name, _): &&(Vec<u8>, Vec<u8>)| name == b"sec-websocket-key";
    let fresh = found.fields.iter().find(key).cloned().filter(|_| !fields.iter().any(|field| key(&field)));
    fields.extend(fresh);
    let expected = Asked {
        method: b"GET".to_vec(),
        target: request.target().into(),
        authority: None,
        fields: sorted(fields),
        body: Body { whole: true, ..Body::default() },
    };
    read_again(&sent, expected, host);
}

/// `sent` is one request, which means what is expected to us and to hyper.
fn read_again(sent: &[u8], expected: Asked, host: &str) {
    let (taken, end) = gateway::requests(sent, LIMITS);
    assert!(taken.len() == 1 && matches!(end, End::Clean | End::Closed), "{end:?} after {}", shown(sent));
    assert_eq!(taken[0].asked(), expected, "{}", shown(sent));
    let again = Host::parse(taken[0].request.authority()).unwrap();
    assert_eq!(again.name(), host, "{}", shown(sent));

    let readable = readable(sent, &taken);
    let heard = hyper_server::requests(&readable.input);
    assert!(heard.error.is_none(), "{:?} after {}", heard.error, shown(sent));
    assert_eq!(heard.requests.len(), 1, "{}", shown(sent));
    let expected = Asked { target: readable.targets[0].clone(), ..expected };
    assert_eq!(heard.requests[0], expected, "{}", shown(sent));
}

/// The bytes that go upstream.
fn written(request: &Request, framing: Framing, data: &[u8], trailers: Option<&Fields>) -> Vec<u8> {
    let mut sent = Vec::new();
    write::request_head(&mut sent, request, framing);
    if framing == Framing::Chunked {
        // Two pieces, as a body arrives.
        let (front, back) = data.split_at(data.len() / 2);
        for piece in [front, back].into_iter().filter(|piece| !piece.is_empty()) {
            write::chunk(&mut sent, piece);
        }
        write::last_chunk(&mut sent, trailers);
    } else {
        sent.extend_from_slice(data);
    }
    sent
}

fn with_framing(request: &Request, framing: Framing) -> List {
    let mut fields = listed(&request.fields);
    if framing == Framing::Chunked {
        fields.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
    }
    if fields.iter().any(|(name, _)| name == b"te") {
        fields.push((b"connection".to_vec(), b"te".to_vec()));
    }
    sorted(fields)
}

/// The trailers that travel: only a chunked body has any.
fn trailing(framing: Framing, trailers: Option<&Fields>) -> List {
    if framing != Framing::Chunked {
        return List::new();
    }
    let all = trailers.into_iter().flat_map(Fields::iter);
    let may = all.filter(|(name, raw, _)| write::may_trail(*name, raw));
    sorted(may.map(|(_, name, value)| (name.to_vec(), value.to_vec())))
}

/// Input that hyper can read, and the targets it is to find there.
pub struct Readable {
    /// The input.
    pub input: Vec<u8>,
    /// For each request.
    pub targets: Vec<Vec<u8>>,
}

/// hyper's URIs hold fewer octets than a target may bring (RFC 3986 has neither `<` nor `|`, clients send both): where that
/// is all, they are percent-encoded before hyper reads them.
pub fn readable(input: &[u8], taken: &[gateway::Taken]) -> Readable {
    let mut readable = Readable { input: Vec::with_capacity(input.len()), targets: Vec::new() };
    let mut copied = 0;
    for one in taken {
        let start = one.head.start + one.request.method().len() + 1;
        let length = input[start..].iter().position(|byte| *byte == b' ').unwrap_or(0);
        let raw = &input[start..start + length];
        if http::Uri::try_from(raw).is_ok() {
            readable.targets.push(one.request.target().to_vec());
            continue;
        }
        readable.input.extend_from_slice(&input[copied..start]);
        readable.input.extend_from_slice(&encoded(raw));
        copied = start + length;
        readable.targets.push(encoded(one.request.target()));
    }
    readable.input.extend_from_slice(&input[copied..]);
    readable
}

fn encoded(target: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(target.len());
    for byte in target {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(byte) => text.push(*byte),
            _ => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    text
}
