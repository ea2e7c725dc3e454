//! Backends by name: every address is an endpoint, and addresses come and go without a failed request.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, asking, named, route_to};
use crate::support::dns::{NameServer, Record, Says};
use crate::support::events::{NAME_RESOLVED, SERVING};
use crate::support::gateway::Gateway;
use crate::support::load::{H2load, Wrk};
use crate::support::script::Script;
use crate::support::served::{LISTENER, furnished, whole};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The listeners `https` and `http`, and one pool with this backend, whose name is looked up each second.
fn config(dns: &NameServer, backend: &str) -> String {
    named(&[dns], backend) + HTTPS
}

/// What answers so many requests on one connection; all of them must be good.
fn answers(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut client = gateway.client("http");
    let mut ask = || {
        let answer = client.ask(GET);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    };
    (0..count).map(|_| ask()).collect()
}

/// Waits until the log says that the name has these addresses.
fn resolved(gateway: &Gateway, addresses: &str) {
    gateway.event_where(NAME_RESOLVED, |event| event["addresses"] == addresses);
}

fn status(gateway: &Gateway) -> Value {
    serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap()
}

#[test]
fn every_address_of_a_name_gets_its_share() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.3", "127.0.0.2"]);
    let url = format!("http://App.test:{port}");
    let gateway = Gateway::serving(&config(&dns, &url));

    answers(&gateway, 20);

    assert_eq!((two.count(), three.count()), (10, 10));
    let labels = format!("portcullis_backend_requests_total{{pool=\"p\",backend=\"{url}\",outcome=\"ok\"}}");
    // The last one is counted when the client has it already.
    while gateway.metric(&labels) < 20 {}
    assert_eq!(gateway.metric(&labels), 20);
    let status = status(&gateway);
    let backend = &status["pools"][0]["backends"][0];
    let addresses = [format!("127.0.0.2:{port}"), format!("127.0.0.3:{port}")];
    assert_eq!(backend["addresses"], Value::from(addresses.to_vec()), "{status:#}");
    assert_eq!((&backend["url"], backend["requests"].as_u64()), (&Value::from(url), Some(20)));
}

#[test]
fn each_address_has_the_weight_of_its_backend() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let alone = Backend::named("alone");
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2", "127.0.0.3"]);
    let gateway = Gateway::serving(&format!(
        "{}{HTTP}[[route]]\npool = \"p\"\n[pool.p]\nbackends = [{{ url = \"http://app.test:{port}\", weight = 2 }}, \"{alone}\"]\n",
        asking(&[&dns])
    ));

    answers(&gateway, 20);

    assert_eq!((two.count(), three.count(), alone.count()), (8, 8, 4));
}

#[test]
fn addresses_of_both_families_are_endpoints() {
    let (port, [four, six]) = Backend::at(["127.0.0.1", "::1"]);
    let dns = NameServer::new();
    dns.point("app.test", &["::1", "127.0.0.1"]);
    let gateway = Gateway::serving(&config(&dns, &format!("http://app.test:{port}")));

    answers(&gateway, 10);

    assert_eq!((four.count(), six.count()), (5, 5));
}

#[test]
fn addresses_come_and_go_under_load_and_no_request_fails() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2"]);
    let gateway = Gateway::serving(&config(&dns, &format!("http://app.test:{port}")));
    let wrk = Wrk::on(&gateway.url("https", "/"), 8);
    let h2load = H2load::on(&gateway.url("https", "/"), (2, 5));
    two.received();
    assert_eq!(three.count(), 0);

    dns.point("app.test", &["127.0.0.2", "127.0.0.3"]);
    three.received();
    dns.point("app.test", &["127.0.0.3"]);
    resolved(&gateway, "127.0.0.3");
    // Its unused connections are closed.
    two.wait_until_closed();

    assert!(wrk.stop() > 0 && h2load.stop() > 0);
    let before = two.count();
    answers(&gateway, 10);
    assert_eq!(two.count(), before);
    assert_eq!(gateway.metric("portcullis_config_generation"), 1);
    assert_eq!((gateway.events(SERVING).len(), &status(&gateway)["generation"]), (1, &Value::from(1)));
}

#[test]
fn answers_that_flip_cost_no_request() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2"]);
    let gateway = Gateway::serving(&config(&dns, &format!("http://app.test:{port}")));
    let wrk = Wrk::on(&gateway.url("https", "/"), 8);

    for (address, backend) in [("127.0.0.3", &three), ("127.0.0.2", &two), ("127.0.0.3", &three)] {
        let seen = backend.count();
        dns.point("app.test", &[address]);
        while backend.count() == seen {
            backend.received();
        }
    }

    assert!(wrk.stop() > 0);
}

#[test]
fn a_request_at_an_address_that_goes_is_finished_there() {
    let (told, release) = mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let slow = Script::playing_on(listener, move |conversation| {
        conversation.request();
        // Ends when the test tells it to, or has failed.
        let _ = release.lock().unwrap().recv();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    });
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2"]);
    let gateway = Gateway::serving(&config(&dns, &format!("http://app.test:{port}")));
    let mut client = gateway.client("http");
    client.send(GET);
    slow.received();

    dns.point("app.test", &["127.0.0.3"]);
    resolved(&gateway, "127.0.0.3");
    told.send(()).unwrap();

    assert_eq!(client.answer().text(), "slow");
}

