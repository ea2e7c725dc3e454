//! Which backend gets a request: every algorithm, and every key that has a say in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::HTTP;
use crate::support::gateway::{Gateway, Home};
use crate::support::script::Script;
use crate::support::served::Served;
use crate::support::stoppable::Stoppable;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The listener `http` and a pool `p` with these keys and backends, each as it stands in the list.
fn config(keys: &str, backends: &[String]) -> String {
    let list = backends.join(", ");
    format!("{HTTP}[[route]]\nname = \"all\"\npool = \"p\"\n[pool.p]\n{keys}\nbackends = [{list}]\n")
}

fn plain(backends: &[Backend]) -> Vec<String> {
    backends.iter().map(|backend| format!("\"{backend}\"")).collect()
}

fn three() -> [Backend; 3] {
    ["a", "b", "c"].map(Backend::named)
}

/// The pool as the status has it.
fn shown(gateway: &Gateway) -> Value {
    let status: Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    status["pools"][0].clone()
}

/// How often each answer came in so many requests on one connection.
fn answers(client: &mut Client, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    (0..requests).for_each(|_| *counts.entry(client.ask(GET).text()).or_default() += 1);
    counts
}

#[test]
fn every_algorithm_serves_under_all_of_its_names_and_the_environments() {
    let backends = three();
    let named = |keys: &str| config(keys, &plain(&backends));
    let gateway = Gateway::in_home_as(Home::new(&named("")), |command| {
        command.env("PORTCULLIS_STRATEGY", "least_conn");
    });
    let mut client = gateway.connect("http");
    assert_eq!(shown(&gateway)["balance"], "least_connections");
    // No two neighbours are the same, so that each is a change.
    for (word, name) in [
        ("p2c", "p2c"),
        ("weighted", "round_robin"),
        ("random", "random"),
        ("iphash", "ip_hash"),
        ("leastconnections", "least_connections"),
        ("weighted_round_robin", "round_robin"),
        ("hash", "hash"),
        ("least_connections", "least_connections"),
        ("ewma", "ewma"),
        ("ip_hash", "ip_hash"),
        ("adaptive", "adaptive"),
        ("round_robin", "round_robin"),
    ] {
        gateway.save(&named(&format!("balance = \"{word}\"")));
        assert_eq!(shown(&gateway)["balance"], name, "{word}");
        let counts = answers(&mut client, 30);
        assert!(counts.keys().all(|name| ["a", "b", "c"].contains(&name.as_str())), "{word} {counts:?}");
        let by_client = ["hash", "ip_hash"].contains(&name);
        assert_eq!(counts.len() == 1, by_client, "{word} {counts:?}");
    }
}

#[test]
fn ip_hash_keeps_a_client_on_its_backend_across_reloads() {
    let backends = three();
    let gateway = Gateway::serving(&config("balance = \"ip_hash\"", &plain(&backends)));
    let address = gateway.address("http");
    let all = || -> Vec<String> {
        (1..=60).map(|number| Client::tcp_from([127, 0, 0, number].into(), address).ask(GET).text()).collect()
    };
    let before = all();
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 3, "{before:?}");
    gateway.save(&config("balance = \"ip_hash\"\npool_idle = \"5s\"", &plain(&backends)));
    assert_eq!(all(), before);
    gateway.save(&config("balance = \"ip_hash\"", &plain(&backends[..2])));
    for (before, after) in before.iter().zip(all()) {
        assert!(*before == after || before == "c", "{before} became {after}, though only c went");
    }
}

