//! Rate limits on the running gateway: what each key counts, what is answered, what is told, what a reload leaves alone.

use std::net::Ipv4Addr;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to, route_to_h2};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::streams::Streams;

const RESPOND: &str = "[[route]]\nname = \"all\"\nrespond = { status = 200 }\n";

/// A gateway that answers everything itself, with these limits for every route and for the one.
fn limited(every: &str, own: &str) -> Gateway {
    Gateway::serving(&format!("[rate_limit]\n{every}\n{HTTP}{RESPOND}{own}\n"))
}

/// What a request from 127.0.0.`from` gets.
fn ask(gateway: &Gateway, from: u8, host: &str, fields: &str) -> Answer {
    let mut client = Client::tcp_from(Ipv4Addr::new(127, 0, 0, from).into(), gateway.address("http"));
    client.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

/// The statuses of one request after the other.
fn statuses<const N: usize>(gateway: &Gateway, requests: [(u8, &str, &str); N]) -> [u16; N] {
    requests.map(|(from, host, fields)| ask(gateway, from, host, fields).status)
}

#[test]
fn a_client_beyond_per_ip_is_told_when_to_come_back() {
    let gateway = limited("per_ip = { rate = \"2/m\", burst = 3 }", "");

    assert_eq!(statuses(&gateway, [(1, "a", ""); 3]), [200; 3]);
    let refused = ask(&gateway, 1, "a", "");

    assert_eq!((refused.status, refused.refusal()), (429, Some("http_request_denied")), "{refused:?}");
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&seconds), "{refused:?}");
    assert_eq!(refused.field("ratelimit-policy"), Some("\"per_ip\";q=2;w=60"));
    assert_eq!(refused.field("ratelimit"), Some(format!("\"per_ip\";r=0;t={seconds}").as_str()));
    assert_eq!(ask(&gateway, 2, "a", "").status, 200, "another client");

    let line = gateway.access(|line| line["status"] == 429);
    assert_eq!((line["reason"].as_str(), line["route"].as_str()), (Some("rate_limited"), Some("all")), "{line}");
    assert_eq!(gateway.metric("portcullis_refused_total{reason=\"rate_limited\",route=\"all\"}"), 1);
    assert_eq!(gateway.metric("portcullis_rate_limit_keys"), 2);
    let status: serde_json::Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert_eq!(status["rate_limits"], serde_json::json!({ "keys": 2, "refused": 1, "observed": 0 }));
}

#[test]
fn each_key_of_a_route_counts_what_it_says() {
    for (key, requests, expected) in [
        ("ip", [(1, "a", "X-Key: 1\r\n"), (1, "b", "X-Key: 2\r\n"), (2, "a", "X-Key: 1\r\n")], [200, 429, 200]),
        ("host", [(1, "a", "X-Key: 1\r\n"), (2, "a", "X-Key: 2\r\n"), (1, "b", "X-Key: 1\r\n")], [200, 429, 200]),
        ("route", [(1, "a", "X-Key: 1\r\n"), (2, "b", "X-Key: 2\r\n"), (3, "c", "X-Key: 3\r\n")], [200, 429, 429]),
        (
            "header:X-Key",
            [(1, "a", "X-KEY: 1\r\n"), (2, "b", "x-key: 1\r\n"), (1, "a", "X-Key: 2\r\n")],
            [200, 429, 200],
        ),
        ("header:X-Key", [(1, "a", ""), (1, "b", ""), (2, "a", "")], [200, 429, 200]),
    ] {
        let gateway = limited("", &format!("rate_limit = {{ rate = \"1/h\", burst = 1, key = \"{key}\" }}"));
        assert_eq!(statuses(&gateway, requests), expected, "{key}");
    }
}

#[test]
fn a_route_allows_as_many_at_once_as_its_burst_says() {
    let gateway = limited("", "rate_limit = { rate = \"1/h\", burst = 3 }");
    assert_eq!(statuses(&gateway, [(1, "a", ""); 4]), [200, 200, 200, 429]);
}

