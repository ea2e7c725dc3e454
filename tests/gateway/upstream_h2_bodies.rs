//! What travels to and from backends of HTTP/2: bodies of any size, none at all, trailers, windows.

use std::sync::mpsc;

use bytes::Bytes;
use h2::client::Builder;

use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{DATA, END_STREAM, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;
use crate::support::streams::{Streams, gone, trail};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What passes through in the tests of large bodies; far more than the gateway may hold.
const LARGE: usize = 64 << 20;

/// What a gateway that holds 64 MiB of somebody's body would grow by, and more.
const GROWTH: usize = 24 << 20;

fn in_front_of(backend: &dyn std::fmt::Display) -> Gateway {
    Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[backend], "body_limit = \"0\"", "")))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

/// A client whose unread streams leave room for its others.
fn roomy() -> Builder {
    let mut settings = Builder::new();
    settings.initial_connection_window_size(16 << 20);
    settings
}

#[test]
fn trailers_travel_both_ways_without_what_must_not() {
    let backend = Streams::playing(|mut asked| async move {
        if asked.read().await.is_some() {
            let mut sending = asked.begin(200, &[]);
            sending.send_data(Bytes::from("down"), false).unwrap();
            trail(sending, &[("x-sum", "1"), ("content-length", "9"), ("set-cookie", "a=b")]);
        }
    });
    let gateway = in_front_of(&backend);
    let sum = |value: &str| [("x-sum".to_owned(), value.to_owned())];

    let mut exchange = Http2::connect(&gateway).post("/", &[("te", "trailers")]);
    exchange.send("up").finish_with(&[("x-sum", "2"), ("x-forwarded-for", "1.1.1.1"), ("authorization", "x")]);
    let answer = exchange.rest().unwrap();
    assert_eq!((answer.text().as_str(), answer.trailers.as_slice()), ("down", &sum("1")[..]));
    let received = backend.received();
    assert_eq!((received.field("te"), received.body.as_slice()), (Some("trailers"), &b"up"[..]));
    assert_eq!(received.trailers, sum("2"));

    let answer = gateway.client("http").ask(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nup\r\n0\r\nX-Sum: 3\r\nHost: other\r\nX_Forwarded_For: 1.1.1.1\r\nConnection: close\r\n\r\n",
    );
    assert_eq!((answer.text().as_str(), answer.trailers.as_slice()), ("down", &sum("1")[..]));
    let received = backend.received();
    assert_eq!((received.field("te"), received.field("connection")), (Some("trailers"), None));
    assert_eq!(received.trailers, sum("3"));
}

