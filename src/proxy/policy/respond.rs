//! A route's `respond`: an answer that is always the same.

use bytes::Bytes;

use crate::proxy::message::{Name, Response};

/// A route's `respond`.
#[derive(Clone, Debug)]
pub struct Respond {
    status: u16,
    content_type: String,
    body: Bytes,
}

impl Respond {
    /// `status` is 200 to 599.
    pub fn new(status: u16, content_type: &str, body: &str) -> Self {
        Self { status, content_type: content_type.to_owned(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// Makes `response` the head of the answer and gives its body, shared and not copied. Framing (and leaving the
    /// body out for HEAD, 204 and 304) is the codec's.
    pub fn answer(&self, response: &mut Response) -> Bytes {
        response.status = self.status;
        if !self.body.is_empty() {
            response.fields.set(Name::ContentType, self.content_type.as_bytes());
        }
        self.body.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::Name;

    #[test]
    fn the_answer_is_as_it_was_set() {
        let mut response = Response::default();
        let body = Respond::new(418, "text/plain; charset=utf-8", "short and stout").answer(&mut response);
        assert_eq!((response.status, &body[..]), (418, &b"short and stout"[..]));
        assert_eq!(response.fields.first(Name::ContentType), Some(&b"text/plain; charset=utf-8"[..]));
    }

    #[test]
    fn no_body_has_no_type() {
        let mut response = Response::default();
        assert!(Respond::new(204, "text/plain", "").answer(&mut response).is_empty());
        assert!(response.fields.is_empty());
    }
}
