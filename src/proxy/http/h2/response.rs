//! The head of a response for HTTP/2.

use http::{Response as Head, StatusCode};

use super::fields::add;
use crate::proxy::http::body::Length;
use crate::proxy::message::{Name, Response};

/// The head. Fields that belong to an HTTP/1.1 connection stay behind (RFC 9113 §8.2.2). A tunnel begins with a 200
/// (RFC 8441 §5).
pub(super) fn head(response: &Response, length: Length) -> Head<()> {
    let mut head = Head::new(());
    let status = if length == Length::Tunnel { 200 } else { response.status };
    *head.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    head.headers_mut().reserve(response.fields.len());
    for (name, raw, value) in response.fields.iter() {
        if !is_of_connection(name) {
            add(head.headers_mut(), raw, value);
        }
    }
    head
}

fn is_of_connection(name: Name) -> bool {
    matches!(
        name,
        Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::TransferEncoding
            | Name::Upgrade
            | Name::Te
            | Name::SecWebSocketAccept
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let mut response = Response { status: 404, ..Response::default() };
        for name in
            ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Proxy-Connection", "X-A", "Set-Cookie"]
        {
            response.fields.add(name.as_bytes(), b"1");
        }
        response.fields.add(b"Set-Cookie", b"2");
        let head = head(&response, Length::Empty);
        assert_eq!(head.status(), 404);
        let names: Vec<_> = head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(names, [("x-a", &b"1"[..]), ("set-cookie", b"1"), ("set-cookie", b"2")]);
    }
}
