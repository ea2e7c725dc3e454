//! HTTP/1.1 responses: what we accept of a backend, hyper's client accepts with the same meaning, and so does whoever reads
//! what we send on.

use portcullis::proxy::http::h1::framing::{self, Framing};
use portcullis::proxy::http::h1::head::HeadLimits;
use portcullis::proxy::http::h1::write;
use portcullis::proxy::http::hop_by_hop;
use portcullis::proxy::message::{Name, Response};

use super::oracle::meaning::{Answered, List, is_framed_once, listed, shown, sorted};
use super::oracle::{gateway, hyper_client};

const LIMITS: HeadLimits = HeadLimits { uri: 256, fields_size: 64 << 10, fields: 256 };

/// hyper keeps the two largest lengths for itself.
const LONGEST_OF_HYPER: u64 = u64::MAX - 2;

/// `bytes` are what a backend answers: to GET, and to HEAD.
pub fn run(bytes: &[u8]) {
    for method in [http::Method::GET, http::Method::HEAD] {
        let to_head = method == http::Method::HEAD;
        let Some((ours, response)) = gateway::response(bytes, LIMITS, to_head) else { continue };
        let framing = framing::of_response(&response, to_head).unwrap();
        if matches!(framing, Framing::Length(length) if length > LONGEST_OF_HYPER) {
            continue;
        }
        let theirs = match hyper_client::response(bytes, method.clone()) {
            Ok(theirs) => theirs,
            Err(error) => panic!("hyper refuses it with {error:?}: {}", shown(bytes)),
        };
        same(&ours, &theirs, bytes);
        if ours.body.whole {
            sent_on(response, &ours, framing, method);
        }
    }
}

/// Both took it for the same, as far as it was there.
fn same(ours: &Answered, theirs: &Answered, bytes: &[u8]) {
    assert_eq!((ours.status, &ours.fields), (theirs.status, &theirs.fields), "{}", shown(bytes));
    assert!(is_framed_once(&ours.fields), "{}", shown(bytes));
    if ours.body.whole {
        assert_eq!(ours.body, theirs.body, "{}", shown(bytes));
    } else {
        assert!(theirs.body.data.starts_with(&ours.body.data), "{ours:?} {theirs:?} {}", shown(bytes));
    }
}

/// What goes to the client of it reads the same again.
fn sent_on(mut response: Response, answered: &Answered, framing: Framing, method: http::Method) {
    if hop_by_hop::strip_response(&mut response.fields).is_err() {
        return;
    }
    if response.status == 204 {
        response.fields.remove(Name::ContentLength);
    }
    let mut sent = Vec::new();
    write::response_open(&mut sent, &response);
    let chunked = matches!(framing, Framing::Chunked | Framing::Close);
    let mut fields = listed(&response.fields);
    if chunked {
        sent.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        fields.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
        if !answered.body.data.is_empty() {
            write::chunk(&mut sent, &answered.body.data);
        }
        write::last_chunk(&mut sent, None);
    } else {
        sent.extend_from_slice(b"\r\n");
        sent.extend_from_slice(&answered.body.data);
    }
    if fields.len() > LIMITS.fields {
        // The framing made it one more than is read.
        return;
    }
    let mut expected = Answered { fields: sorted(fields), ..answered.clone() };
    expected.body.trailers = List::new();
    let again = gateway::response(&sent, LIMITS, method == http::Method::HEAD).map(|(again, _)| again);
    assert_eq!(again.as_ref(), Some(&expected), "{}", shown(&sent));
    assert_eq!(hyper_client::response(&sent, method).unwrap(), expected, "{}", shown(&sent));
}
