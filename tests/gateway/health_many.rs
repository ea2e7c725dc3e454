//! A pool of a thousand: all are probed, and nobody waits for it.

use std::fmt::Write;

use crate::health::{GET, failures};
use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::gateway::Gateway;

const COUNT: usize = 1_000;

#[test]
fn a_thousand_backends_are_probed_and_requests_do_not_notice() {
    // One that listens at every address of the loopback is a thousand.
    let (port, [all]) = Backend::at(["0.0.0.0"]);
    let address = |number: usize| format!("127.0.{}.{}", 1 + number / 250, 1 + number % 250);
    let mut list = String::new();
    (0..COUNT).for_each(|number| write!(list, "\"http://{}:{port}\", ", address(number)).unwrap());
    let health = "health = { path = \"/health\", interval = \"2s\" }";
    let pool = format!("[[route]]\nname = \"all\"\npool = \"p\"\n[pool.p]\n{health}\nbackends = [{list}]\n");
    let gateway = Gateway::serving(&format!("{HTTP}{pool}"));
    let mut client = gateway.connect("http");

    let mut probed = std::collections::HashSet::new();
    while probed.len() < COUNT {
        let request = all.received();
        if request.line == "GET /health HTTP/1.1" {
            probed.insert(request.field("host").unwrap().to_owned());
        }
        assert_eq!(failures(&mut client, GET, 1), 0);
    }

    gateway.save(&format!("{HTTP}{pool}").replace("2s", "3s"));
    assert_eq!(failures(&mut client, GET, 100), 0);
    let text = gateway.ask_admin("/metrics").text();
    assert_eq!(text.matches("\nportcullis_backend_up{").count(), COUNT);
}
