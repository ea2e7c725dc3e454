//! hyper's HTTP/1.1 client as a reader of responses.

use bytes::Bytes;
use http_body_util::Empty;

use super::hyper_server::collected;
use super::meaning::{Answered, mapped};
use super::memory::{Memory, block_on};

/// More fields than the gateway takes.
const MOST_FIELDS: usize = 300;

/// What hyper takes `input`, the answer to a request of `method`, for.
///
/// # Errors
/// hyper's, where it refuses it.
pub fn response(input: &[u8], method: http::Method) -> Result<Answered, hyper::Error> {
    let mut request = http::Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method;
    block_on(async {
        let handshake = hyper::client::conn::http1::Builder::new()
            .max_headers(MOST_FIELDS)
            .handshake(Memory::answering(input))
            .await;
        let (mut sender, connection) = handshake?;
        let answered = async move {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = collected(body).await;
            Ok(Answered { status: parts.status.as_u16(), fields: mapped(&parts.headers), body })
        };
        // What the connection fails of, the request fails of too.
        tokio::join!(answered, connection).0
    })
}