#[test]
fn each_value_of_hash_by_has_its_backend() {
    let backends = three();
    for (hash_by, request, without) in [
        ("header:X-User", "GET /NUMBER HTTP/1.1\r\nHost: a\r\nx-user: KEY\r\n\r\n", Some("X-Users: 1")),
        ("cookie:id", "GET / HTTP/1.1\r\nHost: a\r\nCookie: n=NUMBER; id=KEY\r\n\r\n", Some("Cookie: ID=1")),
        ("path", "GET /KEY?NUMBER HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("header:Host", "GET /NUMBER HTTP/1.1\r\nHost: KEY\r\n\r\n", None),
    ] {
        let keys = format!("balance = \"hash\"\nhash_by = \"{hash_by}\"");
        let gateway = Gateway::serving(&config(&keys, &plain(&backends)));
        let mut client = gateway.connect("http");
        let mut ask = |key: usize, number: usize| {
            let request = request.replace("KEY", &format!("k{key}")).replace("NUMBER", &number.to_string());
            client.ask(request).text()
        };

        let first: Vec<_> = (0..60).map(|key| ask(key, 1)).collect();
        let second: Vec<_> = (0..60).map(|key| ask(key, 2)).collect();

        assert_eq!(first, second, "{hash_by}");
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{hash_by} {first:?}");
        if let Some(field) = without {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            let names: BTreeSet<_> = (0..3).map(|_| client.ask(&request).text()).collect();
            assert_eq!(names.len(), 3, "{hash_by}: without a key by turns");
        }
    }
    let gateway = Gateway::serving(&config("balance = \"hash\"\nhash_by = \"ip\"", &plain(&backends)));
    let names: BTreeSet<_> = (0..20).map(|_| gateway.connect("http").ask(GET).text()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_cookie_decides_as_the_readme_says() {
    let served = Served::example("**Other ways to choose a backend.**");
    let mut client = served.connect("carts.example.com");
    let mut get = |cart: usize| {
        let request = format!("GET / HTTP/1.1\r\nHost: carts.example.com\r\nCookie: cart={cart}\r\n\r\n");
        client.ask(request).text()
    };

    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for cart in 0..300 {
        let backend = get(cart);
        assert_eq!(backend, get(cart), "{cart}");
        *shares.entry(backend).or_default() += 1;
    }

    assert!(shares["10.0.8.2:8080"] > shares["10.0.8.1:8080"] && shares.len() == 2, "{shares:?}");
}

/// Says who it is; for `/hold` it tells so instead, and never answers.
fn holding(name: &'static str, held: &mpsc::Sender<&'static str>) -> Script {
    let held = Mutex::new(held.clone());
    Script::playing(move |conversation| {
        while let Some(request) = conversation.request() {
            if request.line.contains("/hold") {
                held.lock().unwrap().send(name).unwrap();
                return conversation.hold();
            }
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
        }
    })
}

#[test]
fn a_busy_backend_is_avoided_until_its_client_has_gone() {
    for balance in ["least_connections", "p2c"] {
        let (sender, held) = mpsc::channel();
        let [a, b] = ["a", "b"].map(|name| holding(name, &sender));
        let urls = [&a, &b].map(|backend| format!("\"{backend}\""));
        let gateway = Gateway::serving(&config(&format!("balance = \"{balance}\""), &urls));
        let mut holding = gateway.connect("http");
        holding.send("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let busy = held.recv_timeout(PATIENCE).unwrap();
        let mut client = gateway.connect("http");

        let counts = answers(&mut client, 20);

        assert!(!counts.contains_key(busy), "{balance}: {busy} is busy, {counts:?}");
        holding.reset();
        let url = if busy == "a" { &a } else { &b };
        let active = format!("portcullis_backend_active_requests{{pool=\"p\",backend=\"{url}\"}}");
        gateway.wait_for_metric(&active, 0);
        let counts = answers(&mut client, 100);
        assert_eq!(counts.len(), 2, "{balance}: {counts:?}");
    }
}

#[test]
fn weight_0_gets_no_new_requests_and_keeps_what_it_has() {
    let (told, asked) = mpsc::channel();
    let (go_on, answer) = mpsc::channel::<()>();
    let (told, answer) = (Mutex::new(told), Arc::new(Mutex::new(answer)));
    let slow = Script::playing(move |conversation| {
        while let Some(request) = conversation.request() {
            if request.line.contains("/wait") {
                told.lock().unwrap().send(()).unwrap();
                answer.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        }
    });
    let quick = Backend::named("quick");
    let weighing = |slow_weight: u32, quick_weight: u32| {
        let list = [(slow.to_string(), slow_weight), (quick.to_string(), quick_weight)];
        let list = list.map(|(url, weight)| format!("{{ url = \"{url}\", weight = {weight} }}"));
        format!("[server]\nworkers = 1\n{}", config("balance = \"random\"", &list))
    };
    let gateway = Gateway::serving(&weighing(1, 0));
    let mut waiting = gateway.connect("http");
    waiting.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    asked.recv_timeout(PATIENCE).unwrap();

    gateway.save(&weighing(0, 1));

    let mut client = gateway.connect("http");
    assert_eq!(answers(&mut client, 20).into_iter().collect::<Vec<_>>(), [("quick".to_owned(), 20)]);
    go_on.send(()).unwrap();
    assert_eq!(waiting.answer().text(), "slow", "what it has is finished");
    gateway.save(&weighing(3, 1));
    let counts = answers(&mut client, 400);
    assert!(counts["slow"] > counts["quick"], "{counts:?}");
    assert_eq!([slow.received(), slow.received()].map(|received| received.connection), [0, 0], "its connection too");
}

#[test]
fn a_backup_is_asked_only_where_the_others_cannot_be() {
    let mut first = Stoppable::running();
    let backup = Backend::named("backup");
    let list = [format!("\"{first}\""), format!("{{ url = \"{backup}\", backup = true }}")];
    for balance in ["round_robin", "ewma", "ip_hash"] {
        let gateway = Gateway::serving(&config(&format!("balance = \"{balance}\""), &list));
        let mut client = gateway.connect("http");
        assert_eq!(answers(&mut client, 20).into_keys().collect::<Vec<_>>(), ["ok"], "{balance}");

        first.stop();
        for method in ["GET", "POST"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(client.ask(request).text(), "backup", "{balance} {method}");
        }
        let backends = shown(&gateway)["backends"].clone();
        assert_eq!(backends[1]["backup"], true);
        assert_eq!(backends[0]["active_requests"], 0, "failures are counted off");
        first.start();
        // `ewma` remembers for a while how it failed, but no backup is better than it.
        assert_eq!(client.ask(GET).text(), "ok", "{balance}");
    }
}

/// Answers everything with this status and field.
fn failing(status: &str, field: &str) -> Script {
    Script::answering(format!("HTTP/1.1 {status} Failing\r\n{field}Content-Length: 3\r\n\r\nbad"))
}

#[test]
fn ewma_keeps_away_from_errors_and_for_as_long_as_retry_after_says() {
    let good = Backend::named("good");
    for (bad, most) in [
        (failing("503", "Retry-After: 60\r\n"), 1),
        (failing("429", "Retry-After: 60\r\n"), 1),
        // Without a time it is asked again now and then: when the other one was slower for a moment.
        (failing("500", ""), 20),
    ] {
        let list = [format!("\"{bad}\""), format!("\"{good}\"")];
        let gateway = Gateway::serving(&config("balance = \"ewma\"\nretry = false", &list));

        let counts = answers(&mut gateway.connect("http"), 200);

        assert!((1..=most).contains(&counts["bad"]), "{counts:?}, at most {most}");
    }
}

#[test]
fn adaptive_weights_follow_what_is_measured_and_are_shown() {
    let (good, bad) = (Backend::named("good"), failing("500", ""));
    let list = [format!("{{ url = \"{bad}\", weight = 10 }}"), format!("{{ url = \"{good}\", weight = 10 }}")];
    let gateway = Gateway::serving(&config("balance = \"adaptive\"", &list));
    let mut client = gateway.connect("http");
    let weights = || {
        let pool = shown(&gateway);
        [0, 1].map(|backend| pool["backends"][backend]["current_weight"].as_f64().unwrap())
    };
    assert_eq!(weights(), [10.0, 10.0]);

    let end = Instant::now() + PATIENCE;
    while weights()[0] > 5.0 {
        assert!(Instant::now() < end, "{:?}", weights());
        answers(&mut client, 50);
    }

    let [low, high] = weights();
    assert!(low >= 1.0 && high == 10.0, "{low} {high}");
    assert_eq!(shown(&gateway)["backends"][0]["weight"], 10, "as the config has it");
    let metrics = gateway.ask_admin("/metrics").text();
    let start = format!("portcullis_backend_weight{{pool=\"p\",backend=\"{bad}\"}} ");
    let weight = metrics.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    assert!(weight.parse::<f64>().unwrap() <= low, "{weight}");
    let counts = answers(&mut client, 400);
    assert!(counts["good"] > counts["bad"], "{counts:?}");
    assert!(counts["bad"] > 0, "it is seen when it recovers, {counts:?}");
}
