//! How streams and connections of HTTP/2 end: cancelled, too slow, idle, drained.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::configs::{HTTPS, route_to};
use crate::support::events::DRAINING;
use crate::support::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, Frames, GOAWAY, HEADERS, NO_ERROR, PING, PRIORITY,
    RST_STREAM, SETTINGS_TIMEOUT, WINDOW_UPDATE, frame, get,
};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

/// The HTTPS listener with deadlines that a test can wait for.
fn hasty() -> String {
    let tables = "[listener.timeouts]\nheaders = \"300ms\"\nwrite_idle = \"300ms\"\nkeep_alive = \"300ms\"\n";
    HTTPS.replace("\n[[certificate]]", &format!("\n{tables}\n[[certificate]]"))
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
    client.send(frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes()));

    client.head(1, END_STREAM, &get());

    gateway.access(|line| line["reason"] == "client_gone");
    client.expect_closed();
}

#[test]
fn a_flood_that_reads_nothing_and_stops_within_a_frame_is_cut_off() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let backend = Script::playing(move |conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        conversation.flood(&[b'x'; 10_000], 100_000, |pieces| count.store(pieces, Ordering::SeqCst));
    });
    let slow = hasty().replace("write_idle = \"300ms\"", "write_idle = \"60s\"");
    let gateway = Gateway::serving(&format!("{slow}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[(4, 0x7fff_ffff)]);
    client.send(frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes()));
    client.head(1, END_STREAM, &get());
    let mut before = None;
    while before != Some(sent.load(Ordering::SeqCst)) || before == Some(0) {
        before = Some(sent.load(Ordering::SeqCst));
        // Another one's unused connection ends: a while has passed.
        Frames::settled(&gateway, &[]).expect_closed();
    }

    // Each piece ends within a frame, wherever the gateway has enough of it.
    let flood = frame(PRIORITY, 0, 3, &[0; 5]).repeat(2_000);
    let (first, rest) = flood.split_at(5);
    client.send(first);
    rest.chunks(14 * 50).for_each(|piece| _ = client.send(piece));

    gateway.access(|line| line["reason"] == "http2_flood");
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
fn streams_that_are_not_served_any_more_are_counted() {
    let (backend, events) = silent();
    let mut gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);
    client.head(1, END_STREAM, &get());
    assert_eq!(events.recv_timeout(PATIENCE), Ok("asked"));

    gateway.signal(rustix::process::Signal::TERM);
    let last = |goaway: Frame| u32::from_be_bytes(goaway.payload[..4].try_into().unwrap());
    assert_eq!(last(client.expect(GOAWAY)), 0x7fff_ffff);
    let ping = client.expect(PING);
    client.send(frame(PING, 1, 0, &ping.payload));
    assert_eq!(last(client.expect(GOAWAY)), 1);
    for number in 1..5_000 {
        client.head(number * 2 + 1, END_STREAM, &get());
    }

    assert_eq!(client.expect(GOAWAY).code(), ENHANCE_YOUR_CALM);
    gateway.access(|line| line["reason"] == "http2_flood");
}
