//! A cookie brings clients back to their backend.

use std::os::unix::fs::PermissionsExt;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::{Gateway, Home};
use crate::support::served::Served;
use crate::support::stoppable::Stoppable;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A pool that sticks, with these keys and backends as they stand in the list.
fn config(keys: &str, backends: &[String]) -> String {
    let list = backends.join(", ");
    format!(
        "{HTTPS}{HTTP}[[route]]\npool = \"p\"\n[pool.p]\nsticky = {{ cookie = \"seat\" }}\n{keys}\nbackends = [{list}]\n"
    )
}

fn quoted(backends: &[Backend]) -> Vec<String> {
    backends.iter().map(|backend| format!("\"{backend}\"")).collect()
}

fn three() -> [Backend; 3] {
    ["a", "b", "c"].map(Backend::named)
}

/// Asks with a cookie.
fn ask(client: &mut Client, cookie: &str) -> Answer {
    client.ask(GET.replace("\r\n\r\n", &format!("\r\nCookie: x=y; {cookie}\r\n\r\n")))
}

/// The cookie of an answer, as the browser sends it back.
fn given(answer: &Answer) -> String {
    answer.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn whoever_has_a_cookie_comes_back_to_the_same_backend() {
    let backends = three();
    for balance in ["round_robin", "random", "least_connections", "ip_hash", "hash", "p2c", "ewma", "adaptive"] {
        let gateway = Gateway::serving(&config(&format!("balance = \"{balance}\""), &quoted(&backends)));
        for listener in ["http", "https"] {
            let first = gateway.client(listener).ask(GET);
            let cookie = first.field("set-cookie").unwrap().to_owned();
            let (named, rules) = cookie.split_once("; ").unwrap();
            assert!(named.starts_with("seat=") && named.len() == 37, "{cookie}");
            let secure = if listener == "https" { "; Secure" } else { "" };
            assert_eq!(rules, format!("Path=/; HttpOnly; SameSite=Lax{secure}"));
            for _ in 0..10 {
                let again = ask(&mut gateway.client(listener), named);
                assert_eq!((again.text(), again.field("set-cookie")), (first.text(), None), "{balance}");
            }
        }
    }
}

#[test]
fn a_cookie_that_nobody_gave_is_replaced() {
    let gateway = Gateway::serving(&config("", &quoted(&three())));
    let mut client = gateway.connect("http");
    let (good, other) = (given(&client.ask(GET)), given(&client.ask(GET)));
    assert_ne!(good, other);
    let half = format!("{}{}", &good[..20], &other[20..]);
    for forged in ["seat=", "seat=a", "seat=00000000000000000000000000000000", &half, &good.to_uppercase()] {
        assert_ne!(given(&ask(&mut client, forged)), forged, "{forged}");
    }
}

#[test]
fn gateways_with_one_key_know_each_others_cookies_and_others_do_not() {
    let backends = three();
    let config = config("", &quoted(&backends));
    let one = Gateway::serving(&config);
    let key = one.home().path("state/sticky.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let first = one.connect("http").ask(GET);

    let home = Home::new(&config);
    std::fs::create_dir(home.path("state")).unwrap();
    std::fs::copy(&key, home.path("state/sticky.key")).unwrap();
    let two = Gateway::in_home(home);
    for _ in 0..6 {
        assert_eq!(ask(&mut two.connect("http"), &given(&first)).text(), first.text());
    }
    let stranger = Gateway::serving(&config);
    assert_ne!(given(&ask(&mut stranger.connect("http"), &given(&first))), given(&first));
}

#[test]
fn who_had_a_backend_that_is_gone_gets_another_and_stays_there() {
    let backends = three();
    let all = quoted(&backends);
    let gateway = Gateway::serving(&config("", &all));
    let mut client = gateway.connect("http");
    let first = client.ask(GET);
    let left: Vec<String> =
        all.iter().zip(["a", "b", "c"]).filter(|(_, name)| *name != first.text()).map(|(one, _)| one.clone()).collect();
    gateway.save(&config("", &left));
    let moved = ask(&mut client, &given(&first));
    assert_ne!(moved.text(), first.text());
    for _ in 0..6 {
        assert_eq!(ask(&mut client, &given(&moved)).text(), moved.text());
    }
}

#[test]
fn a_backend_without_weight_keeps_the_clients_it_has_and_gets_no_new_ones() {
    let backends = three();
    let all = quoted(&backends);
    let gateway = Gateway::serving(&config("", &all));
    let mut client = gateway.connect("http");
    let first = client.ask(GET);
    let own = ["a", "b", "c"].iter().position(|name| *name == first.text()).unwrap();
    let mut list = all.clone();
    list[own] = format!("{{ url = {}, weight = 0 }}", all[own]);
    gateway.save(&config("", &list));
    for _ in 0..6 {
        assert_eq!(ask(&mut client, &given(&first)).text(), first.text());
        assert_ne!(client.ask(GET).text(), first.text());
    }
}

#[test]
fn a_request_that_its_backend_does_not_take_goes_to_another() {
    let mut backends = [Stoppable::running(), Stoppable::running()];
    let all: Vec<String> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let gateway = Gateway::serving(&config("", &all));
    let mut client = gateway.connect("http");
    let first = given(&client.ask(GET));
    let other = given(&client.ask(GET));
    let waiting = |cookie: &str| ask(&mut gateway.connect("http"), cookie);
    backends[0].stop();
    // One of the two is stopped: whose cookie it is, its requests are answered by the other.
    assert!([first, other].iter().all(|cookie| waiting(cookie).status == 200));
}

#[test]
fn a_config_that_is_only_checked_leaves_no_key_behind() {
    let home = Home::new(&config("", &quoted(&three())));
    let mut process = home.start("check");
    assert_eq!(process.wait().code(), Some(0), "{}", process.output());
    assert!(!home.path("state").exists());
}

#[test]
fn the_readme_shows_a_sticky_pool() {
    let served = Served::example("**Clients that come back to their backend.**");
    let answer = served.ask("GET", "sessions.example.com", "/", "");
    let cookie = format!("Cookie: {}\r\n", given(&answer));
    for _ in 0..4 {
        assert_eq!(served.ask("GET", "sessions.example.com", "/", &cookie).text(), answer.text());
    }
}
