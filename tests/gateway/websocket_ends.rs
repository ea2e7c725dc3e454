//! How WebSockets end, and what does not end them.

use std::sync::{Mutex, mpsc};

use rustix::process::Signal;

use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::echo;
use crate::support::events::{CERTIFICATE_REPLACED, DRAINING, SERVING};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::script::Script;
use crate::websocket::HANDSHAKE;

/// A route with these deadlines to a backend.
fn bounded(backend: &Script, timeouts: &str) -> String {
    format!("{HTTPS}{HTTP}[[route]]\npool = [\"{backend}\"]\ntimeouts = {{ {timeouts} }}\n")
}

#[test]
fn either_side_may_end_first_and_the_other_goes_on() {
    let backend = Script::playing(|conversation| {
        echo::switch(conversation);
        let all = conversation.rest();
        conversation.send(format!("got {}", all.len()));
    });
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    client.send(b"12345").finish_sending();
    assert_eq!(client.read_to_end(), b"got 5");
    let mut other = Http2::connect(&gateway);
    let mut tunnel = other.tunnel("/");
    tunnel.send(b"1234567");
    tunnel.finish();
    assert_eq!(tunnel.exactly(100).unwrap(), b"got 7");

    let backend = Script::playing(|conversation| {
        echo::switch(conversation);
        conversation.send("bye");
        conversation.close();
        let mut recorded = echo_of(conversation.rest());
        recorded.connection = conversation.number;
        conversation.record(recorded);
    });
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    assert_eq!(client.read_to_end(), b"bye");
    client.send(b"and you").finish_sending();
    assert_eq!(backend.received().body, b"and you");
}

fn echo_of(body: Vec<u8>) -> crate::support::script::Received {
    crate::support::script::Received {
        connection: 0,
        line: String::new(),
        fields: Vec::new(),
        body,
        trailers: Vec::new(),
    }
}

#[test]
fn a_side_that_vanishes_takes_the_tunnel_with_it() {
    let backend = Script::playing(|conversation| {
        echo::switch(conversation);
        let word = conversation.bytes(5);
        if word == b"reset" {
            return conversation.reset();
        }
        conversation.send(&word);
        let mut recorded = echo_of(conversation.rest());
        recorded.body.splice(0..0, word);
        conversation.record(recorded);
    });
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    client.send(b"reset");
    client.expect_closed();
    assert_eq!(gateway.access(|line| line["status"] == 101)["reason"], "backend_reset");

    let mut client = gateway.client("https");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    assert_eq!(client.send(b"going").exactly(5).unwrap(), b"going");
    client.reset();
    assert_eq!(backend.received().body, b"going");
    gateway.access(|line| line["reason"] == "client_gone");
}

#[test]
fn the_last_words_of_a_backend_that_hangs_up_reach_a_client_that_still_sends() {
    let ((go, told), (done, over)) = (mpsc::channel::<()>(), mpsc::channel());
    let told = Mutex::new(told);
    let backend = Script::playing(move |conversation| {
        echo::switch(conversation);
        told.lock().unwrap().recv().unwrap();
        conversation.send("bye");
        conversation.reset();
        done.send(()).unwrap();
    });
    let mut gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    // It finds all of it at once: what it passes on is refused before it has read what came.
    gateway.while_frozen(|| {
        go.send(()).unwrap();
        over.recv().unwrap();
        client.send(b"more");
    });
    assert_eq!(client.read_to_end(), b"bye");
    assert_eq!(gateway.access(|line| line["status"] == 101)["response_bytes"], 3);
}

#[test]
fn tunnel_idle_ends_a_silent_tunnel_and_leaves_a_lively_one() {
    let backend = echo::over_http1();
    let gateway =
        Gateway::serving(&bounded(&backend, "tunnel_idle = \"300ms\", response = \"100ms\", idle = \"100ms\""));
    let mut lively = gateway.client("http");
    assert_eq!(lively.ask(HANDSHAKE).status, 101);
    let mut silent = gateway.client("http");
    assert_eq!(silent.ask(HANDSHAKE).status, 101);
    let ended = |line: &serde_json::Value| line["reason"] == "stream_timeout";
    while !gateway.access_lines().iter().any(ended) {
        assert_eq!(lively.send(b"x").exactly(1).unwrap(), b"x");
    }
    let line = gateway.access(ended);
    assert_eq!(line["request_bytes"], 0);
    silent.expect_closed();
    assert_eq!(lively.send(b"x").exactly(1).unwrap(), b"x");
}

