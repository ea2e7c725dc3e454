//! HTTP/2 towards clients: requests, bodies, trailers, what is refused.

use std::process::Command;

use http::{HeaderMap, HeaderValue, Request};

use crate::support::backend::Backend;
use crate::support::configs::{HTTPS, route_to};
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, Frames, HEADERS, NO_ERROR, PROTOCOL_ERROR, RST_STREAM, block, frame, get, post,
};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::script::Script;

/// A backend that sends every body back, as long as it was.
fn echo() -> Script {
    Script::playing(|conversation| {
        while let Some(request) = conversation.request() {
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            conversation.send(request.body);
        }
    })
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

#[test]
fn a_request_reaches_the_backend_as_http_1() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let answer = gateway.curl().http2().arg("-HCookie: a=1; b=2").ask(&gateway.url("https", "/x?y=z"));

    assert_eq!((answer.version.as_str(), answer.status, answer.text().as_str()), ("HTTP/2", 200, "one"));
    let received = backend.received();
    assert_eq!(received.line, "GET /x?y=z HTTP/1.1");
    let port = gateway.address("https").port();
    assert_eq!(received.field("host"), Some(format!("localhost:{port}").as_str()));
    assert_eq!(received.field("cookie"), Some("a=1; b=2"));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    let line = gateway.access(|line| line["status"] == 200);
    assert_eq!(line["protocol"], "HTTP/2", "{line}");
}

#[test]
fn bodies_arrive_whole_both_ways() {
    let backend = echo();
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let body = pattern(10 << 20);
    let file = gateway.home().path("body");
    std::fs::write(&file, &body).unwrap();

    let upload = format!("@{}", file.display());
    let answer = gateway.curl().http2().arg("--data-binary").arg(upload).ask(&gateway.url("https", "/"));

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
}

#[test]
fn a_window_of_one_byte_is_kept_to() {
    let backend = Script::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n{}", "x".repeat(300)));
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let answer = Http2::connect_as(&gateway, h2::client::Builder::new().initial_window_size(1)).get("/").unwrap();

    assert_eq!(answer.body.len(), 300);
}

#[test]
fn trailers_travel_both_ways() {
    let backend = Script::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 7\r\nContent-Length: 9\r\n\r\n",
    );
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("42"))]);
    let request = Request::post("https://localhost/").header("te", "trailers").body(()).unwrap();

    let answer = Http2::connect(&gateway).ask(request, Some(b"body"), Some(trailers)).unwrap();

    assert_eq!((answer.text().as_str(), answer.field("transfer-encoding")), ("ok", None));
    assert_eq!(answer.trailers, [("grpc-status".to_owned(), "7".to_owned())]);
    let received = backend.received();
    assert_eq!(received.field("te"), Some("trailers"));
    assert_eq!(String::from_utf8_lossy(&received.body), "4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n");
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&echo()])));
    let mut client = Frames::settled(&gateway, &[]);

    client.head(1, 0, &post(&[("content-length", "2"), ("expect", "100-continue")]));
    let interim = client.expect(HEADERS);
    // A status that is not in HPACK's table, and no end.
    assert_eq!((interim.payload[0], interim.flags), (0x48, END_HEADERS), "{interim:?}");
    client.send(frame(DATA, END_STREAM, 1, b"ok"));

    assert_eq!(client.expect(HEADERS).payload[0], 0x88);
    assert_eq!(client.expect(DATA).payload, b"ok");
}

