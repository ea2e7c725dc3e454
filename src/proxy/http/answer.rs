//! Answers that the gateway gives itself.

use crate::base::decimal::number;
use crate::proxy::fault::{Facts, Fault};
use crate::proxy::http::h1::write::reason;
use crate::proxy::message::Response;

/// Makes `response` the answer to a request that was refused or failed, and `body` its text. The text is fixed: details
/// that help an operator stand in the log, where they do not help an attacker.
pub fn refusal(fault: Fault, response: &mut Response, body: &mut Vec<u8>) {
    let facts = fault.facts();
    response.clear();
    response.status = facts.status;
    number(body, u64::from(facts.status));
    body.push(b' ');
    body.extend_from_slice(reason(facts.status).as_bytes());
    body.push(b'\n');
    response.fields.add(b"content-type", b"text/plain; charset=utf-8");
    add_proxy_status(facts, response);
    if facts.status == 503 {
        response.fields.add(b"retry-after", b"1");
    }
}

/// Adds the reason as `Proxy-Status` (RFC 9209).
pub fn add_proxy_status(facts: Facts, response: &mut Response) {
    let mut text = Vec::with_capacity(96);
    text.extend_from_slice(b"portcullis; error=");
    text.extend_from_slice(facts.proxy_status.as_bytes());
    text.extend_from_slice(b"; details=\"");
    text.extend_from_slice(facts.reason.as_bytes());
    text.push(b'"');
    response.fields.add(b"proxy-status", &text);
}

/// Makes `response` the gateway's own status, `body` its JSON: counts, no addresses, nothing that a stranger may not know.
pub fn status(open_connections: u32, draining: bool, response: &mut Response, body: &mut Vec<u8>) {
    response.clear();
    response.status = if draining { 503 } else { 200 };
    let state = if draining { "draining" } else { "ok" };
    body.extend_from_slice(format!("{{\"status\":\"{state}\",\"connections_open\":{open_connections}}}\n").as_bytes());
    response.fields.add(b"content-type", b"application/json");
    response.fields.add(b"cache-control", b"no-store");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::Name;

    #[test]
    fn a_refusal_says_why_in_proxy_status() {
        let (mut response, mut body) = (Response::default(), Vec::new());
        refusal(Fault::NoRoute, &mut response, &mut body);
        assert_eq!((response.status, body.as_slice()), (404, &b"404 Not Found\n"[..]));
        let why = response.fields.first(Name::ProxyStatus).unwrap();
        assert_eq!(why, b"portcullis; error=destination_not_found; details=\"no_route\"");
    }
}
