//! Whatever is refused is told of: one reason, the same in `Proxy-Status` where there is an answer, in the access log and in
//! `portcullis_refused_total`. So it is too for what the HTTP/2 crate answers by itself.

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, PING, PROTOCOL_ERROR,
    RST_STREAM, block, frame, get, post,
};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A gateway with both listeners, and its backend.
fn gateway() -> (Gateway, Backend) {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    (gateway, backend)
}

/// Waits for the line, and for as many in the metric. A worker counts before it writes the line.
fn told(gateway: &Gateway, reason: &str, status: u16, count: u64) {
    let line = gateway.access(|line| line["reason"] == reason);
    assert_eq!(line["status"], status, "{line}");
    let metric = format!("portcullis_refused_total{{reason=\"{reason}\",route=\"\"}}");
    assert_eq!(gateway.metric(&metric), count, "{reason}");
}

/// HEADERS and CONTINUATION with a GET whose fields take about so many bytes.
fn head_of(bytes: usize) -> Vec<u8> {
    const PIECE: usize = 16_000;
    let mut frames = frame(HEADERS, END_STREAM, 1, &get());
    for number in 0..bytes / PIECE {
        let last = if number + 1 == bytes / PIECE { END_HEADERS } else { 0 };
        frames.extend(frame(CONTINUATION, last, 1, &block(&[(&format!("x-{number}"), &"y".repeat(PIECE))])));
    }
    frames
}

#[test]
fn a_head_far_beyond_the_limit_is_refused_with_a_reason() {
    let (gateway, backend) = gateway();
    let mut client = Http2::connect_as(&gateway, h2::client::Builder::new().max_frame_size(1 << 14));
    let large = "x".repeat(140_000);

    let request = http::Request::get("https://localhost/").header("x", &large).body(()).unwrap();
    let answer = client.ask(request, None, None).unwrap();

    assert_eq!((answer.status, answer.refusal()), (431, Some("http_request_error")), "{answer:?}");
    told(&gateway, "headers_too_large", 431, 1);
    assert_eq!(client.get("/").unwrap().status, 200, "the connection serves on");
    assert_eq!(backend.count(), 1);
}

