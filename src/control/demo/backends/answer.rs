//! What a demo backend answers.

use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::Role;

/// The longest pause that `/slow` takes.
const SLOWEST: u64 = 120;

/// The longest body that `/bytes` sends: 16 GiB.
const LONGEST: u64 = 16 << 30;

/// Sent again and again for `/bytes`.
static BLOCK: [u8; 64 * 1024] = [b'.'; 64 * 1024];

/// One request answered: `/who`, `/slow`, `/bytes/N`, an echo of every POST and PUT, and a description of everything else.
pub(super) async fn answer(role: &Role, request: Request<Incoming>) -> Response<Payload> {
    role.requests.set(role.requests.get() + 1);
    let path = request.uri().path();
    let mut response = match path {
        _ if matches!(*request.method(), Method::POST | Method::PUT) => echo(request),
        "/who" => text(format!("{}\n", role.name)),
        "/slow" => slow(role, request.uri().query()).await,
        _ => match path.strip_prefix("/bytes/") {
            Some(count) => bytes(count),
            None => text(describe(role, &request)),
        },
    };
    response.headers_mut().insert("x-demo-backend", HeaderValue::from_static(role.name));
    response
}

fn echo(request: Request<Incoming>) -> Response<Payload> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Payload::Echo(body));
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    response
}

async fn slow(role: &Role, query: Option<&str>) -> Response<Payload> {
    let asked = query.and_then(|query| query.strip_prefix("seconds=")).map_or(Ok(2), str::parse);
    match asked {
        Ok(seconds @ 0..=SLOWEST) => {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            text(format!("{} took {seconds} s\n", role.name))
        }
        _ => refuse(format!("write /slow?seconds=N with N up to {SLOWEST}\n")),
    }
}

fn bytes(count: &str) -> Response<Payload> {
    match count.parse() {
        Ok(count @ 0..=LONGEST) => Response::new(Payload::Bytes(count)),
        _ => refuse(format!("write /bytes/N with N up to {LONGEST}\n")),
    }
}

fn describe(role: &Role, request: &Request<Incoming>) -> String {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut text = format!("backend   {} (weight {})\n", role.name, role.weight);
    // Writing to a String does not fail.
    let _ = writeln!(text, "request   {} {target}, number {} here", request.method(), role.requests.get());
    let _ = writeln!(text, "headers");
    for (name, value) in request.headers() {
        let _ = writeln!(text, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

fn text(text: String) -> Response<Payload> {
    let mut response = Response::new(Payload::Text(Bytes::from(text)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn refuse(advice: String) -> Response<Payload> {
    let mut response = text(advice);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// A body.
pub(super) enum Payload {
    /// This text.
    Text(Bytes),
    /// So many dots.
    Bytes(u64),
    /// The request's own body.
    Echo(Incoming),
}

impl Body for Payload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Bytes(0) => Poll::Ready(None),
            Self::Bytes(left) => {
                let block = usize::try_from(*left).map_or(BLOCK.len(), |left| left.min(BLOCK.len()));
                *left -= block as u64;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLOCK[..block])))))
            }
            Self::Echo(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Bytes(left) => SizeHint::with_exact(*left),
            Self::Echo(body) => body.size_hint(),
        }
    }
}
