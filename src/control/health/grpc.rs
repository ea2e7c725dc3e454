//! `kind = "grpc"`: `grpc.health.v1.Health/Check` over HTTP/2, good with `SERVING`.

use std::time::Duration;

use super::probe::{Failure, USER_AGENT};
use crate::proxy::fault::Fault;
use crate::proxy::message::{Name, Request};
use crate::proxy::upstream::Exchange;

/// The most that an answer may have: it is a few bytes.
const LARGEST: usize = 4 << 10;

/// In front of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The statuses of a call, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What a server says of a service, by its numbers; the second is the good one.
const SERVING: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// The head of the call. The server is told how long it may take.
pub(super) fn request(authority: &str, timeout: Duration) -> Request {
    let mut request = Request::default();
    let method = request.fields.store(b"POST");
    request.set_method(method);
    request.rewrite_target(b"/grpc.health.v1.Health/Check");
    let authority = request.fields.store(authority.as_bytes());
    request.set_authority(authority);
    request.set_authority_field(Name::Host);
    request.fields.add(b"content-type", b"application/grpc");
    request.fields.add(b"te", b"trailers");
    request.fields.add(b"user-agent", USER_AGENT);
    request.fields.add(b"grpc-timeout", format!("{}m", timeout.as_millis()).as_bytes());
    request
}

/// A `HealthCheckRequest` for a service, with its prefix. The field is left out where it is empty, as in every `proto3`.
pub(super) fn message(service: &str) -> Vec<u8> {
    const SERVICE: u8 = 1 << 3 | 2;
    let mut message = Vec::with_capacity(service.len() + 3);
    if !service.is_empty() {
        message.push(SERVICE);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

/// Reads the answer and says whether it is a good one.
pub(super) async fn judge(exchange: &mut Exchange) -> Result<(), Failure> {
    let head = exchange.head().await?;
    if head.status != 200 {
        return Err(Failure { outcome: "status", told: format!("status {}", head.status) });
    }
    let body = exchange.body(LARGEST).await?;
    // One that has no message has its status in its head.
    let code = |fields: &crate::proxy::message::Fields| {
        let value = fields.values(b"grpc-status").next()?;
        std::str::from_utf8(value).ok()?.parse::<usize>().ok()
    };
    match exchange.trailers().and_then(code).or_else(|| code(&head.fields)) {
        Some(0) => served(&body),
        Some(code) => {
            let name = CODES.get(code).map_or_else(|| code.to_string(), |name| (*name).to_owned());
            Err(Failure { outcome: "grpc_status", told: format!("grpc-status {name}") })
        }
        None => Err(Failure { outcome: Fault::BackendMalformed.reason(), told: "no grpc-status".to_owned() }),
    }
}

fn served(body: &[u8]) -> Result<(), Failure> {
    match status(body) {
        Some(1) => Ok(()),
        Some(other) => {
            let name = SERVING.get(other as usize).map_or_else(|| other.to_string(), |name| (*name).to_owned());
            Err(Failure { outcome: "not_serving", told: name })
        }
        None => {
            let told = "no HealthCheckResponse".to_owned();
            Err(Failure { outcome: Fault::BackendMalformed.reason(), told })
        }
    }
}

/// The `status` of a `HealthCheckResponse` with its prefix: 0 where it is left out. Nothing where that is none.
fn status(body: &[u8]) -> Option<u64> {
    let (prefix, mut rest) = body.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    // We asked for nothing compressed.
    if prefix[0] != 0 || rest.len() != length as usize {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => _ = varint(&mut rest)?,
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// The number that `rest` begins with, seven bits in each byte.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, others) = rest.split_first()?;
        *rest = others;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_the_proto_says() {
        assert_eq!(message(""), [0, 0, 0, 0, 0]);
        assert_eq!(message("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = message(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn an_answer_has_one_status_and_perhaps_what_we_do_not_know() {
        let framed = |message: &[u8]| [&[0, 0, 0, 0, message.len() as u8], message].concat();
        assert_eq!(status(&framed(&[8, 1])), Some(1));
        assert_eq!(status(&framed(&[])), Some(0));
        assert_eq!(status(&framed(&[0x12, 2, 8, 2, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 8, 2])), Some(2));
        for bad in [&b""[..], &[0, 0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 1, 8, 1], &[0, 0, 0, 0, 3, 8, 1]] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
        for bad in
            [&[8][..], &[8, 0x80], &[0x12, 9, 1], &[0x0b], &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            assert_eq!(status(&framed(bad)), None, "{bad:?}");
        }
        assert_eq!(served(&framed(&[8, 2])).unwrap_err().told, "NOT_SERVING");
        assert_eq!(served(&framed(&[8, 9])).unwrap_err().told, "9");
    }
}
