//! A pool of a thousand: all are probed, and nobody waits for it.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::Instant;

use crate::health::{GET, failures};
use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::gateway::Gateway;
use crate::support::script::Script;

const ALL: &str = "GET /all HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A route to a pool of so many backends, all of them one that listens at every address of the loopback, and its health.
fn route(name: &str, (count, port): (usize, u16), health: &str) -> String {
    let address = |number: usize| format!("127.0.{}.{}", 1 + number / 250, 1 + number % 250);
    let urls: Vec<_> = (0..count).map(|number| format!("\"http://{}:{port}\"", address(number))).collect();
    let pool = format!("{{ backends = [{}], health = {health} }}", urls.join(", "));
    format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\npool = {pool}\n")
}

/// How many backends of a pool the metrics say this of: up (1) or down (0).
fn count(gateway: &Gateway, pool: &str, up: u8) -> usize {
    let text = gateway.ask_admin("/metrics").text();
    let (start, end) = (format!("portcullis_backend_up{{pool=\"{pool}\","), format!(" {up}"));
    text.lines().filter(|line| line.starts_with(&start) && line.ends_with(&end)).count()
}

#[test]
fn a_thousand_backends_are_probed_and_requests_do_not_notice() {
    let (port, [all]) = Backend::at(["0.0.0.0"]);
    let config = |interval: &str| {
        let health = format!("{{ path = \"/health\", interval = \"{interval}\" }}");
        format!("{HTTP}{}", route("all", (1_000, port), &health))
    };
    let gateway = Gateway::serving(&config("2s"));
    let mut client = gateway.connect("http");

    let mut probed = HashSet::new();
    while probed.len() < 1_000 {
        let request = all.received();
        if request.line == "GET /health HTTP/1.1" {
            probed.insert(request.field("host").unwrap().to_owned());
        }
        assert_eq!(failures(&mut client, ALL, 1), 0);
    }

    gateway.save(&config("3s"));
    assert_eq!(failures(&mut client, ALL, 100), 0);
    assert_eq!(count(&gateway, "all", 1), 1_000);
}

#[test]
fn probes_that_hang_are_bounded_and_hold_nobody_up() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _hanging = Script::playing_on(listener, |conversation| conversation.hold());
    let (other, [_well]) = Backend::at(["127.0.0.1"]);
    let hanging = route("hanging", (700, port), "{ interval = \"1s\", timeout = \"1s\", fall = 1 }");
    let well = format!("[[route]]\nname = \"well\"\npool = [\"http://127.0.0.1:{other}\"]\n");
    let gateway = Gateway::serving(&format!("{HTTP}{hanging}{well}"));
    let mut client = gateway.connect("http");
    let files = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();

    let end = Instant::now() + PATIENCE;
    while count(&gateway, "hanging", 0) < 700 {
        assert!(Instant::now() < end, "{} are down", count(&gateway, "hanging", 0));
        assert_eq!(failures(&mut client, GET, 10), 0);
        assert!(files() < 256 + 100, "{} open files", files());
    }
}
