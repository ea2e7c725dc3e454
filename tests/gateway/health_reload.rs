//! Health over reloads and other changes: nothing that is known is forgotten, and nothing waits for a probe.

use rustix::process::Signal;

use crate::health::{GET, config, failures, shown, told, up};
use crate::support::backend::Backend;
use crate::support::configs::asking;
use crate::support::dns::NameServer;
use crate::support::events::{BACKEND_DOWN, BACKEND_UP, POOL_MENDED};
use crate::support::gateway::Gateway;
use crate::support::patient::Patient;
use crate::support::script::Script;

const HEALTH: &str = "health = { path = \"/health\", interval = \"500ms\", fall = 2, rise = 1 }";

#[test]
fn what_is_down_stays_down_over_a_reload_and_what_is_new_is_probed() {
    let [sick, well, new] = ["sick", "well", "new"].map(Patient::named);
    sick.says(503);
    let gateway = Gateway::serving(&config(&[&sick, &well], HEALTH));
    told(&gateway, BACKEND_DOWN, &sick);
    let since = shown(&gateway)["backends"][0]["health"][0]["since"].clone();

    // Another rise, another interval, another backend: it is the same endpoint.
    let slower = HEALTH.replace("500ms", "600ms").replace("rise = 1", "rise = 2");
    gateway.save(&config(&[&new, &sick, &well], &slower));

    assert_eq!(gateway.metric(&up(&sick)), 0);
    assert_eq!(shown(&gateway)["backends"][1]["health"][0]["since"], since);
    let before = sick.requests();
    assert_eq!(failures(&mut gateway.connect("http"), GET, 30), 0);
    assert_eq!(sick.requests(), before);
    new.wait_for_probes(2);
    sick.says(200);
    assert_eq!(told(&gateway, BACKEND_UP, &sick)["probes"], 2, "as the new config says");
    assert_eq!(gateway.events(BACKEND_DOWN).len(), 1);
}

#[test]
fn without_health_every_backend_is_up_at_once() {
    let [a, b] = ["a", "b"].map(Patient::named);
    for backend in [&a, &b] {
        backend.says(503);
    }
    let gateway = Gateway::serving(&config(&[&a, &b], HEALTH));
    for backend in [&a, &b] {
        told(&gateway, BACKEND_DOWN, backend);
    }

    gateway.save(&config(&[&a, &b], "slow_start = \"1h\""));

    assert_eq!([&a, &b].map(|backend| gateway.metric(&up(backend))), [1, 1]);
    gateway.event(POOL_MENDED);
    let pool = shown(&gateway);
    assert_eq!((&pool["backends"][0]["health"], &pool["backends"][0]["up"]), (&serde_json::json!([]), &true.into()));
    let before = a.requests();
    assert_eq!(failures(&mut gateway.connect("http"), GET, 20), 0);
    assert_eq!(a.requests() - before, 10, "with its whole share");
    // Probed again, it begins up and is found out.
    gateway.save(&config(&[&a, &b], HEALTH));
    gateway.wait_for_metric(&up(&a), 0);
    assert!(gateway.events(BACKEND_DOWN).len() > 2);
}

#[test]
fn a_probe_that_hangs_delays_neither_a_reload_nor_the_end() {
    let hangs = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    let well = Patient::named("well");
    let health = "health = { path = \"/health\", interval = \"1h\", timeout = \"1m\" }";
    let mut gateway = Gateway::serving(&config(&[&hangs, &well], health));
    hangs.received();

    // What comes of it then is another pool's.
    gateway.save(&config(&[&well], health));

    assert_eq!(failures(&mut gateway.connect("http"), GET, 10), 0);
    gateway.save(&config(&[&hangs, &well], health));
    hangs.received();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());
}

#[test]
fn each_address_of_a_name_is_probed_and_known_by_itself() {
    let (port, [two, three]) = Backend::at(["127.0.0.2", "127.0.0.3"]);
    let dns = NameServer::new();
    dns.point("app.test", &["127.0.0.2", "127.0.0.4"]);
    let url = format!("http://app.test:{port}");
    let keys = format!("resolve = \"1s\"\n{HEALTH}");
    let gateway = Gateway::serving(&format!("{}{}", asking(&[&dns]), config(&[&url], &keys)));

    let event = told(&gateway, BACKEND_DOWN, &url);

    assert_eq!(event["address"], format!("127.0.0.4:{port}").as_str(), "nobody listens there");
    assert_eq!(gateway.metric(&up(&url)), 1, "at the other one");
    assert_eq!(failures(&mut gateway.connect("http"), GET, 10), 0);
    // An address that is found later is probed as well; what is known of the other stays.
    dns.point("app.test", &["127.0.0.3", "127.0.0.4"]);
    for backend in [&two, &three] {
        while backend.received().line != "GET /health HTTP/1.1" {}
    }
    let health = shown(&gateway)["backends"][0]["health"].clone();
    let states: Vec<_> = health.as_array().unwrap().iter().map(|health| health["state"].clone()).collect();
    assert_eq!(states.len(), 2, "{health}");
    assert_eq!(gateway.events(BACKEND_DOWN).len(), 1, "{health}");
    dns.point("app.test", &["127.0.0.4"]);
    gateway.wait_for_metric(&up(&url), 0);
}
