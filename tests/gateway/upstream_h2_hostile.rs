//! Backends that break HTTP/2 or flood it: 502 for whom it concerns, bounded work, and the next request on a good connection.

use std::sync::mpsc;

use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame,
};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn in_front_of(backend: &dyn std::fmt::Display) -> Gateway {
    Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[backend], "", "")))
}

/// A backend whose first request gets `bad` for an answer, which may depend on its stream, and whose others are answered well.
fn bad_once(bad: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Script {
    Script::playing(move |conversation| {
        let number = conversation.number;
        let mut peer = Peer::settled(conversation, &[]);
        if number == 0
            && let Some((stream, _)) = peer.request()
        {
            peer.send(bad(stream));
        }
        peer.echo("well");
    })
}

#[test]
fn a_backend_of_http_1_is_502_and_gets_no_request() {
    for answer in
        ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]
    {
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(answer);
            // What follows is the end of the preface, and frames.
            conversation.hold();
        });
        let gateway = in_front_of(&backend);

        let got = gateway.client("http").ask(GET.replace("GET /", "GET /secret"));

        assert_eq!((got.status, got.refusal()), (502, Some("http_protocol_error")), "{got:?}");
        gateway.access(|line| line["reason"] == "backend_malformed");
        assert_eq!(backend.received().line, "PRI * HTTP/2.0");
        assert_eq!(backend.left(), 0);
    }
}

#[test]
fn a_backend_that_says_no_http_at_all_is_502() {
    for greeting in [&b"220 mail.example ESMTP\r\n"[..], &[0; 100], &[0xff; 100], &[21, 3, 3, 0, 2, 2, 70]] {
        let backend = Script::playing(move |conversation| {
            conversation.send(greeting);
            conversation.close();
            conversation.hold();
        });
        let gateway = in_front_of(&backend);
        let got = gateway.client("http").ask(GET);
        assert_eq!(got.status, 502, "{greeting:?}\n{got:?}");
    }
}

#[test]
fn what_breaks_the_protocol_is_502_and_asked_for_once() {
    type Bad = (&'static str, fn(u32) -> Vec<u8>);
    fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields))
    }
    let bad: [Bad; 19] = [
        ("a frame that is too large", |stream| frame(DATA, END_STREAM, stream, &[0; 16_385])),
        ("DATA before HEADERS", |stream| frame(DATA, END_STREAM, stream, b"x")),
        ("DATA on no stream", |_| frame(DATA, 0, 0, b"x")),
        ("HEADERS on no stream", |_| head(0, &[(":status", "200")])),
        ("a stream of its own", |_| head(2, &[(":status", "200")])),
        ("an idle stream", |stream| head(stream + 2, &[(":status", "200")])),
        ("a push", |stream| {
            frame(PUSH_PROMISE, END_HEADERS, stream, &[&[0, 0, 0, 2][..], &block(&[(":method", "GET")])].concat())
        }),
        ("SETTINGS of a strange length", |_| frame(SETTINGS, 0, 0, &[0; 5])),
        ("a PING that is too short", |_| frame(PING, 0, 0, &[0; 7])),
        ("a window that overflows", |_| frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
        ("CONTINUATION of nothing", |stream| frame(CONTINUATION, END_HEADERS, stream, &[0x88])),
        ("a head that is no HPACK", |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xff; 20])),
        ("no status", |stream| head(stream, &[("x", "y")])),
        ("two statuses", |stream| head(stream, &[(":status", "200"), (":status", "200")])),
        ("a status of letters", |stream| head(stream, &[(":status", "2x0")])),
        ("a status that means nothing", |stream| head(stream, &[(":status", "999")])),
        ("a field of the connection", |stream| head(stream, &[(":status", "200"), ("transfer-encoding", "chunked")])),
        ("a quote in a name", |stream| head(stream, &[(":status", "200"), ("x\"y", "z")])),
        ("a line end in a value", |stream| head(stream, &[(":status", "200"), ("x", "a\r\ny: z")])),
    ];
    for (name, answer) in bad {
        let backend = bad_once(answer);
        let gateway = in_front_of(&backend);
        let got = gateway.client("http").ask(GET);
        assert_eq!((got.status, got.refusal()), (502, Some("http_protocol_error")), "{name}\n{got:?}");
        gateway.access(|line| line["reason"] == "backend_malformed");
        assert_eq!(gateway.client("http").ask(GET).text(), "well", "the next one after {name}");
    }
}

#[test]
fn two_lengths_are_502() {
    for lengths in [["2", "3"], ["2", "2"], ["x", "x"]] {
        let backend = bad_once(move |stream| {
            let fields = [(":status", "200"), ("content-length", lengths[0]), ("content-length", lengths[1])];
            [frame(HEADERS, END_HEADERS, stream, &block(&fields)), frame(DATA, END_STREAM, stream, b"ok")].concat()
        });
        let got = in_front_of(&backend).client("http").ask(GET);
        assert_eq!((got.status, got.refusal()), (502, Some("http_protocol_error")), "{lengths:?}\n{got:?}");
    }
}

