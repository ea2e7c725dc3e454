//! WebSockets: an upgrade of HTTP/1.1 or an extended CONNECT of HTTP/2 in, either of them out.

use std::fmt::Display;
use std::sync::{Mutex, mpsc};

use crate::support::PATIENCE;
use crate::support::authority::Authority;
use crate::support::configs::{HTTP, HTTPS, one_worker, route_to, route_to_h2};
use crate::support::echo::{self, Http2Echo};
use crate::support::frames::{self, DATA, HEADERS, SETTINGS, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;
use crate::support::secure;
use crate::support::servers::Nginx;

pub(crate) const HANDSHAKE: &str = "GET /chat?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Protocol: chat\r\n\r\n";

/// What the key of that handshake is answered with (RFC 6455 §1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The setting of an HTTP/2 server that takes an extended CONNECT (RFC 8441 §3).
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// A gateway with both listeners in front of a backend that speaks HTTP/2 without TLS.
fn over_http2(backend: &dyn Display) -> Gateway {
    let pool = format!("[[route]]\npool = \"two\"\n[pool.two]\nprotocol = \"h2\"\nbackends = [\"{backend}\"]\n");
    Gateway::serving(&format!("{HTTPS}{HTTP}{pool}"))
}

#[test]
fn an_upgrade_passes_and_bytes_go_both_ways() {
    let backend = echo::over_http1();
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let large = vec![7; 3 << 20];
    for listener in ["http", "https"] {
        let mut client = gateway.client(listener);
        let answer = client.ask(HANDSHAKE);
        assert_eq!(answer.status, 101, "{answer:?}");
        for (name, value) in [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", ACCEPT),
            ("sec-websocket-protocol", "chat"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{answer:?}");
        }
        let received = backend.received();
        assert_eq!(received.line, "GET /chat?x=1 HTTP/1.1");
        assert_eq!((received.field("connection"), received.field("upgrade")), (Some("Upgrade"), Some("websocket")));
        assert_eq!(received.field("sec-websocket-protocol"), Some("chat"));
        assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));

        assert_eq!(client.send(b"ping").exactly(4).unwrap(), b"ping");
        for piece in large.chunks(64 << 10) {
            assert!(client.send(piece).exactly(piece.len()).unwrap() == piece);
        }
        client.finish_sending();
        client.expect_closed();
        let line = gateway.access(|line| line["listener"] == listener);
        assert_eq!((&line["status"], &line["path"]), (&101.into(), &"/chat".into()));
        assert_eq!(
            (&line["request_bytes"], &line["response_bytes"]),
            (&(4 + large.len()).into(), &(4 + large.len()).into())
        );
    }
}

#[test]
fn bytes_that_came_with_the_handshake_wait_for_the_backend_to_switch() {
    let backend = Script::playing(|conversation| {
        let request = conversation.head().unwrap();
        conversation.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let mut recorded = request;
        recorded.body = conversation.rest();
        conversation.record(recorded);
    });
    let gateway = Gateway::serving(&format!(
        "{HTTP}[pool.one]\npool_idle = \"1s\"\nbackends = [\"{backend}\"]\n[[route]]\npool = \"one\"\n"
    ));
    let mut client = gateway.client("http");
    // What follows the handshake is no tunnel's then, but a request of its own.
    let answer = client.ask(format!("{HANDSHAKE}early bytes\r\n\r\n"));
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(client.answer().status, 400);
    assert_eq!(backend.received().body, b"");

    let backend = echo::over_http1();
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(format!("{HANDSHAKE}early")).status, 101);
    assert_eq!(client.exactly(5).unwrap(), b"early");
}

