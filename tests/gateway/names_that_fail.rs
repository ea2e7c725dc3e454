//! Names of backends that do not resolve: what was known serves on, what was never known is 503 until it is.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::configs::named;
use crate::support::dns::{NameServer, Record, Says};
use crate::support::events::{NAME_FAILS, NAME_MENDED, NAME_RESOLVED, SERVING};
use crate::support::gateway::{Gateway, Home};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What the status says of the only backend's name.
fn problem(gateway: &Gateway) -> Value {
    let status: Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    status["pools"][0]["backends"][0]["problem"].clone()
}

#[test]
fn whatever_the_name_server_does_the_last_good_addresses_serve_on() {
    let (port, [_two, _three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let nobody = Record::Address("0.0.0.0".parse().unwrap());
    let failures = [
        (Says::NotThere, "the name does not exist (NXDOMAIN)"),
        (Says::ServerFailure, "the name server answered with an error"),
        (Says::Silence, "no name server answered in time"),
        (Says::Records(Vec::new()), "it has no addresses"),
        (Says::Records(vec![nobody]), "it has only addresses at which nobody can be"),
        // A response that promises 65,535 records and ends there; one of a single byte.
        (Says::Noise([[0x81, 0x80].as_slice(), &[0xff; 8]].concat()), ""),
        (Says::Noise(vec![0x81]), ""),
    ];
    std::thread::scope(|scope| {
        for (says, why) in failures {
            scope.spawn(move || serves_on(port, says, why));
        }
    });
}

/// A name that resolves, then fails like this, then resolves to another address.
fn serves_on(port: u16, says: Says, why: &str) {
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2"]);
    let gateway = Gateway::serving(&named(&[&dns], &format!("http://app.test:{port}")));

    dns.say("app.test", says);
    let event = gateway.event(NAME_FAILS);
    assert!(event["problem"].as_str().unwrap().starts_with(why), "{event}");
    assert_eq!(event["addresses"], 1, "{event}");
    assert_eq!(gateway.client("http").ask(GET).text(), "127.0.0.2");
    assert!(problem(&gateway).as_str().unwrap().starts_with(why), "{}", problem(&gateway));

    dns.point("app.test", &["127.0.0.3"]);
    gateway.event(NAME_MENDED);
    assert_eq!(gateway.client("http").ask(GET).text(), "127.0.0.3");
    assert_eq!(problem(&gateway), Value::Null);
    // However often it failed, it was told once.
    assert_eq!(gateway.events(NAME_FAILS).len(), 1);
}

#[test]
fn a_name_that_never_resolved_is_503_and_heals_by_itself() {
    let (port, [_two]) = Backend::at(["127.0.0.2"]);
    for says in [Says::NotThere, Says::ServerFailure, Says::Silence] {
        let dns = NameServer::new();
        dns.say("app.test", says);
        let gateway = Gateway::serving(&named(&[&dns], &format!("http://app.test:{port}")));

        let refused = gateway.client("http").ask(GET);
        assert_eq!((refused.status, refused.refusal()), (503, Some("destination_unavailable")), "{refused:?}");
        gateway.access(|line| line["reason"] == "no_backend");
        let event = gateway.event(NAME_FAILS);
        assert!(event["advice"].as_str().unwrap().contains("check the name"), "{event}");
        assert_eq!(event["addresses"], 0, "{event}");
        assert!(problem(&gateway).is_string());

        dns.point("app.test", &["127.0.0.2"]);
        gateway.event(NAME_RESOLVED);
        assert_eq!(gateway.client("http").ask(GET).status, 200);
        assert_eq!(problem(&gateway), Value::Null);
    }
}

#[test]
fn a_backend_with_an_address_serves_while_another_has_no_name() {
    let alone = Backend::named("alone");
    let dns = NameServer::new();
    let config = named(&[&dns], "http://gone.test").replace("[\"http", &format!("[\"{alone}\", \"http"));
    let gateway = Gateway::serving(&config);

    for _ in 0..4 {
        assert_eq!(gateway.client("http").ask(GET).text(), "alone");
    }
}

#[test]
fn the_second_name_server_is_asked_where_the_first_is_silent() {
    let (port, [_two]) = Backend::at(["127.0.0.2"]);
    let [silent, dns] = [NameServer::new(), NameServer::new()];
    silent.say("app.test", Says::Silence);
    dns.point("app.test", &["127.0.0.2"]);
    let gateway = Gateway::serving(&named(&[&silent, &dns], &format!("http://app.test:{port}")));

    while gateway.client("http").ask(GET).status != 200 {}
    assert!(silent.count("app.test") > 0);
}

#[test]
fn a_name_server_that_drops_questions_for_the_other_family_hides_no_address() {
    let (port, [_two]) = Backend::at(["127.0.0.2"]);
    let dns = NameServer::new();
    dns.say("app.test", Says::OnlyOf(vec![Record::Address("127.0.0.2".parse().unwrap())]));
    let gateway = Gateway::serving(&named(&[&dns], &format!("http://app.test:{port}")));

    gateway.event(NAME_RESOLVED);
    assert_eq!(gateway.client("http").ask(GET).text(), "127.0.0.2");
    assert_eq!(gateway.events(NAME_FAILS).len(), 0);
}

#[test]
fn a_gateway_that_is_told_to_stop_waits_for_no_new_name() {
    let alone = Backend::named("alone");
    let dns = NameServer::new();
    dns.say("new.test", Says::Silence);
    let mut gateway = Gateway::serving(&named(&[&dns], &alone.to_string()));

    gateway.home().replace("portcullis.toml", &named(&[&dns], "http://new.test"));
    dns.wait_for("new.test", 1);
    gateway.signal(Signal::TERM);

    assert_eq!(gateway.wait().code(), Some(0));
    // The config that waited for the name never went live.
    assert_eq!(gateway.events(SERVING).len(), 1);
}

#[test]
fn check_asks_nobody() {
    let dns = NameServer::new();
    let home = Home::new(&named(&[&dns], "http://app.test"));
    let mut process = home.start("check");

    assert_eq!(process.wait().code(), Some(0), "{}", process.output());
    assert_eq!(dns.count("app.test"), 0);
}
