//! Backends of HTTP/2 that say nothing: when they are asked for a sign of life, and what becomes of their connections.

use std::sync::{Mutex, mpsc};

use crate::support::PATIENCE;
use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{DATA, END_STREAM, Frame, PING, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\ncall";

/// Unused client connections end after 1.5 s, which is how tests let that long pass.
fn in_front_of(backend: &Script, route: &str) -> Gateway {
    let server = one_worker().replace("name = \"http\"\n", "name = \"http\"\ntimeouts = { keep_alive = \"1500ms\" }\n");
    let pause = "[[route]]\npath = \"/pause\"\nrespond = { status = 200 }\n";
    Gateway::serving(&format!("{server}{pause}{}", route_to_h2(&[backend], route, "")))
}

/// Lets 1.5 s pass without a word to a backend.
fn pause(gateway: &Gateway) {
    let mut client = gateway.client("http");
    assert_eq!(client.ask(GET.replace("GET /", "GET /pause")).status, 200);
    client.expect_closed();
}

fn is_question(one: &Frame) -> bool {
    one.kind == PING && one.flags & 1 == 0
}

#[test]
fn a_backend_is_asked_again_only_once_it_has_answered_something() {
    const AT_ONCE: usize = 4;
    let (sender, events) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        let mut calls = Vec::new();
        while let Some(one) = peer.next() {
            if is_question(&one) {
                sender.send("ping").unwrap();
            } else if one.kind == DATA && one.flags & END_STREAM != 0 {
                calls.push(one.stream);
                sender.send("call").unwrap();
            }
            if calls.len() == AT_ONCE {
                calls.drain(..).for_each(|stream| _ = peer.answer(stream, "done"));
            }
        }
    });
    let gateway = in_front_of(&backend, "");
    let next = || events.recv_timeout(PATIENCE).unwrap();

    let begin = |number: usize| {
        if !number.is_multiple_of(AT_ONCE) {
            pause(&gateway);
        }
        let mut client = gateway.client("http");
        client.send(POST);
        client
    };
    for expected in [&["call", "ping", "call", "call", "call"], &["call", "ping", "call", "call", "call"]] {
        let clients: Vec<_> = (0..AT_ONCE).map(begin).collect();
        assert_eq!([(); 5].map(|()| next()), *expected, "servers of gRPC end a connection with a fourth ping");
        clients.into_iter().for_each(|mut client| assert_eq!(client.answer().text(), "done"));
    }
}

#[test]
fn a_connection_that_answers_nothing_any_more_fails_one_request() {
    let backend = Script::playing(|conversation| {
        let number = conversation.number;
        let mut peer = Peer::settled(conversation, &[]);
        if number == 0 {
            // Deaf from here on, and open.
            return peer.conversation.hold();
        }
        peer.echo("well");
    });
    let gateway = in_front_of(&backend, "timeouts = { response = \"1200ms\" }");

    assert_eq!(gateway.client("http").ask(GET).status, 504);

    assert_eq!(gateway.client("http").ask(GET).text(), "well");
}

#[test]
fn a_short_deadline_condemns_no_connection() {
    let (sender, asked) = mpsc::channel();
    let (answer, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        let number = conversation.number;
        let mut peer = Peer::settled(conversation, &[]);
        let (stream, _) = peer.request().unwrap();
        peer.answer(stream, "first");
        while let Some(one) = peer.look() {
            if is_question(&one) {
                sender.send(()).unwrap();
                wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                return peer.send(frame(PING, 1, 0, &one.payload)).echo(&format!("on {number}: "));
            }
        }
    });
    let gateway = in_front_of(&backend, "");
    assert_eq!(gateway.client("http").ask(POST).text(), "first");
    pause(&gateway);

    let mut call = Http2::connect(&gateway).post("/", &[("content-type", "application/grpc"), ("grpc-timeout", "1n")]);
    call.finish();
    assert_eq!(call.rest().unwrap().field("grpc-status"), Some("4"));
    asked.recv_timeout(PATIENCE).unwrap();
    answer.send(()).unwrap();

    assert_eq!(gateway.client("http").ask(POST).text(), "on 0: call");
}
