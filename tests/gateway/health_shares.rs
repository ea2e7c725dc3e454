//! What the health of backends does to the shares of the others: panic, the last one, slow start.

use crate::health::{GET, POST, config, failures, shown, told, up};
use crate::support::events::{BACKEND_DOWN, BACKEND_UP, POOL_ASKS_ALL, POOL_MENDED};
use crate::support::gateway::Gateway;
use crate::support::patient::Patient;

const HEALTH: &str = "health = { path = \"/health\", interval = \"500ms\", fall = 2, rise = 1 }";

fn three() -> [Patient; 3] {
    ["a", "b", "c"].map(Patient::named)
}

#[test]
fn where_too_few_are_up_all_are_asked() {
    let [a, b, c] = three();
    let gateway = Gateway::serving(&config(&[&a, &b, &c], HEALTH));
    let mut client = gateway.connect("http");

    a.says(503);
    told(&gateway, BACKEND_DOWN, &a);
    assert_eq!(gateway.events(POOL_ASKS_ALL).len(), 0, "two of three are enough");
    b.says(503);
    let event = gateway.event(POOL_ASKS_ALL);

    assert_eq!((&event["pool"], &event["up"], &event["of"]), (&"p".into(), &1.into(), &3.into()));
    let before = (a.requests(), b.requests());
    assert_eq!(failures(&mut client, GET, 30), 0);
    assert_eq!((a.requests() - before.0, b.requests() - before.1), (10, 10));
    assert_eq!((&shown(&gateway)["asks_all"], gateway.metric(&up(&a))), (&true.into(), 0), "it is down all the same");
    b.says(200);
    gateway.event(POOL_MENDED);
    let before = a.requests();
    assert_eq!(failures(&mut client, POST, 30), 0);
    assert_eq!((a.requests(), &shown(&gateway)["asks_all"]), (before, &false.into()));

    // Switched off, one of three is enough.
    gateway.save(&config(&[&a, &b, &c], &format!("{HEALTH}\npanic = 0\n")));
    c.says(503);
    b.says(503);
    gateway.event_where(POOL_ASKS_ALL, |event| event["up"] == 0);
    assert_eq!(gateway.events(POOL_ASKS_ALL).len(), 2, "none is up");
    c.says(200);
    told(&gateway, BACKEND_UP, &c);
    let before = (a.requests(), b.requests());
    assert_eq!(failures(&mut client, GET, 30), 0);
    assert_eq!((a.requests(), b.requests()), before);
}

#[test]
fn the_last_backend_is_asked_whatever_its_probes_say() {
    let only = Patient::named("only");
    only.says(500);
    for panic in ["", "panic = 0"] {
        let gateway = Gateway::serving(&config(&[&only], &format!("{HEALTH}\n{panic}\n")));
        told(&gateway, BACKEND_DOWN, &only);
        gateway.event(POOL_ASKS_ALL);
        assert_eq!(failures(&mut gateway.connect("http"), POST, 10), 0);
    }
}

#[test]
fn a_backend_that_comes_back_begins_with_a_small_share() {
    let [a, b, _] = three();
    let keys = format!("{HEALTH}\nslow_start = \"1h\"\nbalance = \"random\"\n");
    let gateway = Gateway::serving(&config(&[&a, &b], &keys));
    let mut client = gateway.connect("http");
    assert_eq!(failures(&mut client, GET, 200), 0);
    assert!(a.requests() > 50, "at the start all have their whole share: {}", a.requests());
    a.says(503);
    told(&gateway, BACKEND_DOWN, &a);

    a.says(200);
    told(&gateway, BACKEND_UP, &a);

    let before = a.requests();
    assert_eq!(failures(&mut client, GET, 400), 0);
    let share = a.requests() - before;
    assert!((1..=80).contains(&share), "{share} of 400, of which a tenth of the half is 20");
    // Without it the share is whole again.
    gateway.save(&config(&[&a, &b], &format!("{HEALTH}\nbalance = \"random\"\n")));
    let before = a.requests();
    assert_eq!(failures(&mut client, GET, 400), 0);
    assert!(a.requests() - before > 120, "{}", a.requests() - before);
}
