//! Backends that fail are left alone, and are asked again by and by.

use std::fmt::Display;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::events::BREAKER_OPENED;
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::script::Script;
use crate::support::switched::Switched;

/// The listeners `http` and `https`, and a pool `p` with this breaker, which sends nothing again.
pub(crate) fn config(breaker: &str, backends: &[&dyn Display]) -> String {
    let list: Vec<String> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let pool = format!("[pool.p]\nretry = false\nbreaker = {breaker}\nbackends = [{}]\n", list.join(", "));
    format!("{HTTPS}{HTTP}[[route]]\nname = \"all\"\npool = \"p\"\n{pool}")
}

/// The state of a backend's breaker: 0 closed, 1 half-open, 2 open.
pub(crate) fn state(gateway: &Gateway, backend: &dyn Display) -> u64 {
    gateway.metric(&format!("portcullis_breaker_state{{pool=\"p\",backend=\"{backend}\"}}"))
}

fn transitions(gateway: &Gateway, backend: &dyn Display, to: &str) -> u64 {
    let labels = format!("{{pool=\"p\",backend=\"{backend}\",to=\"{to}\"}}");
    gateway.metric(&format!("portcullis_breaker_transitions_total{labels}"))
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// The statuses of requests one after the other.
pub(crate) fn statuses<const N: usize>(client: &mut Client, paths: [&str; N]) -> [u16; N] {
    paths.map(|path| client.ask(get(path)).status)
}

/// Asks until a breaker has that state. The statuses on the way there.
fn ask_until(gateway: &Gateway, client: &mut Client, backend: &dyn Display, wanted: u64) -> Vec<u16> {
    let (end, mut seen) = (Instant::now() + PATIENCE, Vec::new());
    while state(gateway, backend) != wanted {
        assert!(Instant::now() < end, "{seen:?}\n{}", gateway.output());
        seen.push(client.ask(get("/")).status);
    }
    seen
}

#[test]
fn a_backend_that_fails_is_left_alone_and_taken_back_by_probes() {
    let (good, bad) = (Backend::named("good"), Switched::answering(500));
    let breaker = "{ errors = 3, open = \"200ms\", max_open = \"300ms\" }";
    let gateway = Gateway::serving(&config(breaker, &[&good, &bad]));
    let mut client = gateway.connect("http");
    assert_eq!((state(&gateway, &bad), transitions(&gateway, &bad, "open")), (0, 0));

    let seen = ask_until(&gateway, &mut client, &bad, 2);
    assert_eq!(seen.iter().filter(|status| **status == 500).count(), 3, "{seen:?}");
    let opened = gateway.event(BREAKER_OPENED);
    assert_eq!(
        (opened["backend"].as_str(), opened["why"].as_str()),
        (Some(bad.to_string().as_str()), Some("3 errors in a row"))
    );
    assert_eq!(opened["seconds"], 0.2, "{opened}");

    // Each probe fails, and each time it is open for twice as long, up to the most.
    let end = Instant::now() + PATIENCE;
    while gateway.events(BREAKER_OPENED).iter().filter(|event| event["seconds"] == 0.3).count() < 2 {
        assert!(Instant::now() < end, "{}", gateway.output());
        client.ask(get("/"));
    }
    bad.answer(200);
    let seen = ask_until(&gateway, &mut client, &bad, 0);
    assert!(seen.iter().all(|status| *status == 200), "{seen:?}");
    assert_eq!(gateway.event("breaker closed")["why"], "all probes were answered");
    let failed =
        gateway.metric(&format!("portcullis_backend_requests_total{{pool=\"p\",backend=\"{bad}\",outcome=\"error\"}}"));
    assert_eq!(failed, 3 + transitions(&gateway, &bad, "open") - 1, "three, and then one for each opening");
    assert_eq!(transitions(&gateway, &bad, "half_open"), transitions(&gateway, &bad, "open"));
    assert_eq!((transitions(&gateway, &bad, "closed"), transitions(&gateway, &good, "open")), (1, 0));
    let answers: Vec<String> = (0..2).map(|_| client.ask(get("/")).text()).collect();
    assert!(answers.contains(&"switched".to_owned()) && answers.contains(&"good".to_owned()), "{answers:?}");
}

#[test]
fn where_nobody_is_left_the_answer_says_when_to_come_back() {
    let gateway = Gateway::serving(&config("{ open = \"20s\" }", &[&Script::dead()]));
    let mut client = gateway.connect("http");
    assert_eq!(statuses(&mut client, ["/"; 5]), [502; 5], "none is refused before it is open");

    let answer = client.ask("POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");

    assert_eq!((answer.status, answer.refusal()), (503, Some("destination_unavailable")), "{answer:?}");
    assert!(answer.field("proxy-status").unwrap().ends_with("details=\"breaker_open\""), "{answer:?}");
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{answer:?}");
    let line = gateway.access(|line| line["path"] == "/refused");
    assert_eq!((line["reason"].as_str(), &line["backend"]), (Some("breaker_open"), &serde_json::Value::Null), "{line}");
    assert_eq!(gateway.metric("portcullis_refused_total{reason=\"breaker_open\",route=\"all\"}"), 1);

    let mut call = Http2::connect(&gateway).post("/a.B/C", &[("content-type", "application/grpc"), ("te", "trailers")]);
    call.finish();
    let refused = call.rest().unwrap();
    assert_eq!((refused.field("grpc-status"), refused.field("grpc-message")), (Some("14"), Some("breaker_open")));
    assert!(refused.field("retry-after").is_some(), "{refused:?}");
}

#[test]
fn who_was_there_when_it_opened_is_told_how_the_backend_failed() {
    let config = config("{ errors = 3 }", &[&Script::dead()]).replace("retry = false", "retry = 1");
    let gateway = Gateway::serving(&config);
    let mut client = gateway.connect("http");
    // Of the second request there is one attempt, and nobody for another.
    assert_eq!(statuses(&mut client, ["/", "/second", "/third"]), [502, 502, 503]);
    assert_eq!(gateway.access(|line| line["path"] == "/second")["reason"], "connect_failed");
    assert_eq!(gateway.access(|line| line["path"] == "/third")["reason"], "breaker_open");
}

#[test]
fn a_part_of_the_requests_that_fails_opens_it() {
    let backend = Switched::answering(200);
    let breaker = "{ errors = 0, error_rate = 0.4, min_requests = 5, window = \"10m\" }";
    let gateway = Gateway::serving(&config(breaker, &[&backend]));
    let mut client = gateway.connect("http");

    assert_eq!(statuses(&mut client, ["/", "/", "/500", "/"]), [200, 200, 500, 200]);
    assert_eq!(statuses(&mut client, ["/502", "/"]), [502, 503]);

    assert_eq!(gateway.event(BREAKER_OPENED)["why"], "2 of 5 requests failed within 600s");
}

#[test]
fn slow_answers_open_it_and_calls_that_may_wait_do_not() {
    let slow = Script::playing(|conversation| {
        // Nobody sends: it takes as long as it says.
        let (_sender, never) = mpsc::channel::<()>();
        while conversation.request().is_some() {
            let _ = never.recv_timeout(Duration::from_millis(300));
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        }
    });
    let breaker = "{ errors = 0, error_rate = 0.0, min_requests = 3, slow = \"100ms\", slow_rate = 0.6 }";
    let gateway = Gateway::serving(&config(breaker, &[&slow]));
    let mut calls = Http2::connect(&gateway);
    for _ in 0..4 {
        let mut call = calls.post("/a.B/C", &[("content-type", "application/grpc"), ("te", "trailers")]);
        call.finish();
        assert_eq!(call.rest().unwrap().status, 200);
    }
    assert_eq!(state(&gateway, &slow), 0);

    let mut client = gateway.connect("http");
    // Of the sixth of ten all are slow, but for the four that may be.
    assert_eq!(statuses(&mut client, ["/"; 7]), [200, 200, 200, 200, 200, 200, 503]);

    let opened = gateway.event(BREAKER_OPENED);
    assert_eq!(opened["why"], "6 of 10 requests took 100ms or more within 10s", "{opened}");
}

#[test]
fn observed_only_nobody_is_kept_away_and_all_is_told() {
    let bad = Switched::answering(500);
    let gateway = Gateway::serving(&config("{ errors = 2, mode = \"observe\" }", &[&bad]));
    let mut client = gateway.connect("http");

    assert_eq!(statuses(&mut client, ["/"; 10]), [500; 10]);

    assert_eq!((bad.count(), state(&gateway, &bad)), (10, 2));
    assert_eq!(gateway.event(BREAKER_OPENED)["observed"], true);
    assert_eq!(gateway.metric("portcullis_refused_total{reason=\"breaker_open\",route=\"all\"}"), 0);
}

#[test]
fn without_a_breaker_everybody_is_asked_whatever_happens() {
    let bad = Switched::answering(500);
    let gateway = Gateway::serving(&config("false", &[&bad]));

    assert_eq!(statuses(&mut gateway.connect("http"), ["/"; 50]), [500; 50]);

    assert_eq!(bad.count(), 50);
    assert!(!gateway.ask_admin("/metrics").text().contains("portcullis_breaker_state{"));
}

#[test]
fn a_client_that_leaves_says_nothing_of_the_backend() {
    let backend = Switched::answering(200);
    backend.fall_silent();
    let gateway = Gateway::serving(&config("{ errors = 2 }", &[&backend]));
    let active = format!("portcullis_backend_active_requests{{pool=\"p\",backend=\"{backend}\"}}");

    for _ in 0..5 {
        let mut client = gateway.connect("http");
        client.send(get("/"));
        backend.wait_for_request();
        client.reset();
        gateway.wait_for_metric(&active, 0);
    }

    assert_eq!(state(&gateway, &backend), 0);
    backend.answer(200);
    assert_eq!(statuses(&mut gateway.connect("http"), ["/"]), [200]);
}

#[test]
fn a_probe_whose_client_leaves_makes_room_for_another() {
    let backend = Switched::answering(500);
    let gateway = Gateway::serving(&config("{ errors = 1, open = \"1s\" }", &[&backend]));
    let active = format!("portcullis_backend_active_requests{{pool=\"p\",backend=\"{backend}\"}}");
    let mut client = gateway.connect("http");
    assert_eq!(statuses(&mut client, ["/", "/"]), [500, 503]);
    backend.wait_for_request();
    backend.fall_silent();

    // A black hole: who waits for it is the only one who asks.
    let (mut waiting, end) = (gateway.connect("http"), Instant::now() + PATIENCE);
    waiting.send(get("/hole"));
    while gateway.metric(&active) == 0 {
        assert!(Instant::now() < end, "{}", gateway.output());
        waiting = gateway.connect("http");
        waiting.send(get("/hole"));
    }
    backend.wait_for_request();
    assert_eq!((state(&gateway, &backend), client.ask(get("/")).status), (1, 503));
    waiting.reset();
    gateway.wait_for_metric(&active, 0);

    backend.answer(200);
    assert_eq!(statuses(&mut client, ["/"; 4]), [200; 4]);
    assert_eq!(state(&gateway, &backend), 0);
}

#[test]
fn half_of_a_pool_is_left_alone_at_most() {
    let [one, two, three] = [500, 500, 500].map(Switched::answering);
    let gateway = Gateway::serving(&config("{ errors = 2 }", &[&one, &two, &three]));
    let mut client = gateway.connect("http");

    assert_eq!(statuses(&mut client, ["/"; 30]), [500; 30], "nobody is refused");

    let states = [&one, &two, &three].map(|backend| state(&gateway, backend));
    assert_eq!(states.iter().sum::<u64>(), 2, "{states:?}");
    gateway.event("breaker stays closed, as many as may are open already");
}
