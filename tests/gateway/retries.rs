//! What is sent again: after what, where to, how often, and how many at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::HTTP;
use crate::support::gateway::Gateway;
use crate::support::script::Script;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\npaid";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// A pool of these backends with these keys. No breaker keeps requests from those that fail.
fn config(keys: &str, backends: &[&dyn std::fmt::Display]) -> String {
    let list: Vec<String> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    format!(
        "{HTTP}[[route]]\nname = \"r\"\npool = \"p\"\n[pool.p]\nbreaker = false\n{keys}\nbackends = [{}]\n",
        list.join(", ")
    )
}

/// Asks so many times on one connection.
fn ask(gateway: &Gateway, request: &str, times: usize) -> Vec<Answer> {
    let mut client = gateway.connect("http");
    (0..times).map(|_| client.ask(request)).collect()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

/// A backend that gives these answers in turn, the last one again and again, and how often it was asked.
fn in_turn(answers: &'static [&'static str]) -> (Script, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let backend = Script::playing(move |conversation| {
        while conversation.request().is_some() {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            conversation.send(answers[number.min(answers.len() - 1)]);
        }
    });
    (backend, asked)
}

#[test]
fn a_reader_gets_the_answer_of_another_backend_where_one_is_busy() {
    let (busy, good) = (Script::answering(BUSY), Backend::named("good"));
    let gateway = Gateway::serving(&config("", &[&busy, &good]));

    assert_eq!(statuses(&ask(&gateway, GET, 4)), [200; 4]);
    let line = gateway.access(|line| line["retries"] == 1);
    assert_eq!((&line["retry_reason"], &line["status"]), (&"backend_status".into(), &200.into()), "{line}");
    assert_eq!(gateway.metric("portcullis_retries_total{pool=\"p\",outcome=\"answered\"}"), 2);
    let posts = ask(&gateway, POST, 4);
    assert_eq!(statuses(&posts), [200, 200, 503, 503], "what may have been acted on is not repeated");
    assert!(posts.iter().any(|answer| answer.text() == "busy"), "the backend's own answer");
}

#[test]
fn what_the_list_says_is_repeated_and_nothing_else() {
    let (teapot, good) = (Script::answering("HTTP/1.1 418 I\r\nContent-Length: 0\r\n\r\n"), Backend::named("good"));
    let gateway = Gateway::serving(&config("retry = { on = [\"418\"] }", &[&teapot, &good]));
    assert_eq!(statuses(&ask(&gateway, GET, 4)), [200; 4]);

    let busy = Script::answering(BUSY);
    gateway.save(&config("retry = { on = [\"418\"] }", &[&busy, &good]));
    assert_eq!(statuses(&ask(&gateway, GET, 4)), [200, 200, 503, 503]);

    let dead = Script::dead();
    gateway.save(&config("retry = { on = [\"418\"] }", &[&dead, &good]));
    assert_eq!(statuses(&ask(&gateway, GET, 4)), [200, 200, 502, 502]);
    gateway.save(&config("retry = { on = \"connect\" }", &[&dead, &good]));
    assert_eq!(statuses(&ask(&gateway, POST, 4)), [200; 4], "nobody has seen what did not get there");
}

#[test]
fn the_only_backend_is_asked_again_when_it_wants_to_be_and_not_where_that_is_long() {
    const SOON: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nsoon";
    const LATE: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nContent-Length: 4\r\n\r\nlate";
    let (backend, asked) = in_turn(&[SOON, GOOD, LATE]);
    let gateway = Gateway::serving(&config("", &[&backend]));

    assert_eq!(ask(&gateway, GET, 1)[0].text(), "good");
    let line = gateway.access(|line| line["retries"] == 1);
    assert!(line["duration_ms"].as_f64().unwrap() >= 1_000.0, "{line}");
    assert_eq!(ask(&gateway, GET, 1)[0].text(), "late");
    assert_eq!(asked.load(Ordering::SeqCst), 3, "nobody waits for a minute, and nobody asks before");

    // Another backend has not asked for anything.
    let (late, good) = (Script::answering(LATE), Backend::named("good"));
    gateway.save(&config("", &[&late, &good]));
    assert_eq!(statuses(&ask(&gateway, GET, 4)), [200; 4]);
}

#[test]
fn retries_are_a_part_of_what_is_in_flight_and_the_rest_gets_what_there_is() {
    const CLIENTS: usize = 12;
    let busy = Script::answering(BUSY);
    let (go, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let slow = Script::playing(move |conversation| {
        while conversation.request().is_some() {
            // Dropped when the test is over.
            let _ = told.lock().unwrap().recv();
            conversation.send(GOOD);
        }
    });
    let gateway = Gateway::serving(&config("", &[&busy, &slow]));

    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| gateway.connect("http")).collect();
    clients.iter_mut().for_each(|client| _ = client.send(GET));
    // Of twelve in flight, a fifth is less than the three that always may.
    gateway.wait_for_metric("portcullis_retries_total{pool=\"p\",outcome=\"over_budget\"}", 3);
    let (slow_ones, retried) = (CLIENTS / 2, 3);
    (0..slow_ones + retried).for_each(|_| go.send(()).unwrap());
    let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
    assert_eq!(statuses(&answers), [[200; 9].as_slice(), &[503; 3]].concat());
    let status: serde_json::Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert_eq!(status["pools"][0]["retries"], serde_json::json!({ "answered": 3, "failed": 0, "over_budget": 3 }));

    // Half of what is in flight is enough for all.
    gateway.save(&config("retry = { budget = 0.5, max_backoff = \"10s\" }", &[&busy, &slow]));
    slow.left();
    clients.iter_mut().for_each(|client| _ = client.send(GET));
    (0..CLIENTS).for_each(|_| _ = slow.received());
    (0..CLIENTS).for_each(|_| go.send(()).unwrap());
    let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
    assert_eq!(statuses(&answers), [200; CLIENTS]);
}

#[test]
fn pauses_are_as_long_as_backoff_and_max_backoff_say() {
    let dead = Script::dead();
    let config = |keys: &str| {
        config(&format!("retry = {{ {keys} }}"), &[&dead])
            .replace("[pool.p]", "timeouts = { total = \"3s\" }\n[pool.p]")
    };
    let outcomes = |gateway: &Gateway| {
        let mut clients: Vec<Client> = (0..12).map(|_| gateway.connect("http")).collect();
        clients.iter_mut().for_each(|client| _ = client.send(GET));
        statuses(&clients.iter_mut().map(Client::answer).collect::<Vec<_>>())
    };
    // Any pause up to ten seconds: that all twelve are below three has a chance of less than one in a million.
    let gateway = Gateway::serving(&config("backoff = \"10s\", max_backoff = \"10s\""));
    assert!(outcomes(&gateway).contains(&504));
    gateway.save(&config("backoff = \"10s\""));
    assert_eq!(outcomes(&gateway), [502; 12], "up to a quarter of a second, and as long for the budget");
    gateway.save(&config("max_backoff = \"100ms\""));
    assert_eq!(outcomes(&gateway), [502; 12]);
}
