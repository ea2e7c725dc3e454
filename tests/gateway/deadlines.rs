//! Every deadline of the defaults table, set short: it ends what it bounds, not sooner than it says and not much later.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

/// What every deadline under test is set to; the others keep their defaults, which are longer than any test.
const LIMIT: Duration = Duration::from_millis(600);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(1);

const LISTENERS: [&str; 2] = ["http", "https"];

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A gateway with a plain and a TLS listener on which one deadline is short.
fn client_deadline(name: &str, routes: &str) -> Gateway {
    let timeouts = format!("timeouts = {{ {name} = \"600ms\" }}\n");
    let http = format!("[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\n{timeouts}");
    let https = HTTPS.replace("tls = true\n", &format!("tls = true\n{timeouts}"));
    Gateway::serving(&format!("{http}{https}{routes}"))
}

/// A gateway whose one route has a short deadline towards the backend.
fn backend_deadline(name: &str, backend: &dyn std::fmt::Display) -> Gateway {
    let http = "[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\n";
    Gateway::serving(&format!(
        "{http}[[route]]\ntimeouts = {{ {name} = \"600ms\" }}\npool = {{ backends = [\"{backend}\"], retry = false }}\n"
    ))
}

/// Runs `wait`, which must take the limit and not much more.
fn takes_the_limit<T>(what: &str, wait: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = wait();
    let took = start.elapsed();
    assert!((LIMIT..=LIMIT + SLACK).contains(&took), "{what} took {took:?}");
    result
}

#[test]
fn a_handshake_that_does_not_happen_ends() {
    let gateway = client_deadline("handshake", &route_to(&[&Script::dead()]));
    // The first half of a record that says it holds a ClientHello of 512 bytes.
    let half = [&[22, 3, 1, 2, 0, 1, 0, 1, 252][..], &[7; 200]].concat();
    for (what, bytes) in [("silence", &[][..]), ("one byte", &[22]), ("half a ClientHello", &half)] {
        let mut client = Client::tcp(gateway.address("https"));
        takes_the_limit(what, || client.send(bytes).expect_closed());
    }
    let mut client = Client::tcp(gateway.address("https"));
    takes_the_limit("a trickle", || {
        client.trickle(half.chunks(2), Duration::from_millis(50));
        client.expect_closed();
    });
}

#[test]
fn a_head_that_does_not_end_is_408() {
    let backend = Backend::named("one");
    let gateway = client_deadline("headers", &route_to(&[&backend]));
    for listener in LISTENERS {
        let mut client = gateway.client(listener);
        let answer = takes_the_limit("a head in single bytes", || {
            client.trickle(
                format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(100)).as_bytes().chunks(1),
                Duration::from_millis(50),
            );
            client.answer()
        });
        assert_eq!((answer.status, answer.refusal().is_some()), (408, true), "{answer:?}");
        client.expect_closed();
    }
    for listener in LISTENERS {
        let mut client = gateway.client(listener);
        takes_the_limit("silence from the start", || client.expect_closed());
    }
    let mut client = gateway.client("http");
    assert_eq!(client.ask(GET).status, 200);
    let answer = takes_the_limit("half a second head", || client.ask("GET / HTT"));
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(backend.count(), 1);
}

#[test]
fn a_body_that_pauses_is_408_and_lets_the_backend_go() {
    let (sender, released) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        conversation.head();
        conversation.hold();
        sender.send(()).unwrap();
    });
    let gateway = client_deadline("body_idle", &route_to(&[&backend]));
    let bodies =
        ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf", "Content-Length: 1\r\n\r\n"];
    for body in bodies {
        for listener in LISTENERS {
            let mut client = gateway.client(listener);
            let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{body}");
            let answer = takes_the_limit(body, || client.ask(request));
            assert_eq!((answer.status, answer.refusal().is_some()), (408, true), "{answer:?}");
            client.expect_closed();
            released.recv_timeout(PATIENCE).expect("the backend's connection is closed");
        }
    }
}

#[test]
fn a_chunk_line_in_single_bytes_is_no_progress() {
    let backend = Script::playing(|conversation| {
        conversation.head();
        conversation.hold();
    });
    let gateway = client_deadline("body_idle", &route_to(&[&backend]));
    let mut client = gateway.client("http");
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    takes_the_limit("a chunk extension in single bytes", || {
        client.trickle([b"1;", &[b'e'; 500][..]].concat().chunks(1), Duration::from_millis(50));
        assert_eq!(client.answer().status, 408);
    });
}

