//! The two forms of an access log line.

use std::time::Duration;

use super::super::escape;
use super::super::stamp::Stamp;
use super::Entry;
use crate::base::decimal::{address, number};

/// The combined log format, then `name=value` for the rest. What is absent is left out or `-`.
pub(super) fn text(entry: &Entry<'_>, stamp: &mut Stamp, out: &mut Vec<u8>) {
    address(out, entry.client);
    out.extend_from_slice(b" - - [");
    stamp.common(entry.time, out);
    out.extend_from_slice(b"] \"");
    escape::text(entry.method, out);
    out.push(b' ');
    let (path, query) = split(entry.target);
    escape::text(path, out);
    if let Some(query) = query {
        out.push(b'?');
        escape::text(query, out);
    }
    out.push(b' ');
    out.extend_from_slice(entry.protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    number(out, u64::from(entry.status));
    out.push(b' ');
    number(out, entry.response_bytes);
    for value in [entry.referer, entry.user_agent] {
        out.extend_from_slice(b" \"");
        escape::text(value.unwrap_or(b"-"), out);
        out.push(b'"');
    }
    text_fields(entry, out);
    out.push(b'\n');
}

fn text_fields(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let mut word = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        escape::word(value, out);
    };
    word(" host=", entry.host);
    word(" listener=", entry.listener.as_bytes());
    word(" route=", entry.route.as_bytes());
    word(" id=", entry.request_id);
    let said = [
        (" reason=", entry.reason),
        (" retry_reason=", entry.retry_reason),
        (" tls=", entry.tls),
        (" backend=", entry.backend),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            word(name, value.as_bytes());
        }
    }
    for (at, reason) in entry.observed.iter().enumerate() {
        word(if at == 0 { " observed=" } else { "," }, reason.as_bytes());
    }
    if let Some(duration) = entry.backend_duration {
        out.extend_from_slice(b" backend_ms=");
        milliseconds(duration, out);
    }
    out.extend_from_slice(b" ms=");
    milliseconds(entry.duration, out);
    for (name, value) in [(" retries=", u64::from(entry.retries)), (" request_bytes=", entry.request_bytes)] {
        out.extend_from_slice(name.as_bytes());
        number(out, value);
    }
}

/// One flat JSON object. What is absent is left out.
pub(super) fn json(entry: &Entry<'_>, stamp: &mut Stamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":\"");
    stamp.rfc3339(entry.time, out);
    out.extend_from_slice(b"\",\"client\":\"");
    address(out, entry.client);
    out.push(b'"');
    let (path, query) = split(entry.target);
    let texts = [
        ("method", Some(entry.method)),
        ("host", Some(entry.host)),
        ("path", Some(path)),
        ("query", query),
        ("protocol", Some(entry.protocol.as_bytes())),
        ("listener", Some(entry.listener.as_bytes())),
        ("route", Some(entry.route.as_bytes())),
        ("backend", entry.backend.map(str::as_bytes)),
        ("request_id", Some(entry.request_id)),
        ("reason", entry.reason.map(str::as_bytes)),
        ("retry_reason", entry.retry_reason.map(str::as_bytes)),
        ("tls", entry.tls.map(str::as_bytes)),
        ("user_agent", entry.user_agent),
        ("referer", entry.referer),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            key(name, out);
            escape::json(value, out);
        }
    }
    for (at, reason) in entry.observed.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b",\"observed\":[" } else { b"," });
        escape::json(reason.as_bytes(), out);
    }
    if !entry.observed.is_empty() {
        out.push(b']');
    }
    let numbers = [
        ("status", u64::from(entry.status)),
        ("request_bytes", entry.request_bytes),
        ("response_bytes", entry.response_bytes),
        ("retries", u64::from(entry.retries)),
    ];
    for (name, value) in numbers {
        key(name, out);
        number(out, value);
    }
    key("duration_ms", out);
    milliseconds(entry.duration, out);
    if let Some(duration) = entry.backend_duration {
        key("backend_ms", out);
        milliseconds(duration, out);
    }
    out.extend_from_slice(b"}\n");
}

