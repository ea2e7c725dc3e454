//! How many requests a backend has at once, and who waits for their turn.

use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::configs::HTTP;
use crate::support::echo;
use crate::support::events::BACKEND_DOWN;
use crate::support::gateway::Gateway;
use crate::support::script::Script;
use crate::websocket::HANDSHAKE;

const LENGTH: &str = "portcullis_queue_length{pool=\"p\"} ";

/// A pool with these keys.
fn config(keys: &str, backends: &[&Script]) -> String {
    let list: Vec<String> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    format!("{HTTP}[[route]]\nname = \"r\"\npool = \"p\"\n[pool.p]\n{keys}\nbackends = [{}]\n", list.join(", "))
}

/// A backend that answers a request, with its target, for each word of the test.
fn held() -> (Script, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let backend = Script::playing(move |conversation| {
        while let Some(request) = conversation.request() {
            let _ = told.lock().unwrap().recv();
            let target = request.line.split(' ').nth(1).unwrap().to_owned();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()));
        }
    });
    (backend, go)
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A client that has sent its request and waits.
fn waiting(gateway: &Gateway, target: &str) -> Client {
    let mut client = gateway.connect("http");
    client.send(get(target));
    client
}

fn refused(gateway: &Gateway, answer: &Answer, reason: &str) {
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{answer:?}");
    let why = format!("portcullis; error=destination_unavailable; details=\"{reason}\"");
    assert_eq!(answer.field("proxy-status"), Some(why.as_str()));
    assert_eq!(gateway.access(|line| line["reason"] == reason)["status"], 503);
    assert!(gateway.metric(&format!("portcullis_refused_total{{reason=\"{reason}\",route=\"r\"}}")) > 0);
}

#[test]
fn beyond_max_requests_they_wait_for_their_turn_and_beyond_the_queue_they_are_refused() {
    let (backend, go) = held();
    let gateway = Gateway::serving(&config("max_requests = 1\nqueue = 2\nqueue_timeout = \"60s\"", &[&backend]));

    let mut first = waiting(&gateway, "/first");
    assert_eq!(backend.received().line, "GET /first HTTP/1.1");
    let mut second = waiting(&gateway, "/second");
    gateway.wait_for_metric(LENGTH, 1);
    let mut third = waiting(&gateway, "/third");
    gateway.wait_for_metric(LENGTH, 2);
    let status: serde_json::Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert_eq!(status["pools"][0]["waiting"], 2);
    refused(&gateway, &gateway.connect("http").ask(get("/fourth")), "queue_full");

    // Each answer makes room for the one who has waited longest.
    for (client, target, next) in [
        (&mut first, "/first", Some("/second")),
        (&mut second, "/second", Some("/third")),
        (&mut third, "/third", None),
    ] {
        go.send(()).unwrap();
        assert_eq!(client.answer().text(), target);
        if let Some(next) = next {
            assert_eq!(backend.received().line, format!("GET {next} HTTP/1.1"));
        }
    }
    gateway.wait_for_metric(LENGTH, 0);
    go.send(()).unwrap();
    assert_eq!(gateway.connect("http").ask(get("/fifth")).text(), "/fifth");
}

#[test]
fn nobody_waits_for_longer_than_queue_timeout() {
    let (backend, go) = held();
    let gateway = Gateway::serving(&config("max_requests = 1\nqueue_timeout = \"2s\"", &[&backend]));
    let mut first = waiting(&gateway, "/first");
    backend.received();
    refused(&gateway, &gateway.connect("http").ask(get("/second")), "queue_timeout");
    // Left to itself, it is one second.
    let line = gateway.access(|line| line["reason"] == "queue_timeout");
    assert!(line["duration_ms"].as_f64().unwrap() >= 2_000.0, "{line}");
    go.send(()).unwrap();
    assert_eq!(first.answer().text(), "/first");
    assert_eq!(gateway.metric(LENGTH), 0);
}

