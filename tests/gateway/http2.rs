//! HTTP/2 towards clients: requests, bodies, trailers, cancellation, deadlines, the end.

use std::process::Command;
use std::sync::mpsc;

use http::{HeaderMap, HeaderValue, Request};

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::configs::{HTTPS, route_to};
use crate::support::events::DRAINING;
use crate::support::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, NO_ERROR, PROTOCOL_ERROR, RST_STREAM,
    SETTINGS_TIMEOUT, block, frame, get, post,
};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::script::Script;

/// The HTTPS listener with deadlines that a test can wait for.
fn hasty() -> String {
    let tables = "[listener.timeouts]\nheaders = \"300ms\"\nwrite_idle = \"300ms\"\nkeep_alive = \"300ms\"\n";
    HTTPS.replace("\n[[certificate]]", &format!("\n{tables}\n[[certificate]]"))
}

/// A backend that sends every body back, as long as it was.
fn echo() -> Script {
    Script::playing(|conversation| {
        while let Some(request) = conversation.request() {
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            conversation.send(request.body);
        }
    })
}

/// A backend that answers nothing, and says when a request came and when it was given up.
fn silent() -> (Script, mpsc::Receiver<&'static str>) {
    let (sender, events) = mpsc::channel();
    let script = Script::playing(move |conversation| {
        conversation.head();
        let _ = sender.send("asked");
        conversation.hold();
        let _ = sender.send("gone");
    });
    (script, events)
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
fn a_reset_drops_the_backend_connection_at_once() {
    let (backend, events) = silent();
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);

    client.head(1, END_STREAM, &get());
    assert_eq!(events.recv_timeout(PATIENCE), Ok("asked"));
    client.send(frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()));

    assert_eq!(events.recv_timeout(PATIENCE), Ok("gone"));
    gateway.access(|line| line["reason"] == "client_gone");
}

#[test]
fn a_connection_that_breaks_cancels_all_of_its_exchanges() {
    let (backend, events) = silent();
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);
    client.head(1, END_STREAM, &get()).head(3, END_STREAM, &get());
    assert_eq!((events.recv_timeout(PATIENCE), events.recv_timeout(PATIENCE)), (Ok("asked"), Ok("asked")));

    drop(client);

    assert_eq!((events.recv_timeout(PATIENCE), events.recv_timeout(PATIENCE)), (Ok("gone"), Ok("gone")));
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
fn a_stream_without_a_window_is_reset_after_the_write_deadline() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{}{}", hasty(), route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[(4, 0)]);

    client.head(1, END_STREAM, &get());

    assert_eq!(client.expect(RST_STREAM).stream, 1);
    gateway.access(|line| line["reason"] == "client_gone");
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let body = "x".repeat(20 << 20);
    let backend = Script::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let gateway = Gateway::serving(&format!("{}{}", hasty(), route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[(4, 0x7fff_ffff)]);
    client.send(frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes()));

    client.head(1, END_STREAM, &get());

    gateway.access(|line| line["reason"] == "client_gone");
    client.expect_closed();
}

#[test]
fn a_connection_without_streams_is_closed_with_goaway() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{}{}", hasty(), route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);

    client.head(1, END_STREAM, &get());

    let goaway = client.expect(GOAWAY);
    assert_eq!((goaway.code(), goaway.payload[3]), (NO_ERROR, 1));
    client.expect_closed();
}

#[test]
fn what_is_begun_has_to_be_finished_in_time() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{}{}", hasty(), route_to(&[&backend])));

    Frames::silent(&gateway).expect_closed();
    let mut unsettled = Frames::silent(&gateway);
    assert_eq!(unsettled.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect(GOAWAY).code(), SETTINGS_TIMEOUT);
    let mut unfinished = Frames::settled(&gateway, &[]);
    unfinished.send(frame(HEADERS, 0, 1, &get())).expect(GOAWAY);
    let mut partial = Frames::settled(&gateway, &[]);
    partial.send(&frame(HEADERS, END_HEADERS, 1, &get())[..20]).expect(GOAWAY);

    assert_eq!(backend.count(), 0);
}

#[test]
fn a_drain_lets_streams_finish_and_takes_no_more() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        conversation.request();
        // The test lets go once the drain has begun.
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let mut gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);
    client.head(1, END_STREAM, &get());
    backend.received();

    gateway.signal(rustix::process::Signal::TERM);
    gateway.event(DRAINING);
    assert_eq!(client.expect(GOAWAY).code(), NO_ERROR);
    release.send(()).unwrap();

    assert_eq!(client.expect(HEADERS).stream, 1);
    assert_eq!(client.expect(DATA).payload, b"late");
    client.expect_closed();
    assert!(gateway.wait().success());
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