#[test]
fn what_http_1_would_read_otherwise_is_refused() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Http2::connect(&gateway);
    let large = "x".repeat(33_000);
    let mut ask = |method: &str, path: &str, fields: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        client.ask(request.body(()).unwrap(), None, None).unwrap()
    };
    let crumbs: Vec<_> = (0..101).map(|_| ("cookie", "a=1")).collect();

    for (method, path, fields, status) in [
        ("GET", "/", &[("host", "example.com")][..], 400),
        ("GET", "/a%2fb", &[], 400),
        ("GET", "/a/%2e%2e/b", &[], 400),
        ("TRACE", "/", &[], 501),
        ("POST", "/", &[("expect", "the unexpected")], 417),
        ("GET", &format!("/{}", &large[..8_300]), &[], 414),
        ("GET", "/", &[("x", &large)], 431),
        ("GET", "/", &crumbs, 431),
    ] {
        let answer = ask(method, path, fields);
        assert_eq!(answer.status, status, "{method} {}\n{answer:?}", &path[..path.len().min(30)]);
        assert!(answer.refusal().is_some(), "{answer:?}");
    }

    assert_eq!(backend.count(), 0);
    assert_eq!(ask("GET", "/", &[]).status, 200, "the connection serves on");
}

#[test]
fn a_malformed_stream_is_reset_and_the_connection_serves_on() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);
    let malformed = [
        post(&[("transfer-encoding", "chunked")]),
        post(&[("connection", "close")]),
        post(&[("te", "gzip")]),
        post(&[("content-length", "1"), ("content-length", "2")]),
        post(&[("content-length", "+1")]),
        block(&[(":method", "GET"), (":scheme", "https"), (":path", "/ HTTP/1.1\r\nx: y")]),
        block(&[(":method", "GET"), (":scheme", "https"), (":authority", "a\r\nb"), (":path", "/")]),
        block(&[(":method", "GET"), (":path", "/")]),
    ];

    for (index, head) in malformed.iter().enumerate() {
        let stream = index as u32 * 2 + 1;
        client.head(stream, END_STREAM, head);
        let reset = client.find(RST_STREAM).unwrap_or_else(|| panic!("no reset after block {index}"));
        assert_eq!((reset.stream, reset.code()), (stream, PROTOCOL_ERROR), "block {index}");
    }

    assert_eq!(backend.count(), 0);
    client.head(101, END_STREAM, &get());
    assert_eq!(client.expect(HEADERS).stream, 101);
}

#[test]
fn bytes_that_no_field_may_have_end_the_connection() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    for (name, value) in
        [("x", "a\r\nb: c"), ("x", "a\0b"), ("x", "a\nb"), ("x\r\ny", "a"), ("x y", "a"), ("", "a"), ("X-Upper", "a")]
    {
        let mut client = Frames::settled(&gateway, &[]);
        client.head(1, END_STREAM, &post(&[(name, value)]));
        let error = client.next_error().unwrap_or_else(|| panic!("{name:?}: {value:?}"));
        assert_eq!(error, PROTOCOL_ERROR, "{name:?}: {value:?}");
    }
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_body_of_another_length_than_announced_never_completes_a_request() {
    let backend = Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    for body in [&b"less"[..], b"more than announced"] {
        let mut client = Frames::settled(&gateway, &[]);
        client.head(1, 0, &post(&[("content-length", "10")])).send(frame(DATA, END_STREAM, 1, body));
        assert_eq!(client.expect(RST_STREAM).code(), PROTOCOL_ERROR);
    }
    gateway.access(|line| line["reason"] == "framing" || line["status"] == 400);

    assert_eq!(Http2::connect(&gateway).get("/last").unwrap().status, 200);
    assert_eq!(backend.received().line, "GET /last HTTP/1.1");
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_the_stream_without_an_error() {
    let gateway = Gateway::serving(&format!("{HTTPS}\n[[route]]\nrespond = {{ status = 200, body = \"enough\" }}\n"));
    let mut client = Frames::settled(&gateway, &[]);

    client.head(1, 0, &post(&[])).send(frame(DATA, 0, 1, b"some"));

    assert_eq!(client.expect(DATA).payload, b"enough");
    let reset = client.expect(RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, NO_ERROR));
}

#[test]
fn h2load_gets_every_answer() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    for (clients, streams) in [("1", "100"), ("8", "10")] {
        let mut load = Command::new("h2load");
        load.args(["-n", "10000", "-c", clients, "-m", streams]).arg(gateway.url("https", "/"));
        let output = load.output().unwrap_or_else(|error| panic!("{error}; tests/run installs nghttp2-client"));
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(report.contains("10000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    }
}