#[test]
fn a_head_that_only_the_crate_sees_is_told_of() {
    let (gateway, backend) = gateway();
    let mut client = Frames::settled(&gateway, &[]);

    client.send(head_of(190_000));

    assert_eq!(client.expect(HEADERS).stream, 1);
    told(&gateway, "headers_too_large", 431, 1);
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_head_beyond_all_measure_ends_the_connection_as_a_flood() {
    let (gateway, backend) = gateway();
    let mut client = Frames::settled(&gateway, &[]);

    client.send(head_of(2_000_000));

    if let Some(goaway) = client.find(GOAWAY) {
        assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    }
    client.expect_closed();
    told(&gateway, "http2_flood", 429, 1);
    assert_eq!(backend.count(), 0);
}

#[test]
fn streams_that_the_crate_resets_are_told_of() {
    let (gateway, backend) = gateway();
    let mut client = Frames::settled(&gateway, &[]);

    client.head(1, END_STREAM, &post(&[("connection", "close")]));
    assert_eq!(client.expect(RST_STREAM).code(), PROTOCOL_ERROR);
    client.head(3, END_STREAM, &block(&[(":method", "GET"), (":path", "/")]));
    assert_eq!(client.expect(RST_STREAM).code(), PROTOCOL_ERROR);
    client.head(5, END_STREAM, &get());
    assert_eq!(client.expect(HEADERS).stream, 5, "the connection serves on");

    gateway.access(|line| line["status"] == 200);
    told(&gateway, "malformed_syntax", 400, 2);
    assert_eq!(backend.count(), 1);
}

#[test]
fn more_streams_than_there_may_be_are_told_of() {
    let backend = Backend::named("one");
    let limits = "tls = true\nlimits = { h2_streams = 2 }";
    let gateway = Gateway::serving(&format!("{}{}", HTTPS.replace("tls = true", limits), route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);

    for stream in [1, 3, 5] {
        client.head(stream, 0, &post(&[]));
    }

    assert_eq!(client.expect(RST_STREAM).stream, 5);
    told(&gateway, "h2_streams", 429, 1);
}

#[test]
fn connections_that_break_http_2_are_told_of() {
    let (gateway, _backend) = gateway();

    // A frame that continues no header block.
    let mut client = Frames::settled(&gateway, &[]);
    client.send(frame(CONTINUATION, 0, 1, &get()));
    assert_eq!(client.expect(GOAWAY).code(), PROTOCOL_ERROR);
    client.expect_closed();
    told(&gateway, "http2_protocol", 400, 1);

    Frames::silent(&gateway).send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect_closed();
    gateway.wait_for_metric("portcullis_refused_total{reason=\"http2_protocol\",route=\"\"}", 2);
}

#[test]
fn floods_and_unfinished_heads_are_told_of() {
    let backend = Backend::named("one");
    let hasty = HTTPS.replace("tls = true", "tls = true\ntimeouts = { headers = \"300ms\" }");
    let gateway = Gateway::serving(&format!("{hasty}{}", route_to(&[&backend])));

    let mut client = Frames::settled(&gateway, &[]);
    client.send(frame(PING, 0, 0, &[0; 8]).repeat(5_000)).expect_closed();
    told(&gateway, "http2_flood", 429, 1);

    Frames::settled(&gateway, &[]).send(frame(HEADERS, 0, 1, &get())).expect_closed();
    told(&gateway, "header_timeout", 408, 1);
    Frames::silent(&gateway).expect_closed();
    gateway.wait_for_metric("portcullis_refused_total{reason=\"header_timeout\",route=\"\"}", 2);
}

#[test]
fn a_fragment_in_the_path_is_refused_however_it_is_coded() {
    let (gateway, backend) = gateway();
    let mut client = Frames::settled(&gateway, &[]);
    let with_path =
        |path: &[u8]| [&block(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost")]), path].concat();
    // `/#` as it is; Huffman-coded; kept in the dynamic table, and taken from it.
    let paths: [&[u8]; 5] = [
        &block(&[(":path", "/a#b")]),
        &[0x04, 2, b'/', b'#'],
        &[0x04, 0x83, 0x63, 0xfe, 0xbf],
        &[0x44, 2, b'/', b'#'],
        &[0xbe],
    ];

    for (number, path) in paths.into_iter().enumerate() {
        let stream = number as u32 * 2 + 1;
        client.head(stream, END_STREAM, &with_path(path));
        let head = client.expect(HEADERS);
        // 400 is the twelfth entry of the static table.
        assert_eq!((head.stream, head.payload[0]), (stream, 0x8c), "{path:x?}");
    }

    gateway.access(|line| line["reason"] == "malformed_syntax" && line["path"] == "/a");
    told(&gateway, "malformed_syntax", 400, 5);
    client.head(99, END_STREAM, &with_path(&[0x84]));
    assert_eq!(client.expect(HEADERS).payload[0], 0x88);
    assert_eq!(backend.count(), 1, "none of them came to the backend");
}

#[test]
fn connections_that_are_one_too_many_are_told_of() {
    let backend = Backend::named("one");
    let config = format!("{HTTP}max_connections = 1\n{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&config);
    let mut first = gateway.connect("http");
    assert_eq!(first.ask(GET).status, 200);

    gateway.connect("http").expect_closed();
    told(&gateway, "max_connections", 503, 1);

    gateway.save(&config.replace("max_connections", "max_connections_per_ip"));
    gateway.connect("http").expect_closed();
    told(&gateway, "max_connections_per_ip", 429, 1);
}

#[test]
fn plain_http_on_a_tls_port_is_told_why() {
    let (gateway, backend) = gateway();

    let answer = Client::tcp(gateway.address("https")).ask(GET);

    assert_eq!((answer.status, answer.refusal()), (400, Some("http_request_error")), "{answer:?}");
    told(&gateway, "plain_http", 400, 1);
    assert_eq!(backend.count(), 0);
}

#[test]
fn plain_http_on_a_tls_port_is_told_though_the_client_keeps_its_connection() {
    let backend = Backend::named("one");
    let patient = HTTPS.replace("tls = true\n", "tls = true\ntimeouts = { handshake = \"1m\" }\n");
    let gateway = Gateway::serving(&format!("{patient}{}", route_to(&[&backend])));
    let mut client = Client::tcp(gateway.address("https"));

    assert_eq!(client.ask(GET).status, 400);

    told(&gateway, "plain_http", 400, 1);
    assert_eq!(gateway.metric("portcullis_tls_handshake_failures_total{cause=\"not_tls\"}"), 1);
    client.expect_closed();
}