#[test]
fn every_limit_of_a_list_holds_and_the_one_that_refused_is_named() {
    let own = "rate_limit = [\"1/h\", { rate = \"2/h\", key = \"route\" }]";
    let gateway = limited("per_ip = \"3/hour\"", own);
    let policy = |from| ask(&gateway, from, "a", "").field("ratelimit-policy").map(str::to_owned);

    assert_eq!([policy(1), policy(2)], [None, None]);

    assert_eq!(policy(1).as_deref(), Some("\"ip\";q=1;w=3600"));
    assert_eq!(policy(3).as_deref(), Some("\"route\";q=2;w=3600"));
    policy(1);
    assert_eq!(policy(1).as_deref(), Some("\"per_ip\";q=3;w=3600"));
}

#[test]
fn what_is_refused_costs_nothing_of_the_global_limit() {
    let gateway = limited("global = { rate = \"1/h\", burst = 2 }\nper_ip = \"1/h\"", "");

    assert_eq!(statuses(&gateway, [(1, "a", ""), (1, "a", ""), (1, "a", ""), (2, "a", "")]), [200, 429, 429, 200]);

    let refused = ask(&gateway, 3, "a", "");
    assert_eq!(
        (refused.status, refused.field("ratelimit-policy")),
        (429, Some("\"global\";q=1;w=3600")),
        "{refused:?}"
    );
}

#[test]
fn exempt_clients_and_routes_that_say_false_have_no_limit() {
    let gateway = limited("per_ip = \"1/h\"\nexempt = [\"127.0.0.2/31\"]", "");
    assert_eq!(statuses(&gateway, [(2, "a", ""), (2, "a", ""), (3, "a", ""), (3, "a", "")]), [200; 4]);
    assert_eq!(statuses(&gateway, [(1, "a", ""), (1, "a", "")]), [200, 429]);

    let gateway = limited("per_ip = \"1/h\"\nglobal = \"1/h\"", "rate_limit = false");
    assert_eq!(statuses(&gateway, [(1, "a", ""); 3]), [200; 3]);
}

#[test]
fn observing_refuses_nothing_and_tells_everything() {
    let backend = Backend::named("one");
    let limits = "per_ip = \"1/h\"\nglobal = { rate = \"1/h\", burst = 2 }\nmode = \"observe\"\n";
    let gateway = Gateway::serving(&format!("[rate_limit]\n{limits}{HTTP}{}", route_to(&[&backend])));

    assert_eq!(statuses(&gateway, [(1, "a", ""), (1, "a", ""), (2, "a", ""), (3, "a", "")]), [200; 4]);

    assert_eq!(backend.count(), 4);
    let seen = |from: u8| gateway.access(|line| line["client"] == format!("127.0.0.{from}"))["observed"].clone();
    assert_eq!([seen(2), seen(3)], [serde_json::Value::Null, serde_json::json!(["rate_limited"])]);
    let line =
        gateway.access(|line| line["client"] == "127.0.0.1" && line["observed"] == serde_json::json!(["rate_limited"]));
    assert!(line["status"] == 200 && line["reason"].is_null(), "{line}");
    assert_eq!(gateway.metric("portcullis_observed_total{reason=\"rate_limited\",route=\"all\"}"), 2);
    assert_eq!(gateway.metric("portcullis_refused_total{reason=\"rate_limited\",route=\"all\"}"), 0);
}

#[test]
fn who_goes_on_knocking_waits_longer_each_time_up_to_max() {
    let penalty = "[rate_limit.penalty]\nfactor = 3.0\nmax = \"24h\"";
    let gateway = limited(&format!("per_ip = {{ rate = \"1/m\", burst = 1 }}\n{penalty}"), "");
    assert_eq!(ask(&gateway, 1, "a", "").status, 200);

    let waits: Vec<u64> =
        (0..9).map(|_| ask(&gateway, 1, "a", "").field("retry-after").unwrap().parse().unwrap()).collect();

    assert!((50..=60).contains(&waits[0]), "{waits:?}");
    assert_eq!(waits[1..], [180, 540, 1_620, 4_860, 14_580, 43_740, 86_400, 86_400], "{waits:?}");
    assert_eq!(ask(&gateway, 2, "a", "").status, 200, "another client");
}

