//! What an operator sees: the access log, metrics, status, and who may see them.

use std::sync::{Mutex, mpsc};

use rustix::process::Signal;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, route_to};
use crate::support::events::DRAINING;
use crate::support::gateway::{Gateway, portcullis};
use crate::support::process::Process;
use crate::support::script::Script;

/// Asks the admin listener, with a token or without.
fn ask_admin(gateway: &Gateway, path: &str, token: Option<&str>) -> crate::support::answer::Answer {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n");
    Client::tcp(gateway.admin()).ask(request)
}

#[test]
fn every_request_is_a_line_in_the_access_log() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.connect("http");

    assert_eq!(client.ask("GET /found?x=1 HTTP/1.1\r\nHost: example.com\r\n\r\n").status, 200);
    assert_eq!(client.ask("GET /a%2fb HTTP/1.1\r\nHost: example.com\r\n\r\n").status, 400);

    let served = gateway.access(|line| line["path"] == "/found");
    assert_eq!(served["status"], 200);
    assert_eq!(served["route"], "all");
    assert_eq!(served["listener"], "http");
    assert_eq!(served["backend"], backend.to_string());
    let refused = gateway.access(|line| line["status"] == 400);
    assert!(refused["reason"].is_string(), "{refused}");
}

#[test]
fn metrics_and_status_want_the_token_and_health_does_not() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    assert_eq!(gateway.connect("http").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);

    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask_admin(&gateway, path, None).status, 200, "{path}");
    }
    for path in ["/metrics", "/api/v1/status"] {
        assert_eq!(ask_admin(&gateway, path, None).status, 401, "{path}");
        assert_eq!(ask_admin(&gateway, path, Some("wrong")).status, 401, "{path}");
        assert_eq!(ask_admin(&gateway, path, Some(&gateway.token())).status, 200, "{path}");
    }

    let metrics = ask_admin(&gateway, "/metrics", Some(&gateway.token())).text();
    let wanted = "portcullis_requests_total{listener=\"http\",route=\"all\",status=\"200\"} 1";
    assert!(metrics.contains(wanted), "{metrics}");
}

#[test]
fn the_status_path_answers_without_a_backend() {
    let backend = Backend::named("one");
    let config = format!("{HTTP}status_path = \"/ping\"\n{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&config);

    assert_eq!(gateway.connect("http").ask("GET /ping HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);

    assert_eq!(backend.count(), 0);
}

#[test]
fn a_health_check_learns_without_a_token_whether_requests_should_come_here() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        conversation.request();
        wait.lock().unwrap().recv().unwrap();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let mut gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.connect("http");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.received();
    let address = gateway.admin().to_string();
    let check = || Process::start(portcullis().args(["status", "--ready", "--admin", &address]));

    let mut ready = check();
    assert_eq!(ready.wait().code(), Some(0), "{}", ready.output());
    assert_eq!(ready.stdout.text(), "ready");

    gateway.signal(Signal::TERM);
    gateway.event(DRAINING);
    let mut draining = check();
    assert_eq!(draining.wait().code(), Some(1));
    let told = format!("portcullis: the gateway on {address} is not ready: starting or draining");
    assert_eq!(draining.stderr.text(), told);

    go.send(()).unwrap();
    assert_eq!(client.answer().status, 200);
    client.expect_closed();
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());
    let mut gone = check();
    assert_eq!(gone.wait().code(), Some(1));
    assert!(gone.stderr.text().contains("is it running?"), "{}", gone.output());
}