#[test]
fn answers_without_a_body_end_where_clients_expect_it() {
    type Answered = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    let answers: [Answered; 9] = [
        ("GET", "204", &[]),
        ("GET", "204", &[("content-length", "0")]),
        ("GET", "304", &[("content-length", "10")]),
        ("GET", "304", &[]),
        ("GET", "200", &[]),
        ("GET", "200", &[("content-length", "0")]),
        ("HEAD", "200", &[("content-length", "10")]),
        ("HEAD", "200", &[]),
        ("HEAD", "204", &[]),
    ];
    for (method, status, fields) in answers {
        // The end comes with the head, or in a frame of its own.
        for ends_with_head in [true, false] {
            let backend = Script::playing(move |conversation| {
                let mut peer = Peer::settled(conversation, &[]);
                let (stream, _) = peer.request().unwrap();
                let head = [&[(":status", status)], fields].concat();
                if ends_with_head {
                    peer.head(stream, END_STREAM, &head);
                } else {
                    peer.head(stream, 0, &head).send(frame(DATA, END_STREAM, stream, &[]));
                }
                peer.echo("next");
            });
            let gateway = in_front_of(&backend);
            let mut client = gateway.client("http");
            client.send(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let answer = if method == "HEAD" { client.answer_to_head() } else { client.answer() };

            let case = format!("{method} {status} {fields:?}, end with head: {ends_with_head}\n{answer:?}");
            assert_eq!((answer.status.to_string().as_str(), answer.text().as_str()), (status, ""), "{case}");
            let (length, coding) = (answer.field("content-length"), answer.field("transfer-encoding"));
            assert!(length.is_none() || coding.is_none(), "two framings: {case}");
            if method == "HEAD" || matches!(status, "204" | "304") {
                assert_eq!(coding, None, "{case}");
            }
            if status == "204" {
                assert_eq!(length, None, "RFC 9110 §8.6: {case}");
            }
            assert_eq!(client.ask(GET).text(), "next", "the connection serves on: {case}");
        }
    }
}

#[test]
fn a_body_where_there_must_be_none_is_never_the_next_answer() {
    for (method, status) in [("HEAD", "200"), ("GET", "204"), ("GET", "304")] {
        let backend = Script::playing(move |conversation| {
            let mut peer = Peer::settled(conversation, &[]);
            if peer.conversation.number == 0
                && let Some((stream, _)) = peer.request()
            {
                let poison = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
                peer.head(stream, 0, &[(":status", status)]).send(frame(DATA, END_STREAM, stream, poison));
            }
            peer.echo("well");
        });
        let gateway = in_front_of(&backend);
        let mut client = gateway.client("http");
        client.send(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client.send(GET);

        let all = String::from_utf8_lossy(&client.read_some(100)).into_owned();
        assert!(!all.contains("poisoned"), "{method} {status}\n{all}");
        assert_eq!(gateway.client("http").ask(GET).text(), "well");
    }
}

#[test]
fn a_body_of_another_length_than_announced_is_never_taken_for_whole() {
    for (announced, body) in [("10", "less"), ("2", "more than announced"), ("0", "any")] {
        let backend = Script::playing(move |conversation| {
            let mut peer = Peer::settled(conversation, &[]);
            while let Some((stream, _)) = peer.request() {
                peer.head(stream, 0, &[(":status", "200"), ("content-length", announced)]);
                peer.send(frame(DATA, END_STREAM, stream, body.as_bytes()));
            }
        });
        let gateway = in_front_of(&backend);

        let got = gateway.client("http").send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).read_to_end();
        let got = String::from_utf8_lossy(&got).into_owned();
        let (head, left) = got.split_once("\r\n\r\n").unwrap();
        // Where its head was on its way already, less comes than it says.
        let cut = left.len() < announced.parse::<usize>().unwrap().max(1);
        assert!(head.starts_with("HTTP/1.1 502") || cut, "{announced} {body:?}\n{got}");
        match Http2::connect(&gateway).get("/") {
            Ok(answer) if answer.status == 200 => assert_eq!((announced, answer.body.len()), ("0", 0)),
            Ok(answer) => assert_eq!(answer.refusal(), Some("http_protocol_error"), "{announced} {body:?}\n{answer:?}"),
            Err(error) => assert!(error.is_reset(), "{error}"),
        }
        gateway.access(|line| line["reason"] == "backend_malformed");
    }
}

#[test]
fn large_bodies_go_both_ways_and_memory_stays_flat() {
    let (sender, same) = mpsc::channel();
    let backend = Streams::playing(move |mut asked| {
        let sender = sender.clone();
        async move {
            let received = asked.read().await.unwrap();
            sender.send(received.body == pattern(LARGE)).unwrap();
            asked.answer(200, &[], received.body);
        }
    });
    let gateway = in_front_of(&backend);
    let body = pattern(LARGE);
    let before = gateway.resident();

    let mut exchange = Http2::connect(&gateway).post("/", &[]);
    exchange.send(body.clone()).finish();
    let answer = exchange.rest().unwrap();
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    let mut client = gateway.client("https");
    client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n")).send(&body);
    assert!(client.answer().body == body);

    assert_eq!([same.recv(), same.recv()], [Ok(true), Ok(true)]);
    let grown = gateway.peak_resident().saturating_sub(before);
    assert!(grown < GROWTH, "grew by {grown} bytes");
}

#[test]
fn clients_that_do_not_read_stop_nobody_else() {
    let backend = Streams::playing(|mut asked| async move {
        asked.read().await;
        let length = if asked.path() == "/large" { 1 << 20 } else { 5 };
        asked.answer(200, &[], vec![b'x'; length]);
    });
    let gateway = in_front_of(&backend);
    let before = gateway.resident();

    let mut slow: Vec<_> = (0..60).map(|_| gateway.client("http")).collect();
    slow.iter_mut().for_each(|client| _ = client.send(GET.replace("GET /", "GET /large")));
    let mut stalled = Http2::connect_as(&gateway, &roomy());
    let mut exchanges: Vec<_> = (0..30).map(|_| stalled.begin_get("/large")).collect();
    exchanges.iter_mut().for_each(|exchange| assert_eq!(exchange.head().unwrap().status, 200));
    (0..90).for_each(|_| drop(backend.received()));

    let mut quick = Http2::connect(&gateway);
    (0..50).for_each(|_| assert_eq!(quick.get("/").unwrap().text(), "xxxxx"));

    assert_eq!(backend.connections(), 1);
    let grown = gateway.peak_resident().saturating_sub(before);
    assert!(grown < 2 * GROWTH, "grew by {grown} bytes for 90 MiB that nobody reads");
    for exchange in exchanges {
        assert_eq!(exchange.rest().unwrap().body.len(), 1 << 20);
    }
    assert!(slow.iter_mut().all(|client| client.answer().body.len() == 1 << 20));
}

#[test]
fn a_backend_with_a_window_of_one_byte_is_kept_to() {
    let mut settings = h2::server::Builder::new();
    settings.initial_window_size(1);
    let backend = Streams::settled(&settings, |mut asked| async move {
        let body = asked.read().await.unwrap().body;
        asked.answer(200, &[], body);
    });
    let gateway = in_front_of(&backend);

    let post = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300\r\n\r\n{}", "x".repeat(300));
    assert_eq!(gateway.client("http").ask(post).body.len(), 300);
}

#[test]
fn small_pieces_are_one_body_and_stop_nobody_where_they_are_not_read() {
    const PIECES: usize = 100_000;
    let backend = Streams::playing(|mut asked| async move {
        asked.read().await;
        if asked.path() == "/quick" {
            return asked.answer(200, &[], "quick");
        }
        let mut sending = asked.begin(200, &[]);
        for _ in 0..PIECES {
            sending.send_data(Bytes::from_static(b"a message of 20 byte"), false).unwrap();
        }
        sending.send_data(Bytes::new(), true).unwrap();
        // Given up only with the connection, whatever its client does.
        gone(&mut sending).await;
    });
    let gateway = in_front_of(&backend);
    assert_eq!(gateway.client("http").ask(GET).body.len(), 20 * PIECES);

    let mut stalled = Http2::connect_as(&gateway, &roomy());
    let mut exchanges: Vec<_> = (0..10).map(|_| stalled.begin_get("/")).collect();
    exchanges.iter_mut().for_each(|exchange| assert_eq!(exchange.head().unwrap().status, 200));
    let mut quick = Http2::connect(&gateway);
    (0..20).for_each(|_| assert_eq!(quick.get("/quick").unwrap().text(), "quick"));

    assert_eq!(exchanges.remove(0).rest().unwrap().body.len(), 20 * PIECES);
    assert_eq!(backend.connections(), 1);
}