#[test]
fn two_thousand_records_come_over_tcp_and_are_bounded() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _everywhere = Script::playing_on(listener, |conversation| {
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let dns = NameServer::new();
    let addresses: Vec<String> = (0..2_000).map(|number| format!("127.1.{}.{}", number / 200, number % 200)).collect();
    dns.point("app.test", &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let gateway = Gateway::serving(&config(&dns, &format!("http://app.test:{port}")));

    answers(&gateway, 300);

    let event = gateway.event("backend name has too many addresses; use several names");
    assert_eq!((&event["total"], &event["taken"]), (&Value::from(2_000), &Value::from(256)));
    let status = status(&gateway);
    assert_eq!(status["pools"][0]["backends"][0]["addresses"].as_array().unwrap().len(), 256);
}

#[test]
fn names_are_asked_for_as_often_as_the_config_says_whatever_their_records_say() {
    let (port, [_two, _three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    for seconds in [0, 86_400] {
        let dns = NameServer::new();
        dns.keep_for(seconds);
        dns.point("app.test", &["127.0.0.2"]);
        let began = Instant::now();
        let gateway = Gateway::serving(&config(&dns, &format!("http://app.test:{port}")));

        answers(&gateway, 200);
        dns.wait_for("app.test", 4);

        let most = began.elapsed().as_secs_f64() / 0.9 + 1.0;
        let asked = dns.count("app.test") / 2;
        assert!((asked as f64) <= most, "{asked} times in {:?}", began.elapsed());
        dns.point("app.test", &["127.0.0.3"]);
        resolved(&gateway, "127.0.0.3");
    }
}

#[test]
fn without_an_interval_names_are_asked_for_at_reloads_only() {
    let (port, [_two, _three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2"]);
    dns.point("other.test", &["127.0.0.2"]);
    let never = config(&dns, &format!("http://app.test:{port}")).replace("1s", "0s");
    let other = format!(
        "[[route]]\npath = \"/other\"\npool = {{ resolve = \"1s\", backends = [\"http://other.test:{port}\"] }}\n"
    );
    let mut gateway = Gateway::serving(&format!("{never}{other}"));

    dns.point("app.test", &["127.0.0.3"]);
    dns.wait_for("other.test", 6);
    assert_eq!(dns.count("app.test"), 2);
    gateway.signal(Signal::HUP);
    resolved(&gateway, "127.0.0.3");
    assert_eq!(answers(&gateway, 1), ["127.0.0.3"]);
}

#[test]
fn a_save_that_brings_a_name_fails_no_request() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.3"]);
    let gateway = Gateway::serving(&config(&dns, &format!("http://127.0.0.2:{port}")));
    let wrk = Wrk::on(&gateway.url("https", "/"), 8);
    two.received();

    gateway.save(&config(&dns, &format!("http://app.test:{port}")));
    three.received();

    assert!(wrk.stop() > 0);
}

#[test]
fn another_name_server_is_asked_as_soon_as_it_is_saved() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let servers = [NameServer::new(), NameServer::new()];
    servers[0].point("app.test", &["127.0.0.2"]);
    servers[1].point("app.test", &["127.0.0.3"]);
    let config = |dns| config(dns, &format!("http://app.test:{port}")).replace("1s", "1h");
    let gateway = Gateway::serving(&config(&servers[0]));
    answers(&gateway, 1);
    assert_eq!((two.count(), three.count()), (1, 0));

    gateway.save(&config(&servers[1]));
    resolved(&gateway, "127.0.0.3");

    assert_eq!(answers(&gateway, 1), ["127.0.0.3"]);
}

#[test]
fn the_example_of_the_readme_asks_for_addresses_and_for_a_service() {
    let (port, [by_address]) = Backend::at(["127.0.0.2"]);
    let (of_service, [by_service]) = Backend::at(["127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.internal", &["127.0.0.2"]);
    dns.say("_http._tcp.app.service.consul", Says::Records(vec![Record::Service(1, 1, of_service, "node.consul")]));
    dns.point("node.consul", &["127.0.0.3"]);
    let config = whole("**Backends by name.**")
        .replace("10.0.0.2:53", &dns.to_string())
        .replace("app.internal:8080", &format!("app.internal:{port}"));
    let gateway = Gateway::in_home(furnished(&format!("{config}{LISTENER}")));

    let mut client = gateway.connect_tls("https", "app.example.com");
    for _ in 0..4 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n").status, 200);
    }

    assert_eq!((by_address.count(), by_service.count()), (2, 2));
}

#[test]
fn localhost_is_this_machine_without_a_name_server() {
    let backend = Backend::named("here");
    let url = backend.to_string().replace("127.0.0.1", "localhost");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&url])));

    assert_eq!(answers(&gateway, 4), ["here"; 4]);
}
