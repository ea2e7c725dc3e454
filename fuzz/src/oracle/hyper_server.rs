//! hyper's HTTP/1.1 server as a reader of requests.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;

use super::meaning::{Asked, Body, mapped};
use super::memory::{Memory, block_on};

/// More fields than the gateway takes or sends, so that hyper never refuses for their number what the gateway does not.
const MOST_FIELDS: usize = 300;

/// What hyper made of a connection's input.
#[derive(Debug)]
pub struct Heard {
    /// The requests it passed on, the last of them perhaps with part of its body.
    pub requests: Vec<Asked>,
    /// Why it stopped, where that was an error.
    pub error: Option<hyper::Error>,
}

/// Lets hyper read `input` to its end.
pub fn requests(input: &[u8]) -> Heard {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let requests = Rc::clone(&requests);
        async move {
            let (parts, body) = request.into_parts();
            let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
            // Of an absolute target without a path.
            let slash = if target.starts_with('?') { "/" } else { "" };
            let asked = Asked {
                method: parts.method.as_str().into(),
                target: format!("{slash}{target}").into_bytes(),
                authority: parts.uri.authority().map(|authority| authority.as_str().into()),
                fields: mapped(&parts.headers),
                body: Body::default(),
            };
            requests.borrow_mut().push(asked);
            let body = collected(body).await;
            if let Some(last) = requests.borrow_mut().last_mut() {
                last.body = body;
            }
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .max_headers(MOST_FIELDS)
        .header_read_timeout(None)
        .auto_date_header(false)
        .serve_connection(Memory::arrived(input), service);
    let error = block_on(connection).err();
    Heard { requests: requests.take(), error }
}

/// Reads a body as far as it goes.
pub(super) async fn collected(mut body: Incoming) -> Body {
    let mut collected = Body::default();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => collected.data.extend_from_slice(&data),
                Err(frame) => collected.trailers = frame.trailers_ref().map(mapped).unwrap_or_default(),
            },
            Some(Err(_)) => return collected,
            None => return Body { whole: true, ..collected },
        }
    }
}
