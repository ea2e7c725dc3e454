//! What is seen of breakers, and what a reload does to them.

use serde_json::Value;

use crate::breakers::{config, get, state, statuses};
use crate::support::events::BREAKER_OPENED;
use crate::support::gateway::{Gateway, portcullis};
use crate::support::process::Process;
use crate::support::script::Script;
use crate::support::served::{LISTENER, furnished, whole};
use crate::support::switched::Switched;

/// The breaker of the only address of the pool's backend with that number.
fn shown(gateway: &Gateway, backend: usize) -> Value {
    let status: Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    status["pools"][0]["backends"][backend]["breakers"][0].clone()
}

#[test]
fn status_and_log_name_the_requests_that_opened_it() {
    let (bad, dead) = (Switched::answering(503), Script::dead());
    let gateway = Gateway::serving(&config("{ errors = 3 }", &[&bad, &dead]));
    let mut client = gateway.connect("http");
    assert_eq!(shown(&gateway, 0)["state"], "closed");
    assert!(shown(&gateway, 0)["since"].is_null());
    let mut seen = statuses(&mut client, ["/"; 6]);
    seen.sort_unstable();
    assert_eq!(seen, [502, 502, 502, 503, 503, 503]);

    // Only one of both may be open: the one that failed three times first.
    let (open, backend) = if shown(&gateway, 0)["state"] == "open" { (0, bad.to_string()) } else { (1, dead) };
    let breaker = shown(&gateway, open);
    let got = ["503", "connect_failed"][open];
    assert_eq!((&breaker["opened"], &breaker["observed"]), (&1.into(), &false.into()), "{breaker}");
    assert!(breaker["since"].as_str() < breaker["until"].as_str(), "{breaker}");
    let change = &breaker["history"][0];
    assert_eq!((&change["to"], &change["why"]), (&"open".into(), &"3 errors in a row".into()), "{breaker}");
    let evidence = change["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 3, "{breaker}");
    assert!(evidence.iter().all(|one| one["got"] == got && one["milliseconds"].is_u64()), "{breaker}");
    let line = gateway.event(BREAKER_OPENED);
    assert_eq!((&line["pool"], &line["backend"]), (&"p".into(), &backend.as_str().into()), "{line}");
    assert_eq!(line["evidence"].as_str().unwrap().matches(&format!("{got} after ")).count(), 3, "{line}");

    let address = gateway.admin().to_string();
    let token = gateway.home().path("state/admin.token");
    let arguments = ["status", "--admin", &address, "--token-file", token.to_str().unwrap()];
    let mut status = Process::start(portcullis().args(arguments));
    assert_eq!(status.wait().code(), Some(0), "{}", status.output());
    let told = status.stdout.text();
    assert!(told.contains("Breakers that are not closed:\n"), "{told}");
    assert!(told.contains(&format!("p {backend} ")) && told.contains("; 3 errors in a row at "), "{told}");
    assert!(told.contains(&format!(", the last: {got} after ")), "{told}");
}

#[test]
fn a_reload_keeps_it_and_switching_it_off_closes_it() {
    let backend = Switched::answering(500);
    let gateway = Gateway::serving(&config("{ errors = 2 }", &[&backend]));
    let mut client = gateway.connect("http");
    assert_eq!(statuses(&mut client, ["/", "/", "/"]), [500, 500, 503]);
    let since = shown(&gateway, 0)["since"].clone();

    gateway.save(&config("{ errors = 7, open = \"10s\" }", &[&backend]));
    assert_eq!(statuses(&mut client, ["/"]), [503]);
    assert_eq!(shown(&gateway, 0)["since"], since);

    gateway.save(&config("false", &[&backend]));
    assert_eq!(statuses(&mut client, ["/"; 10]), [500; 10], "at once");
    assert_eq!(gateway.event("breaker closed")["why"], "switched off");
    assert!(shown(&gateway, 0).is_null());

    gateway.save(&config("{ errors = 4 }", &[&backend]));
    assert_eq!(state(&gateway, &backend), 0);
    assert_eq!(statuses(&mut client, ["/"; 5]), [500, 500, 500, 500, 503]);
    gateway.save(&config("{ errors = 4, mode = \"observe\" }", &[&backend]));
    assert_eq!(statuses(&mut client, ["/"]), [500]);
    assert_eq!((state(&gateway, &backend), &shown(&gateway, 0)["observed"]), (2, &true.into()));
}

#[test]
fn the_readmes_backend_that_fails_is_left_alone_after_three_errors() {
    let printed = whole("**A backend that fails.**");
    let config = printed.replace("http://10.0.11.1:8080", &Script::dead());
    assert_ne!(config, printed);
    let gateway = Gateway::in_home(furnished(&format!("{config}{LISTENER}")));
    let mut client = gateway.connect_tls("https", "fragile.example.com");
    let mut ask = || client.ask(get("/").replace("localhost", "fragile.example.com"));

    // Each request is sent twice.
    assert_eq!([ask().status, ask().status], [502, 502]);

    let answer = ask();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!((1..=10).contains(&answer.field("retry-after").unwrap().parse::<u64>().unwrap()), "{answer:?}");
}