#[test]
fn who_leaves_the_queue_takes_nobodys_turn() {
    let (backend, go) = held();
    let gateway = Gateway::serving(&config("max_requests = 1\nqueue_timeout = \"60s\"", &[&backend]));
    let mut first = waiting(&gateway, "/first");
    backend.received();
    let second = waiting(&gateway, "/second");
    gateway.wait_for_metric(LENGTH, 1);
    let mut third = waiting(&gateway, "/third");
    gateway.wait_for_metric(LENGTH, 2);
    second.reset();
    gateway.wait_for_metric(LENGTH, 1);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(first.answer().text(), "/first");
    assert_eq!(third.answer().text(), "/third");
}

#[test]
fn each_backend_has_as_many_as_it_may_and_the_others_get_what_it_cannot_take() {
    let ((one, go_one), (two, go_two)) = (held(), held());
    let keys = "max_requests = 2\nqueue = 0";
    for balance in ["round_robin", "random", "least_connections", "ip_hash", "hash", "p2c", "ewma", "adaptive"] {
        let gateway = Gateway::serving(&config(&format!("balance = \"{balance}\"\n{keys}"), &[&one, &two]));
        let mut clients: Vec<Client> = (0..4).map(|_| waiting(&gateway, "/")).collect();
        for backend in [&one, &two] {
            backend.received();
            backend.received();
        }
        assert_eq!(gateway.connect("http").ask(get("/")).status, 503, "{balance}");
        for go in [&go_one, &go_two] {
            go.send(()).unwrap();
            go.send(()).unwrap();
        }
        assert!(clients.iter_mut().all(|client| client.answer().status == 200), "{balance}");
    }
}

#[test]
fn a_tunnel_is_in_flight_for_as_long_as_it_lasts() {
    let backend = echo::over_http1();
    let gateway = Gateway::serving(&config("max_requests = 1\nqueue_timeout = \"60s\"", &[&backend]));
    let mut tunnel = gateway.connect("http");
    assert_eq!(tunnel.ask(HANDSHAKE).status, 101);
    let mut next = gateway.connect("http");
    next.send(HANDSHAKE);
    gateway.wait_for_metric(LENGTH, 1);
    assert_eq!(tunnel.send(b"x").exactly(1).unwrap(), b"x");
    tunnel.reset();
    assert_eq!(next.answer().status, 101);
}

/// A backend whose health the test says, and that answers other requests for a word of the test.
fn probed(status: &Arc<AtomicU16>) -> (Script, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel();
    let (told, status) = (Mutex::new(told), Arc::clone(status));
    let backend = Script::playing(move |conversation| {
        while let Some(request) = conversation.head() {
            if request.line.contains("/health") {
                let status = status.load(SeqCst);
                conversation.send(format!("HTTP/1.1 {status} Probed\r\nContent-Length: 0\r\n\r\n"));
                continue;
            }
            conversation.record(request);
            let _ = told.lock().unwrap().recv();
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (backend, go)
}

#[test]
fn they_wait_for_those_that_are_well_and_all_go_on_when_another_is() {
    let (well, ill) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(503)));
    let ((one, go_one), (two, go_two)) = (probed(&well), probed(&ill));
    let health = "health = { path = \"/health\", interval = \"100ms\", timeout = \"100ms\", fall = 1, rise = 1 }";
    let keys = format!("max_requests = 3\nqueue_timeout = \"60s\"\npanic = 0\nbreaker = false\n{health}");
    let gateway = Gateway::serving(&config(&keys, &[&one, &two]));
    gateway.event(BACKEND_DOWN);

    let mut clients: Vec<Client> = (0..6).map(|_| waiting(&gateway, "/")).collect();
    gateway.wait_for_metric(LENGTH, 3);
    (0..3).for_each(|_| _ = one.received());
    assert_eq!(two.left(), 0, "nobody is sent to what is down while others only have no room");

    ill.store(200, SeqCst);
    for _ in 0..3 {
        two.received();
    }
    for go in [&go_one, &go_two] {
        (0..3).for_each(|_| go.send(()).unwrap());
    }
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
}