fn key(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

/// Milliseconds with three decimals.
fn milliseconds(duration: Duration, out: &mut Vec<u8>) {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, microseconds / 1000);
    out.push(b'.');
    out.extend([100, 10, 1].map(|place| b'0' + (microseconds / place % 10) as u8));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            time: UNIX_EPOCH + Duration::from_millis(1_709_210_096_007),
            client: "192.0.2.1".parse().unwrap(),
            method: b"GET",
            host: b"example.com",
            target: b"/a/b?x=1",
            protocol: "HTTP/1.1",
            status: 200,
            request_bytes: 0,
            response_bytes: 1234,
            duration: Duration::from_micros(12_045),
            listener: "https",
            route: "web",
            backend: Some("http://10.0.0.1:8080"),
            backend_duration: Some(Duration::from_micros(9_999)),
            retries: 1,
            retry_reason: Some("connect_failed"),
            request_id: b"01ab",
            reason: None,
            observed: &[],
            tls: Some("TLSv1.3"),
            user_agent: Some(b"curl/8.0"),
            referer: None,
        }
    }

    fn written(form: fn(&Entry<'_>, &mut Stamp, &mut Vec<u8>), entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        form(entry, &mut Stamp::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_the_combined_format_and_fields() {
        assert_eq!(
            written(text, &entry()),
            "192.0.2.1 - - [29/Feb/2024:12:34:56 +0000] \"GET /a/b?x=1 HTTP/1.1\" 200 1234 \"-\" \"curl/8.0\" \
             host=example.com listener=https route=web id=01ab retry_reason=connect_failed tls=TLSv1.3 backend=http://10.0.0.1:8080 \
             backend_ms=9.999 ms=12.045 retries=1 request_bytes=0\n"
        );
    }

    #[test]
    fn json_is_flat_and_typed() {
        let line: serde_json::Value = serde_json::from_str(&written(json, &entry())).unwrap();
        let expected = serde_json::json!({
            "ts": "2024-02-29T12:34:56.007Z", "client": "192.0.2.1", "method": "GET", "host": "example.com",
            "path": "/a/b", "query": "x=1", "protocol": "HTTP/1.1", "listener": "https", "route": "web",
            "backend": "http://10.0.0.1:8080", "request_id": "01ab", "tls": "TLSv1.3", "user_agent": "curl/8.0",
            "status": 200, "request_bytes": 0, "response_bytes": 1234, "retries": 1, "retry_reason": "connect_failed", "duration_ms": 12.045,
            "backend_ms": 9.999,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn what_was_only_observed_is_a_list() {
        let entry = Entry { observed: &["rate_limit", "acl"], ..entry() };
        let line = written(text, &entry);
        assert!(line.contains(" observed=rate_limit,acl "), "{line}");
        let line: serde_json::Value = serde_json::from_str(&written(json, &entry)).unwrap();
        assert_eq!(line["observed"], serde_json::json!(["rate_limit", "acl"]));
    }

    #[test]
    fn nothing_a_client_sends_leaves_its_field() {
        let hostile: Vec<u8> = (0..=255).collect();
        let huge = [b"\"\n".as_slice(); 10_000].concat();
        for value in [hostile.as_slice(), &huge, b"\r\n127.0.0.1 - - forged"] {
            let mut entry = entry();
            (entry.method, entry.host, entry.target, entry.request_id) = (value, value, value, value);
            (entry.user_agent, entry.referer) = (Some(value), Some(value));
            for form in [text, json] {
                let line = written(form, &entry);
                assert_eq!(line.find('\n'), Some(line.len() - 1));
                assert!(!line.trim_end().chars().any(char::is_control));
                assert!(line.len() < 120_000);
            }
            assert!(serde_json::from_str::<serde_json::Value>(&written(json, &entry)).is_ok());
            assert!(written(text, &entry).is_ascii());
        }
    }
}