#[test]
fn a_broken_stream_costs_the_others_of_its_connection_nothing() {
    let backend = Script::playing(|conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        while let Some((stream, body)) = peer.request() {
            match body.as_str() {
                "bad" => _ = peer.head(stream, END_STREAM, &[("x", "y")]),
                _ => _ = peer.answer(stream, &format!("{body} on {}", peer.conversation.number)),
            }
        }
    });
    // A breaker would have enough of it.
    let pool = route_to_h2(&[&backend], "", "breaker = false");
    let gateway = Gateway::serving(&format!("{}{pool}", one_worker()));
    let mut client = Http2::connect(&gateway);
    let mut open = client.post("/", &[]);
    open.send("go");

    for _ in 0..50 {
        let mut bad = client.post("/", &[]);
        bad.send("bad").finish();
        assert_eq!(bad.rest().unwrap().status, 502);
    }
    open.send("od").finish();

    assert_eq!(open.rest().unwrap().text(), "good on 0");
}

#[test]
fn a_head_that_is_too_large_is_told_as_such() {
    let large = |fields: Vec<(&'static str, String)>| {
        let head: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        block(&[&[(":status", "200")], &head[..]].concat())
    };
    let one = large(vec![("x", "y".repeat(66 << 10))]);
    let several = large(vec![("x", "y".repeat(30 << 10)); 3]);
    let many = large(vec![("x", "y".to_owned()); 257]);
    for (block, reason) in [one, several, many].into_iter().map(|block| (block, "backend_headers_too_large")) {
        let backend = bad_once(move |stream| {
            let mut pieces = block.chunks(16_384).peekable();
            let mut bytes = frame(HEADERS, END_STREAM, stream, pieces.next().unwrap());
            if pieces.peek().is_none() {
                bytes[4] |= END_HEADERS;
            }
            while let Some(piece) = pieces.next() {
                let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                bytes.extend(frame(CONTINUATION, flags, stream, piece));
            }
            bytes
        });
        let gateway = in_front_of(&backend);
        let got = gateway.client("http").ask(GET);
        assert_eq!((got.status, got.refusal()), (502, Some("http_response_header_section_size")), "{got:?}");
        gateway.access(|line| line["reason"] == reason);
        assert_eq!(gateway.client("http").ask(GET).text(), "well");
    }
}

/// A backend that sends `begin` and then `piece` for ever once it was asked, on its first connection only. How often it could
/// comes through the channel, once it could not any more.
fn flooding(
    begin: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
    piece: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> (Script, mpsc::Receiver<usize>) {
    let (sender, sent) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let number = conversation.number;
        let mut peer = Peer::settled(conversation, &[]);
        if number > 0 {
            return peer.echo("well");
        }
        let (stream, _) = peer.request().unwrap();
        peer.send(begin(stream));
        let many = piece(stream).repeat(100);
        let count = peer.conversation.flood(&many, 100_000, |_| ());
        sender.send(count * 100).unwrap();
    });
    (backend, sent)
}

#[test]
fn floods_end_and_memory_stays_flat() {
    type Piece = fn(u32) -> Vec<u8>;
    let nothing: Piece = |_| Vec::new();
    let begun: Piece = |stream| frame(HEADERS, END_HEADERS, stream, &[0x88]);
    let open: Piece = |stream| frame(HEADERS, 0, stream, &[0x88]);
    let floods: [(&str, Piece, Piece); 10] = [
        ("PING", nothing, |_| frame(PING, 0, 0, &[0; 8])),
        ("answers to no PING", nothing, |_| frame(PING, 1, 0, &[0; 8])),
        ("SETTINGS", nothing, |_| frame(SETTINGS, 0, 0, &[])),
        ("WINDOW_UPDATE", nothing, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", nothing, |stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 0])),
        ("frames that nobody knows", nothing, |_| frame(0x77, 0, 0, &[1, 2, 3])),
        ("empty DATA", begun, |stream| frame(DATA, 0, stream, &[])),
        ("empty CONTINUATION", open, |stream| frame(CONTINUATION, 0, stream, &[])),
        ("interim answers", nothing, |stream| frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "103")]))),
        ("resets", nothing, |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])),
    ];
    for (name, begin, piece) in floods {
        let (backend, sent) = flooding(begin, piece);
        let gateway = in_front_of(&backend);
        let before = gateway.resident();
        let mut client = gateway.client("http");

        client.send(GET);
        let mut got = client.next_answer(false);
        while got.as_ref().is_some_and(|answer| answer.status == 103) {
            got = client.next_answer(false);
        }

        // A GET may have been asked again elsewhere; a body that was begun is cut.
        let answered = got.as_ref().is_none_or(|answer| matches!(answer.status, 200 | 502));
        assert!(answered, "{name}\n{got:?}");
        let count = sent.recv_timeout(crate::support::PATIENCE).unwrap_or_else(|_| panic!("{name} goes on"));
        assert!(count < 10_000_000, "{name} was taken to its end");
        let grown = gateway.peak_resident().saturating_sub(before);
        assert!(grown < 8 << 20, "{name}: grew by {grown} bytes");
        assert_eq!(gateway.client("http").ask(GET).text(), "well", "after {name}");
    }
}
