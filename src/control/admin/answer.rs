//! Answers of the admin listener.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

/// What hyper sends.
pub(super) type Answer = Response<Full<Bytes>>;

/// 200 with a body of the given media type.
pub(super) fn found(media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    with_status(StatusCode::OK, media_type, body)
}

/// A body of the given media type. Nothing here may be cached, framed or taken for something else.
pub(super) fn with_status(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let fields = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fields {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A refusal: what is wrong and what to do.
pub(super) fn refused(status: StatusCode, error: &str, advice: &str) -> Answer {
    let body = serde_json::json!({ "error": error, "advice": advice }).to_string() + "\n";
    with_status(status, "application/json", body)
}

/// The same answer with one more field.
pub(super) fn with_field(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
