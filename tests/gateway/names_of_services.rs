//! Backends by the name of a service: SRV records say hosts, ports and weights.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::backend::Backend;
use crate::support::configs::named;
use crate::support::dns::{NameServer, Record, Says};
use crate::support::events::NAME_RESOLVED;
use crate::support::gateway::Gateway;
use crate::support::streams::Streams;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn ask(gateway: &Gateway, times: usize) {
    let mut client = gateway.client("http");
    (0..times).for_each(|_| assert_eq!(client.ask(GET).status, 200));
}

/// Waits until the log says that the name has these addresses.
fn resolved(gateway: &Gateway, addresses: &str) {
    gateway.event_where(NAME_RESOLVED, |event| event["addresses"] == addresses);
}

#[test]
fn the_records_of_a_service_say_hosts_ports_and_weights() {
    let backends = [Backend::named("three"), Backend::named("one"), Backend::named("spare")];
    let port = |backend: &Backend| backend.to_string().rsplit_once(':').unwrap().1.parse().unwrap();
    let [three, one, spare] = [&backends[0], &backends[1], &backends[2]].map(port);
    let dns = NameServer::new();
    let records =
        [(10, 30, three, "a.app.test"), (10, 10, one, "b.app.test"), (20, 50, spare, "a.app.test")].map(record);
    dns.say("_web._tcp.app.test", Says::Records(records.to_vec()));
    dns.point("a.app.test", &["127.0.0.1"]);
    dns.point("b.app.test", &["127.0.0.1"]);
    let gateway = Gateway::serving(&named(&[&dns], "http://_web._tcp.app.test"));

    ask(&gateway, 20);
    assert_eq!(backends.each_ref().map(Backend::count), [15, 5, 0]);

    // The first host goes, and with it its share.
    dns.say("_web._tcp.app.test", Says::Records(records[1..].to_vec()));
    resolved(&gateway, &format!("127.0.0.1:{one}"));
    ask(&gateway, 4);
    assert_eq!(backends.each_ref().map(Backend::count), [15, 9, 0]);

    // Then the second: what is left is the next priority.
    dns.say("_web._tcp.app.test", Says::Records(records[2..].to_vec()));
    resolved(&gateway, &format!("127.0.0.1:{spare}"));
    ask(&gateway, 4);
    assert_eq!(backends.each_ref().map(Backend::count), [15, 9, 4]);
}

fn record((priority, weight, port, host): (u16, u16, u16, &'static str)) -> Record {
    Record::Service(priority, weight, port, host)
}

#[test]
fn streams_of_a_host_that_goes_are_finished_and_its_connection_ends_with_them() {
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    let old = Streams::playing(move |mut asked| {
        let held = Arc::clone(&held);
        async move {
            asked.read().await;
            held.acquire().await.unwrap().forget();
            asked.answer(200, &[], "old");
        }
    });
    let new = Streams::named("new");
    let port = |streams: &Streams| streams.to_string().rsplit_once(':').unwrap().1.parse().unwrap();
    let at = |port| Says::Records(vec![Record::Service(1, 1, port, "a.test")]);
    let dns = NameServer::new();
    dns.say("_web._tcp.test", at(port(&old)));
    dns.point("a.test", &["127.0.0.1"]);
    let gateway = Gateway::serving(&(named(&[&dns], "http://_web._tcp.test") + "protocol = \"h2\"\n"));
    let mut client = gateway.client("http");
    client.send(GET);
    old.received();

    dns.say("_web._tcp.test", at(port(&new)));
    resolved(&gateway, &format!("127.0.0.1:{}", port(&new)));
    assert_eq!(gateway.client("http").ask(GET).text(), "new");
    release.add_permits(1);

    assert_eq!(client.answer().text(), "old");
    assert_eq!(old.ended(), 0);
}

#[test]
fn a_host_of_a_service_that_cannot_be_asked_for_keeps_its_addresses() {
    let backends = [Backend::named("a"), Backend::named("b"), Backend::named("c")];
    let port = |backend: &Backend| backend.to_string().rsplit_once(':').unwrap().1.parse().unwrap();
    let [a, b, c] = [&backends[0], &backends[1], &backends[2]].map(port);
    let dns = NameServer::new();
    let record = |port, host| Record::Service(0, 0, port, host);
    dns.say("_web._tcp.test", Says::Records(vec![record(a, "a.test"), record(b, "b.test")]));
    ["a.test", "b.test", "c.test"].iter().for_each(|host| dns.point(host, &["127.0.0.1"]));
    let gateway = Gateway::serving(&named(&[&dns], "http://_web._tcp.test"));

    // One host fails and one is new: the new one is taken up, the other stays.
    dns.say("a.test", Says::ServerFailure);
    dns.say("_web._tcp.test", Says::Records(vec![record(a, "a.test"), record(b, "b.test"), record(c, "c.test")]));
    while backends[2].count() == 0 {
        assert_eq!(gateway.client("http").ask(GET).status, 200);
    }
    let before = backends[0].count();
    (0..6).for_each(|_| assert_eq!(gateway.client("http").ask(GET).status, 200));
    assert_eq!(backends[0].count(), before + 2);

    // One that is known to be gone is dropped.
    dns.say("a.test", Says::NotThere);
    gateway.event_where(NAME_RESOLVED, |event| event["addresses"] == sorted([b, c]));
}

/// Two ports of the loopback as the log writes them.
fn sorted(mut ports: [u16; 2]) -> String {
    ports.sort_unstable();
    format!("127.0.0.1:{}, 127.0.0.1:{}", ports[0], ports[1])
}