#[test]
fn a_forged_forwarded_for_does_not_pass_a_limit() {
    let limits = format!("[rate_limit]\nper_ip = \"1/h\"\n{HTTP}{RESPOND}");
    let forged = |number: u8| format!("X-Forwarded-For: 198.51.100.{number}\r\nX-Real-IP: 198.51.100.{number}\r\n");

    let gateway = Gateway::serving(&limits);
    let answers: Vec<u16> = (0..5).map(|number| ask(&gateway, 1, "a", &forged(number)).status).collect();
    assert_eq!(answers, [200, 429, 429, 429, 429]);

    // From a trusted proxy it is who the client is: the last address that is not trusted, whatever stands before it.
    let gateway = Gateway::serving(&format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{limits}"));
    assert_eq!(statuses(&gateway, [(1, "a", &forged(1)), (1, "a", &forged(2)), (1, "a", &forged(1))]), [200, 200, 429]);
    let answers: Vec<u16> = (10..15)
        .map(|number| ask(&gateway, 1, "a", &format!("X-Forwarded-For: 192.0.2.{number}, 198.51.100.9\r\n")).status)
        .collect();
    assert_eq!(answers, [200, 429, 429, 429, 429]);
}

#[test]
fn many_values_of_a_field_do_not_pass_a_limit_nor_grow() {
    let gateway = limited("", "rate_limit = { rate = \"1/h\", burst = 1, key = \"header:X-Key\" }");
    assert_eq!(ask(&gateway, 2, "a", "X-Key: theirs\r\n").status, 200);
    let mut client = gateway.connect("http");

    let mut passed = 0;
    for number in 0..3_000 {
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {number}\r\n\r\n"));
        passed += usize::from(answer.status == 200);
    }

    assert_eq!(passed, 1_001, "its share, and the one bucket of all that is beyond");
    assert_eq!(gateway.metric("portcullis_rate_limit_keys"), 1_002);
    assert_eq!(ask(&gateway, 2, "a", "X-Key: theirs\r\n").status, 429, "it was not pushed out");
}

#[test]
fn what_is_spent_stays_spent_over_a_reload_until_the_limit_changes() {
    let own = "rate_limit = { rate = \"1/h\", key = \"header:X-Key\" }";
    let config = |every: &str, own: &str| format!("[rate_limit]\n{every}\n{HTTP}{RESPOND}{own}\n");
    let gateway = Gateway::serving(&config("per_ip = \"2/h\"", own));
    let again = (1, "a", "X-Key: 1\r\n");
    assert_eq!(ask(&gateway, again.0, again.1, again.2).status, 200);

    gateway.save(&config("per_ip = \"2/h\"\nexempt = [\"192.0.2.0/24\"]", own));
    assert_eq!(statuses(&gateway, [again, again]), [429, 429], "by the field, then by per_ip");

    gateway.save(&config("per_ip = \"4/h\"", &own.replace("1/h", "2/h")));
    assert_eq!(statuses(&gateway, [again, again, again]), [200, 200, 429]);

    gateway.save(&config("", ""));
    assert_eq!(statuses(&gateway, [again; 4]), [200; 4]);
}

#[test]
fn a_call_of_grpc_is_refused_in_its_own_terms() {
    let backend = Streams::named("called");
    let config = route_to_h2(&[&backend], "rate_limit = { rate = \"1/h\", burst = 1 }", "");
    let gateway = Gateway::serving(&format!("{HTTPS}{config}"));
    let mut client = Http2::connect(&gateway);
    let mut call = || {
        let mut call = client.post("/service/Method", &[("content-type", "application/grpc"), ("te", "trailers")]);
        call.finish();
        call.rest().unwrap()
    };

    assert_eq!(call().field("grpc-status"), None);
    let refused = call();

    assert_eq!((refused.status, refused.field("grpc-status")), (200, Some("14")), "{refused:?}");
    assert_eq!(refused.field("grpc-message"), Some("rate_limited"));
    assert_eq!(refused.refusal(), Some("http_request_denied"));
    assert!(refused.field("retry-after").is_some() && refused.field("ratelimit").is_some(), "{refused:?}");
}
