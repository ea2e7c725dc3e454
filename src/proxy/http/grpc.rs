//! What gRPC over HTTP/2 asks of a proxy: its deadline is kept, and its callers are refused in their own terms.

use std::time::Duration;

use super::answer;
use crate::base::decimal::number;
use crate::proxy::fault::Fault;
use crate::proxy::message::{Fields, Name, Request, Response, Version};

/// Whether a request is a call of gRPC. gRPC-Web is plain HTTP to a proxy.
pub fn is_call(request: &Request) -> bool {
    let is_grpc = |value: &[u8]| {
        let rest =
            value.get(..16).filter(|front| front.eq_ignore_ascii_case(b"application/grpc")).map(|_| &value[16..]);
        matches!(rest, Some([] | [b'+' | b';' | b' ', ..]))
    };
    request.version == Version::Http2 && request.fields.first(Name::ContentType).is_some_and(is_grpc)
}

/// The caller's deadline: `grpc-timeout`, up to eight digits and a unit. One that is malformed is for the backend to refuse.
pub fn timeout(request: &Request) -> Option<Duration> {
    let (unit, digits) = request.fields.values(b"grpc-timeout").next()?.split_last()?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() <= 8)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3_600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Whether an answer says before any message that nobody can take the call.
pub fn is_unavailable(response: &Response) -> bool {
    response.fields.values(b"grpc-status").next() == Some(b"14".as_slice())
}

/// Makes `response` the answer to a call that was refused or failed: a head and no body, which carries the status in gRPC's terms
/// and the reason in `Proxy-Status`.
pub fn refusal(fault: Fault, response: &mut Response) {
    response.clear();
    response.status = 200;
    response.fields.add(b"content-type", b"application/grpc");
    add_status(fault, &mut response.fields);
    answer::add_proxy_status(fault.facts(), response);
}

/// The trailers of an answer that began well and that the backend did not bring to its end.
pub fn trailers(fault: Fault) -> Fields {
    let mut fields = Fields::default();
    add_status(fault, &mut fields);
    fields
}

fn add_status(fault: Fault, fields: &mut Fields) {
    let mut code = Vec::with_capacity(2);
    number(&mut code, status(fault));
    fields.add(b"grpc-status", &code);
    fields.add(b"grpc-message", fault.facts().reason.as_bytes());
}

/// The status code of gRPC: what its clients make of the status of HTTP, and more exactly where we know more.
fn status(fault: Fault) -> u64 {
    const UNKNOWN: u64 = 2;
    const DEADLINE_EXCEEDED: u64 = 4;
    const PERMISSION_DENIED: u64 = 7;
    const RESOURCE_EXHAUSTED: u64 = 8;
    const UNIMPLEMENTED: u64 = 12;
    const INTERNAL: u64 = 13;
    const UNAVAILABLE: u64 = 14;
    const UNAUTHENTICATED: u64 = 16;
    match (fault, fault.status()) {
        (Fault::ResponseTimeout | Fault::StreamTimeout | Fault::TotalTimeout, _) => DEADLINE_EXCEEDED,
        (_, 400 | 500) => INTERNAL,
        (_, 401) => UNAUTHENTICATED,
        (_, 403) => PERMISSION_DENIED,
        (_, 404) => UNIMPLEMENTED,
        (_, 413 | 414 | 431) => RESOURCE_EXHAUSTED,
        (_, 421 | 429 | 502 | 503 | 504) => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(version: Version, content_type: &str, timeout: &str) -> Request {
        let mut request = Request::default();
        request.version = version;
        request.fields.add(b"content-type", content_type.as_bytes());
        request.fields.add(b"grpc-timeout", timeout.as_bytes());
        request
    }

    #[test]
    fn calls_are_told_by_version_and_content_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC; x=y", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
        ] {
            assert_eq!(is_call(&call(Version::Http2, content_type, "")), expected, "{content_type}");
            assert!(!is_call(&call(Version::Http11, content_type, "")));
        }
    }

    #[test]
    fn deadlines_have_units() {
        let parsed = |text| timeout(&call(Version::Http2, "application/grpc", text));
        assert_eq!(parsed("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parsed("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parsed("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for bad in ["", "m", "100", "+1m", "100000000m", "1x", "1.5S"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_in_the_terms_of_grpc() {
        for (fault, code) in
            [(Fault::NoRoute, "12"), (Fault::NoBackend, "14"), (Fault::TotalTimeout, "4"), (Fault::BodyTooLarge, "8")]
        {
            let mut response = Response::default();
            refusal(fault, &mut response);
            assert_eq!(response.status, 200);
            assert_eq!(response.fields.values(b"grpc-status").next(), Some(code.as_bytes()), "{fault:?}");
            assert!(response.fields.first(Name::ProxyStatus).is_some());
            assert_eq!(is_unavailable(&response), code == "14");
            assert_eq!(trailers(fault).values(b"grpc-status").next(), Some(code.as_bytes()), "{fault:?}");
        }
    }
}
