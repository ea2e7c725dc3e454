//! Saves and certificates, one after another, while clients are served: no request fails, and each is live within a second.

use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::configs::HTTPS;
use crate::support::gateway::{Gateway, Home};
use crate::support::load::{H2load, Wrk};
use crate::support::mount::{Mount, Way};
use crate::support::servers::Nginx;

/// How many saves and how many certificates, unless the environment says more: `tests/full/churn` does.
const ROUNDS: usize = 12;
/// Where it says so.
const ROUNDS_VARIABLE: &str = "PORTCULLIS_CHURN_ROUNDS";

/// How long after the write a new connection may still see the old state.
const LIVE_WITHIN: Duration = Duration::from_secs(1);

/// Two backends for everything, and a route that tells which save is live.
fn config(backends: &[Nginx; 2], save: usize) -> String {
    let [one, two] = backends;
    format!(
        r#"{HTTPS}
        [[route]]
        path = "/save"
        respond = {{ status = 200, body = "{save}" }}
        [[route]]
        pool = ["{one}", "{two}"]
        "#
    )
}

/// Makes one connection after another until one sees what was written; how long after the write that was.
fn seen(gateway: &Gateway, written: Instant, sees: impl Fn(&mut Client) -> bool) -> Duration {
    while !sees(&mut gateway.connect_tls("https", "localhost")) {
        assert!(written.elapsed() < PATIENCE, "not live after {:?}\n{}", written.elapsed(), gateway.output());
    }
    written.elapsed()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the gateway; here it is tests/full/churn that asks for more"
)]
fn no_request_fails_while_configs_and_certificates_change() {
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let backends = [Nginx::serving(""), Nginx::serving("")];
    for backend in &backends {
        std::fs::write(backend.root().join("file"), "from nginx").unwrap();
    }
    let home = Home::new("");
    let pair = home.authority.issue(&["localhost"]);
    let mut configs = Mount::new(&home, "..config", &[("portcullis.toml", &config(&backends, 0))]);
    let mut pairs = Mount::new(&home, "..pair", &[("localhost.crt", &pair.certificate), ("localhost.key", &pair.key)]);
    let gateway = Gateway::in_home(home);
    let wrk = Wrk::on(&gateway.url("https", "/file"), 8);
    let h2load = H2load::on(&gateway.url("https", "/file"), (2, 10));

    let mut slowest = [Duration::ZERO; 2];
    for (round, way) in (1..=rounds).zip(Way::in_turn()) {
        let written = configs.save(way, &[("portcullis.toml", &config(&backends, round))]);
        let took = seen(&gateway, written, |client| {
            client.ask("GET /save HTTP/1.1\r\nHost: localhost\r\n\r\n").text() == round.to_string()
        });
        assert!(took < LIVE_WITHIN, "save {round}, {way:?}, was live after {took:?}");
        slowest[0] = slowest[0].max(took);

        let pair = gateway.home().authority.issue(&["localhost"]);
        let files = [("localhost.crt", pair.certificate.as_str()), ("localhost.key", pair.key.as_str())];
        let written = pairs.save(way, &files);
        let took = seen(&gateway, written, |client| client.certificate() == pair.der());
        assert!(took < LIVE_WITHIN, "certificate {round}, {way:?}, was live after {took:?}");
        slowest[1] = slowest[1].max(took);
    }

    let answered = (wrk.stop(), h2load.stop());
    let [save, certificate] = slowest;
    println!("{rounds} saves and {rounds} certificates live within {save:?} and {certificate:?}");
    println!("answered meanwhile: {} to wrk, {} to h2load", answered.0, answered.1);
    assert!(answered.0 > rounds && answered.1 > rounds, "{answered:?}");
}
