//! How long a call of gRPC may take: what its caller says, and otherwise as long as a tunnel.

use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use h2::Reason;
use tokio::sync::Semaphore;

use crate::support::PATIENCE;
use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{SETTINGS, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::{Exchange, Http2};
use crate::support::peer::Peer;
use crate::support::script::Script;
use crate::support::streams::{Streams, gone, trail};

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];
const OK: [(&str, &str); 1] = [("grpc-status", "0")];

fn in_front_of(backend: &dyn std::fmt::Display, route: &str) -> Gateway {
    Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[backend], route, "")))
}

fn call(client: &mut Http2, fields: &[(&str, &str)]) -> Exchange {
    client.post("/echo.Echo/Call", &[&CALL, fields].concat())
}

/// A backend that answers nothing, and says what comes of its calls.
fn silent() -> (Streams, mpsc::Receiver<Option<Reason>>) {
    let (sender, events) = mpsc::channel();
    let backend = Streams::playing(move |mut asked| {
        let sender = sender.clone();
        async move { sender.send(asked.gone().await).unwrap() }
    });
    (backend, events)
}

#[test]
fn a_call_may_be_silent_for_longer_than_an_answer() {
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    let backend = Streams::playing(move |mut asked| {
        let held = Arc::clone(&held);
        async move {
            if asked.field("content-type").is_none() {
                asked.gone().await;
                return;
            }
            if asked.field("x-begun").is_some() {
                let mut sending = asked.begin(200, &CALL[..1]);
                held.acquire().await.unwrap().forget();
                sending.send_data(Bytes::from("late"), false).unwrap();
                return trail(sending, &OK);
            }
            held.acquire().await.unwrap().forget();
            asked.answer(200, &CALL[..1], "late");
        }
    });
    let gateway = in_front_of(&backend, "timeouts = { response = \"300ms\", idle = \"300ms\" }");
    let mut client = Http2::connect(&gateway);
    let (unbegun, mut begun) = (call(&mut client, &[]), call(&mut client, &[("x-begun", "1")]));
    assert_eq!(begun.head().unwrap().status, 200);

    // By the time that requests which came later have run into the deadline, the calls would have.
    for _ in 0..2 {
        assert_eq!(client.get("/plain").unwrap().status, 504);
    }
    release.add_permits(2);

    for mut exchange in [unbegun, begun] {
        exchange.finish();
        assert_eq!(exchange.rest().unwrap().text(), "late");
    }
}

#[test]
fn the_callers_deadline_is_kept_and_the_backend_learns_of_it() {
    let (backend, events) = silent();
    let gateway = in_front_of(&backend, "");
    let mut client = Http2::connect(&gateway);

    let answer = call(&mut client, &[("grpc-timeout", "1S")]).rest().unwrap();

    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("4")), "{answer:?}");
    assert_eq!(answer.refusal(), Some("http_response_timeout"));
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)));
    gateway.access(|line| line["reason"] == "total_timeout" && line["status"] == 200);
}

#[test]
fn a_deadline_within_messages_ends_both_sides() {
    let (sender, events) = mpsc::channel();
    let backend = Streams::playing(move |mut asked| {
        let sender = sender.clone();
        async move {
            let mut sending = asked.begin(200, &CALL[..1]);
            sending.send_data(Bytes::from("one"), false).unwrap();
            sender.send(gone(&mut sending).await).unwrap();
        }
    });
    let gateway = in_front_of(&backend, "");
    let mut exchange = call(&mut Http2::connect(&gateway), &[("grpc-timeout", "2S")]);

    assert_eq!(exchange.piece().unwrap().unwrap(), "one");
    let trailers = exchange.rest().unwrap().trailers;
    assert!(trailers.contains(&("grpc-status".to_owned(), "4".to_owned())), "{trailers:?}");

    assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)));
}

#[test]
fn a_short_deadline_is_its_own_calls_only() {
    let (settle, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::silent(conversation);
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send(frame(SETTINGS, 0, 0, &[])).echo("well");
    });
    let gateway = in_front_of(&backend, "timeouts = { connect = \"20s\" }");
    let mut client = Http2::connect(&gateway);

    // Both wait for one connection, which the first of them began to open.
    let hasty = call(&mut client, &[("grpc-timeout", "100m")]);
    let mut patient = call(&mut client, &[]);
    patient.finish();
    assert_eq!(hasty.rest().unwrap().field("grpc-status"), Some("4"));
    settle.send(()).unwrap();

    assert_eq!(patient.rest().unwrap().text(), "well");
}

#[test]
fn a_call_that_is_silent_for_tunnel_idle_is_ended() {
    let (backend, events) = silent();
    let gateway = in_front_of(&backend, "timeouts = { tunnel_idle = \"600ms\" }");
    let mut exchange = call(&mut Http2::connect(&gateway), &[]);
    exchange.finish();

    let answer = exchange.rest().unwrap();

    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("4")), "{answer:?}");
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)));
}