#[test]
fn an_extended_connect_becomes_an_upgrade() {
    let backend = echo::over_http1();
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Http2::connect(&gateway);
    let mut tunnel = client.tunnel("/chat");
    assert_eq!(tunnel.status, 200);
    let names: Vec<_> = tunnel.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"sec-websocket-protocol") && !names.contains(&"sec-websocket-accept"), "{names:?}");
    let received = backend.received();
    assert_eq!(received.line, "GET /chat HTTP/1.1");
    assert_eq!((received.field("connection"), received.field("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!(received.field("sec-websocket-key").map(str::len), Some(24));
    tunnel.send(b"ping");
    assert_eq!(tunnel.exactly(4).unwrap(), b"ping");
    let large = vec![7; 1 << 20];
    tunnel.send(&large);
    assert!(tunnel.exactly(large.len()).unwrap() == large);
    tunnel.finish();
    assert_eq!(tunnel.exactly(1).unwrap(), b"", "ended in good order");
    let line = gateway.access(|line| line["path"] == "/chat");
    assert_eq!((&line["status"], &line["method"]), (&101.into(), &"GET".into()));
    // The connection goes on.
    assert_eq!(client.tunnel("/again").status, 200);
}

#[test]
fn tunnels_reach_backends_that_speak_http2() {
    let backend = Http2Echo::start(true);
    let gateway = over_http2(&backend);
    let mut client = gateway.client("https");
    let answer = client.ask(HANDSHAKE);
    assert_eq!((answer.status, answer.field("sec-websocket-accept")), (101, Some(ACCEPT)), "{answer:?}");
    assert_eq!(client.send(b"over one").exactly(8).unwrap(), b"over one");
    let mut other = Http2::connect(&gateway);
    let mut tunnel = other.tunnel("/");
    assert_eq!(tunnel.status, 200);
    tunnel.send(b"over two");
    assert_eq!(tunnel.exactly(8).unwrap(), b"over two");
    tunnel.finish();
    assert_eq!(tunnel.exactly(1).unwrap(), b"");
    assert_eq!(client.send(b"still").exactly(5).unwrap(), b"still");
    client.finish_sending();
    client.expect_closed();
}

#[test]
fn a_length_that_an_http2_backend_gives_its_tunnel_is_not_passed_on() {
    let backend = Script::playing(|conversation| {
        let mut peer = Peer::settled(conversation, &[(ENABLE_CONNECT_PROTOCOL, 1)]);
        while let Some(frame) = peer.find(HEADERS) {
            peer.head(frame.stream, 0, &[(":status", "200"), ("content-length", "1000")]);
            peer.send(frames::frame(DATA, 0, frame.stream, b"ping"));
        }
    });
    let gateway = over_http2(&backend);
    let mut client = gateway.client("http");
    let answer = client.ask(HANDSHAKE);
    assert_eq!((answer.status, answer.field("content-length")), (101, None), "{answer:?}");
    assert_eq!(client.exactly(4).unwrap(), b"ping");
    let mut other = Http2::connect(&gateway);
    let mut tunnel = other.tunnel("/");
    assert!(
        tunnel.status == 200 && tunnel.fields.iter().all(|(name, _)| name != "content-length"),
        "{:?}",
        tunnel.fields
    );
    assert_eq!(tunnel.exactly(4).unwrap(), b"ping");
}

#[test]
fn a_backend_that_carries_no_tunnels_is_502() {
    let backend = Http2Echo::start(false);
    let gateway = over_http2(&backend);
    let answer = gateway.client("http").ask(HANDSHAKE);
    assert_eq!((answer.status, answer.refusal()), (502, Some("http_upgrade_failed")), "{answer:?}");
    assert_eq!(gateway.access(|line| line["status"] == 502)["reason"], "no_tunnel");
}

#[test]
fn settings_of_a_backend_that_come_in_pieces_are_waited_for() {
    let (sender, begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::silent(conversation);
        // Extended CONNECT is taken (RFC 8441 §3).
        let settings = frame(SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1]);
        let (head, rest) = settings.split_at(9);
        peer.send(head);
        sender.send(()).unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send(rest).send(frame(SETTINGS, 1, 0, &[]));
        let asked = peer.find(HEADERS).unwrap().stream;
        peer.head(asked, 0, &[(":status", "200")]).hold();
    });
    let other = "[[route]]\npath = \"/other\"\nrespond = { status = 200 }\n";
    let gateway = Gateway::serving(&format!("{}{other}{}", one_worker(), route_to_h2(&[&backend], "", "")));
    let mut client = gateway.client("http");
    client.send(HANDSHAKE);
    begun.recv_timeout(PATIENCE).unwrap();
    // The only worker has seen the first piece by the time that it has served others.
    for _ in 0..5 {
        assert_eq!(gateway.client("http").ask("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    }
    go_on.send(()).unwrap();
    assert_eq!(client.answer().status, 101);
}

#[test]
fn a_backend_that_speaks_both_carries_tunnels_over_http1_where_http2_has_none() {
    let authority = Authority::new();
    let home = secure::home("", &authority);
    let pair = secure::nginx_pair(&home, &authority.issue(&["127.0.0.1"]));
    let application = echo::over_http1();
    // Its HTTP/2 has no extended CONNECT.
    let nginx = Nginx::secure_http2(&format!(
        "{pair} location / {{ return 200 $server_protocol; }}
         location /chat {{ proxy_pass {application}; proxy_http_version 1.1;
                           proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}"
    ));
    home.replace("portcullis.toml", &secure::config(&[&nginx], secure::CA));
    let gateway = Gateway::in_home(home);
    let mut other = gateway.client("http");
    for _ in 0..2 {
        assert_eq!(other.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").text(), "HTTP/2.0");
        let mut client = gateway.client("http");
        assert_eq!(client.ask(HANDSHAKE).status, 101);
        assert_eq!(client.send(b"ping").exactly(4).unwrap(), b"ping");
    }
}

#[test]
fn a_switch_that_proves_nothing_is_502() {
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}\r\n");
    for fields in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n".to_owned(),
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
            .to_owned(),
        format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{accept}"),
        format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{accept}{accept}"),
        accept,
    ] {
        let backend = Script::answering(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n"));
        let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
        let answer = gateway.client("http").ask(HANDSHAKE);
        assert_eq!((answer.status, answer.refusal()), (502, Some("http_upgrade_failed")), "{fields}\n{answer:?}");
    }
}

#[test]
fn a_refusal_of_the_backend_is_an_answer_like_any_other() {
    let backend = Script::answering("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    for _ in 0..2 {
        let answer = client.ask(HANDSHAKE);
        assert_eq!((answer.status, answer.text().as_str()), (401, "no"), "{answer:?}");
        assert_eq!(backend.received().field("upgrade"), Some("websocket"));
    }
    assert_eq!(Http2::connect(&gateway).tunnel("/").status, 401);
}
