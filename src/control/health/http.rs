//! `kind = "http"`: a GET, good with one of some statuses. The head decides; nobody looks at the body.

use super::probe::{Failure, USER_AGENT};
use crate::proxy::balance::StatusRange;
use crate::proxy::message::{Name, Request, Response};

/// The request. A connection of HTTP/1.1 is told that nothing more comes.
pub(super) fn request(path: &str, authority: &str, h2: bool) -> Request {
    let mut request = Request::default();
    let method = request.fields.store(b"GET");
    request.set_method(method);
    request.rewrite_target(path.as_bytes());
    let authority = request.fields.store(authority.as_bytes());
    request.set_authority(authority);
    request.set_authority_field(Name::Host);
    request.fields.add(b"User-Agent", USER_AGENT);
    request.fields.add(b"Accept", b"*/*");
    if !h2 {
        request.fields.add(b"Connection", b"close");
    }
    request
}

/// Whether the answer is a good one.
pub(super) fn judge(response: &Response, statuses: &[StatusRange]) -> Result<(), Failure> {
    if statuses.iter().any(|range| range.contains(response.status)) {
        return Ok(());
    }
    Err(Failure { outcome: "status", told: format!("status {}", response.status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_statuses_that_are_named_are_good() {
        let of = |status| judge(&Response { status, ..Response::default() }, &[StatusRange::FINE]);
        assert!(of(200).is_ok() && of(399).is_ok());
        assert_eq!(of(503).unwrap_err().told, "status 503");
        assert_eq!(of(101).unwrap_err(), Failure { outcome: "status", told: "status 101".to_owned() });
    }
}