#[test]
fn a_tunnel_that_one_side_has_ended_is_silent_for_no_longer_than_another() {
    let (keep, open) = mpsc::channel::<()>();
    let open = Mutex::new(open);
    let backend = Script::playing(move |conversation| {
        echo::switch(conversation);
        let mut recorded = echo_of(conversation.rest());
        recorded.connection = conversation.number;
        conversation.record(recorded);
        // Neither a byte nor an end.
        let _ = open.lock().unwrap().recv();
    });
    let gateway = Gateway::serving(&bounded(&backend, "tunnel_idle = \"300ms\""));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    client.send(b"12345").finish_sending();
    assert_eq!(backend.received().body, b"12345");
    assert_eq!(gateway.access(|line| line["status"] == 101)["reason"], "stream_timeout");
    drop(keep);
}

#[test]
fn the_deadline_of_the_whole_exchange_is_a_tunnels_lifetime() {
    let backend = echo::over_http1();
    let gateway = Gateway::serving(&bounded(&backend, "total = \"300ms\""));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    while client.send(b"x").exactly(1).is_some() {}
    assert_eq!(gateway.access(|line| line["status"] == 101)["reason"], "total_timeout");
}

#[test]
fn tunnels_outlive_reloads_of_config_and_certificate() {
    let backend = echo::over_http1();
    let config = format!("{HTTPS}{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&config);
    let mut one = gateway.client("https");
    assert_eq!(one.ask(HANDSHAKE).status, 101);
    let mut other = Http2::connect(&gateway);
    let mut two = other.tunnel("/");
    gateway.save(&format!("{config}[[route]]\npath = \"/new\"\nrespond = {{ status = 204 }}\n"));
    let count = gateway.generations();
    gateway.home().install("localhost", &["localhost"]);
    gateway.event(CERTIFICATE_REPLACED);
    gateway.event_where(SERVING, |event| event["generation"].as_u64() > Some(count));
    // Not even the end of its own route and pool ends it.
    gateway.save(&format!("{HTTPS}{HTTP}[[route]]\nrespond = {{ status = 204 }}\n"));
    assert_eq!(gateway.client("http").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 204);
    assert_eq!(one.send(b"still").exactly(5).unwrap(), b"still");
    two.send(b"here");
    assert_eq!(two.exactly(4).unwrap(), b"here");
}

#[test]
fn a_drain_waits_for_tunnels_and_cuts_them_at_tunnel_drain() {
    let backend = echo::over_http1();
    let config = format!("{HTTPS}{HTTP}{}", route_to(&[&backend]));
    let mut gateway = Gateway::serving(&format!("[server]\ndrain = \"0s\"\ntunnel_drain = \"1h\"\n{config}"));
    let mut client = gateway.client("https");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    gateway.signal(Signal::TERM);
    gateway.event(DRAINING);
    gateway.wait_until_refusing("http");
    assert_eq!(client.send(b"still").exactly(5).unwrap(), b"still");
    client.finish_sending();
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());

    let mut gateway = Gateway::serving(&format!("[server]\ntunnel_drain = \"200ms\"\n{config}"));
    let mut client = gateway.client("http");
    assert_eq!(client.ask(HANDSHAKE).status, 101);
    let mut other = Http2::connect(&gateway);
    let mut tunnel = other.tunnel("/");
    // Within a frame that the backend echoes, so that nothing can be said to the client without breaking it.
    tunnel.send(&[0x82, 5, b'x']);
    assert_eq!(tunnel.exactly(3).unwrap(), [0x82, 5, b'x']);
    gateway.signal(Signal::TERM);
    // The gateway's word to the client, then what the backend echoes of its word to the backend is no longer passed on.
    assert_eq!(client.read_to_end(), [0x88, 2, 0x03, 0xe9], "a close frame, 1001: going away");
    assert_eq!(tunnel.exactly(1).unwrap(), b"", "an end in good order");
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());
}

#[test]
fn a_listener_that_is_gone_cuts_its_tunnels_at_tunnel_drain() {
    let backend = echo::over_http1();
    let server = "[server]\ntunnel_drain = \"200ms\"\n";
    let gateway = Gateway::serving(&format!("{server}{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let mut gone = gateway.client("http");
    let mut kept = gateway.client("https");
    assert_eq!([gone.ask(HANDSHAKE).status, kept.ask(HANDSHAKE).status], [101, 101]);
    gateway.save(&format!("{server}{HTTPS}{}", route_to(&[&backend])));
    assert_eq!(gone.read_to_end(), [0x88, 2, 0x03, 0xe9]);
    assert_eq!(kept.send(b"still").exactly(5).unwrap(), b"still");
}
