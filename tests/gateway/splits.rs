//! Splits of one route over several pools.

use std::collections::BTreeMap;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::Gateway;
use crate::support::served::Served;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn config(split: &str, backends: &[&Backend]) -> String {
    let pools = ["blue", "green"].iter().zip(backends);
    let pools: String = pools.map(|(name, backend)| format!("[pool.{name}]\nbackends = [\"{backend}\"]\n")).collect();
    format!("{HTTPS}{HTTP}[[route]]\n{split}\n{pools}")
}

/// How many of these answers came from each.
fn counted(answers: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    answers.for_each(|answer| *counts.entry(answer).or_default() += 1);
    counts
}

#[test]
fn a_split_shares_requests_clients_or_browsers_out() {
    let (blue, green) = (Backend::named("blue"), Backend::named("green"));
    let both = [&blue, &green];
    let gateway = Gateway::serving(&config("split = { blue = 75, green = 25 }", &both));
    let mut client = gateway.connect("http");
    let counts = counted((0..200).map(|_| client.ask(GET).text()));
    assert!((148..=152).contains(&counts["blue"]) && counts.values().sum::<usize>() == 200, "{counts:?}");

    gateway.save(&config("split = { blue = 50, green = 50 }\nsplit_by = \"ip\"", &both));
    let address = gateway.address("http");
    let of = |last: u8| {
        let mut client = Client::tcp_from([127, 0, 1, last].into(), address);
        let counts = counted((0..4).map(|_| client.ask(GET).text()));
        assert_eq!(counts.len(), 1, "one client, one pool: {counts:?}");
        counts.into_keys().next().unwrap()
    };
    let first: Vec<_> = (1..40).map(of).collect();
    assert!(first.iter().any(|name| name == "blue") && first.iter().any(|name| name == "green"), "{first:?}");

    gateway.save(&config("split = { blue = 1, green = 1 }\nsplit_by = \"cookie\"", &both));
    for secure in [true, false] {
        let mut browser = if secure { gateway.connect_tls("https", "localhost") } else { gateway.connect("http") };
        let answer = browser.ask(GET);
        let given = answer.field("set-cookie").unwrap();
        assert_eq!((given.contains("; HttpOnly; SameSite=Lax"), given.contains("; Secure")), (true, secure), "{given}");
        let cookie = given.split(';').next().unwrap();
        let asks = GET.replace("\r\n\r\n", &format!("\r\nCookie: a=b; {cookie}\r\n\r\n"));
        for _ in 0..10 {
            let again = browser.ask(&asks);
            assert_eq!((again.text(), again.field("set-cookie")), (answer.text(), None));
        }
    }
}

#[test]
fn all_of_it_is_switched_over_by_a_save() {
    let (blue, green) = (Backend::named("blue"), Backend::named("green"));
    let gateway = Gateway::serving(&config("split = { blue = 100, green = 0 }", &[&blue, &green]));
    let mut client = gateway.connect("http");
    assert_eq!(counted((0..20).map(|_| client.ask(GET).text())), BTreeMap::from([("blue".to_owned(), 20)]));
    gateway.save(&config("split = { green = 100 }", &[&blue, &green]));
    assert_eq!(counted((0..20).map(|_| client.ask(GET).text())), BTreeMap::from([("green".to_owned(), 20)]));
}

#[test]
fn the_readme_shows_a_canary() {
    let served = Served::example("**A canary, and switching over.**");
    let mut seen = BTreeMap::new();
    for _ in 0..100 {
        let answer = served.ask("GET", "shop.example.com", "/", "");
        assert!(answer.field("set-cookie").is_some());
        *seen.entry(answer.text()).or_insert(0) += 1;
    }
    assert!(seen["10.0.9.1:8080"] > 60, "{seen:?}");
}