#[test]
fn a_client_that_does_not_read_is_left_and_so_is_the_backend() {
    let (sender, released) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        conversation.request();
        let piece = vec![b'x'; 1 << 20];
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let pieces = conversation.flood(&piece, 1024, |_| ());
        sender.send(pieces).unwrap();
    });
    let gateway = client_deadline("write_idle", &route_to(&[&backend]));
    for listener in LISTENERS {
        let mut client = gateway.client(listener);
        let start = Instant::now();
        client.send(GET);
        let pieces = released.recv_timeout(PATIENCE).expect("the backend's connection is closed");
        assert!(start.elapsed() >= LIMIT && pieces < 64, "{:?}, {pieces} MiB", start.elapsed());
        // The gateway's end is over too: what is left to read is what the kernels held, and no whole answer.
        assert!(client.read_some(1 << 30).len() < 64 << 20);
    }
}

#[test]
fn an_unused_connection_ends() {
    let gateway = client_deadline("keep_alive", &route_to(&[&Backend::named("one")]));
    for listener in LISTENERS {
        let mut client = gateway.client(listener);
        assert_eq!(client.ask(GET).status, 200);
        takes_the_limit("a silent connection", || client.expect_closed());
        let mut client = gateway.client("http");
        assert_eq!(client.ask(GET).status, 200);
        takes_the_limit("empty lines are no request", || {
            client.trickle([&b"\r\n"[..]; 100], Duration::from_millis(50));
            client.expect_closed();
        });
    }
}

/// A listener that accepts nobody and whose queue is full: to connect to it takes for ever.
fn never_answering() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok());
    let queued = queued.take(16).collect();
    (listener, queued, address)
}

#[test]
fn a_backend_that_does_not_accept_is_504() {
    let (_listener, _queued, address) = never_answering();
    let gateway = backend_deadline("connect", &format!("http://{address}"));
    let answer = takes_the_limit("connecting", || gateway.client("http").ask(GET));
    assert_eq!((answer.status, answer.refusal()), (504, Some("connection_timeout")), "{answer:?}");
}

#[test]
fn a_backend_that_does_not_answer_is_504_and_is_not_asked_twice() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    let http = "[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\n";
    let gateway = Gateway::serving(&format!(
        "{http}[[route]]\ntimeouts = {{ response = \"600ms\" }}\npool = {{ backends = [\"{backend}\"], retry = 3 }}\n"
    ));
    for request in [GET, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok"] {
        let answer = takes_the_limit("waiting for the answer", || gateway.client("http").ask(request));
        assert_eq!((answer.status, answer.refusal()), (504, Some("http_response_timeout")), "{answer:?}");
        backend.received();
        assert_eq!(backend.left(), 0, "asked once");
    }
}

#[test]
fn interim_answers_do_not_put_the_deadline_off() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 102 Processing\r\n\r\n");
        conversation.hold();
    });
    let gateway = backend_deadline("response", &backend);
    let answer = takes_the_limit("waiting for the answer", || gateway.client("http").ask(GET));
    assert_eq!(answer.status, 504, "{answer:?}");
}

#[test]
fn a_backend_that_stops_within_its_answer_leaves_it_visibly_cut() {
    for (head, version) in [
        ("Content-Length: 10\r\n\r\nhalf", "1.1"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "1.1"),
        ("\r\nhalf", "1.1"),
        ("Content-Length: 10\r\n\r\nhalf", "1.0"),
    ] {
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(format!("HTTP/1.1 200 OK\r\n{head}"));
            conversation.hold();
        });
        let gateway = backend_deadline("idle", &backend);
        let mut client = gateway.client("http");
        let got = takes_the_limit(head, || {
            client.send(format!("GET / HTTP/{version}\r\nHost: localhost\r\n\r\n")).read_to_end()
        });
        let got = String::from_utf8_lossy(&got);
        assert!(
            got.starts_with("HTTP/1.1 200 OK")
                && got.ends_with(if got.contains("chunked") { "4\r\nhalf\r\n" } else { "half" }),
            "{got}"
        );
    }
}

#[test]
fn the_whole_exchange_is_bounded() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    let gateway = backend_deadline("total", &backend);
    let answer = takes_the_limit("an answer", || gateway.client("http").ask(GET));
    assert_eq!((answer.status, answer.refusal()), (504, Some("http_response_timeout")), "{answer:?}");

    let dripping = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        conversation.flood(b"x", 1_000_000_000, |_| ());
    });
    let gateway = backend_deadline("total", &dripping);
    let mut client = gateway.client("http");
    takes_the_limit("an answer without end", || client.send(GET).read_to_end());
}
