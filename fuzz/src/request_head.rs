//! HTTP/1.1 requests: what we accept, hyper's server accepts with the same meaning, and so does whoever reads what we send on.

use portcullis::proxy::http::body::Length;
use portcullis::proxy::http::h1::framing::Framing;
use portcullis::proxy::http::h1::head::HeadLimits;

use super::oracle::gateway::{self, Taken};
use super::oracle::meaning::{Asked, is_framed_once, shown};
use super::oracle::{hyper_server, upstream};

/// As a listener has them where its config says nothing.
const LIMITS: HeadLimits = HeadLimits { uri: 8 << 10, fields_size: 32 << 10, fields: 100 };

/// hyper keeps the two largest lengths for itself.
const LONGEST_OF_HYPER: u64 = u64::MAX - 2;

/// `bytes` are what one connection brings.
pub fn run(bytes: &[u8]) {
    arrives_in_single_bytes(bytes);
    let (taken, _) = gateway::requests(bytes, LIMITS);
    let readable = upstream::readable(bytes, &taken);
    let heard = hyper_server::requests(&readable.input);
    for (index, ours) in taken.iter().enumerate() {
        if matches!(ours.framing, Framing::Length(length) if length > LONGEST_OF_HYPER) {
            break;
        }
        let Some(theirs) = heard.requests.get(index) else {
            panic!("hyper stops before request {index} with {:?}: {}", heard.error, shown(bytes));
        };
        same(&Asked { target: readable.targets[index].clone(), ..ours.asked() }, theirs, bytes);
        sent_on(ours);
    }
}

/// Both took it for the same, as far as it was there.
fn same(ours: &Asked, theirs: &Asked, bytes: &[u8]) {
    let Asked { method, target, authority: _, fields, body } = ours;
    assert_eq!((method, target, fields), (&theirs.method, &theirs.target, &theirs.fields), "{}", shown(bytes));
    assert!(is_framed_once(fields), "{}", shown(bytes));
    if body.whole {
        assert_eq!(*body, theirs.body, "{}", shown(bytes));
    } else {
        assert!(theirs.body.data.starts_with(&body.data), "{body:?} {:?} {}", theirs.body, shown(bytes));
    }
}

/// What goes upstream of it reads the same again.
fn sent_on(taken: &Taken) {
    if !taken.body.whole || !upstream::is_routed(&taken.request) {
        return;
    }
    let length = match taken.framing {
        Framing::Empty | Framing::Close => Length::Empty,
        Framing::Length(length) => Length::Known(length),
        Framing::Chunked => Length::Unknown,
    };
    let mut trailers = portcullis::proxy::message::Fields::default();
    taken.body.trailers.iter().for_each(|(name, value)| trailers.add(name, value));
    upstream::check(&mut taken.request.clone(), length, &taken.body.data, Some(&trailers));
}

/// A head that arrives byte by byte is found, or refused, like one in a piece.
fn arrives_in_single_bytes(bytes: &[u8]) {
    let whole = gateway::head_end(bytes, &mut 0, LIMITS);
    let mut searched = 0;
    let mut found = Ok(None);
    for length in 0..=bytes.len() {
        found = gateway::head_end(&bytes[..length], &mut searched, LIMITS);
        if found != Ok(None) {
            break;
        }
    }
    assert_eq!(found, whole, "{}", shown(bytes));
}
