//! What is bad when it is reloaded: one line says so, and what was good serves on.

use std::path::Path;
use std::time::Instant;

use rcgen::date_time_ymd;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::authority::Pair;
use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::events::{CERTIFICATE_REFUSED, CERTIFICATE_REPLACED, CONFIG_REFUSED, SERVING};
use crate::support::gateway::{Gateway, Home};
use crate::support::mount::{Mount, Way};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A gateway for `localhost` by name, so that a certificate must cover it; where its pair is exchanged in one step.
fn serving_localhost(backend: &Backend) -> (Gateway, Mount) {
    let route = format!("\n[[route]]\nhost = \"localhost\"\npool = [\"{backend}\"]\n");
    let home = Home::new(&format!("{HTTPS}{route}"));
    let pair = home.authority.issue(&["localhost"]);
    let mount = Mount::new(&home, "..pair", &files(&pair));
    (Gateway::in_home(home), mount)
}

fn files(pair: &Pair) -> [(&'static str, &str); 2] {
    [("localhost.crt", &pair.certificate), ("localhost.key", &pair.key)]
}

/// The lines that refuse a certificate for this reason. A reload that reads the certificate before an exchange and the key after
/// it sees two that do not belong together, and says so, until the next one.
fn refusals(gateway: &Gateway, reason: &str) -> usize {
    let lines = gateway.events(CERTIFICATE_REFUSED);
    lines.iter().filter(|event| event["problem"].as_str().unwrap().contains(reason)).count()
}

/// Saves a bad pair: one line says so for this reason. The old pair serves on, and a good one after it is taken.
fn refused_for(reason: &str, make: impl FnOnce(&Home) -> Pair) {
    let backend = Backend::named("one");
    let (gateway, mut mount) = serving_localhost(&backend);
    let before = gateway.connect_tls("https", "localhost").certificate();

    let bad = make(gateway.home());
    mount.save(Way::Symlink, &files(&bad));
    gateway.event_where(CERTIFICATE_REFUSED, |event| event["problem"].as_str().unwrap().contains(reason));

    let mut client = gateway.connect_tls("https", "localhost");
    assert_eq!(client.certificate(), before);
    assert_eq!(client.ask(GET).status, 200);
    let status: Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert!(status["certificates"][0]["problem"].is_string(), "{status}");
    mount.save(Way::Symlink, &files(&gateway.home().authority.issue(&["localhost"])));
    gateway.event(CERTIFICATE_REPLACED);
    assert_ne!(gateway.connect_tls("https", "localhost").certificate(), before);
    assert!(refusals(&gateway, reason) == 1 && gateway.events(CONFIG_REFUSED).is_empty(), "{}", gateway.output());
}

#[test]
fn a_half_written_certificate_is_refused() {
    refused_for("localhost.crt", |home| {
        let mut pair = home.authority.issue(&["localhost"]);
        pair.certificate.truncate(pair.certificate.len() / 2);
        pair
    });
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    refused_for("does not belong", |home| {
        let key = home.authority.issue(&["localhost"]).key;
        Pair { key, ..home.authority.issue(&["localhost"]) }
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    refused_for("expired", |home| {
        home.authority.issue_like(&["localhost"], |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    });
}

#[test]
fn a_certificate_that_does_not_cover_what_routes_need_is_refused() {
    refused_for("does not cover localhost", |home| home.authority.issue(&["elsewhere.example"]));
}

#[test]
fn a_refused_certificate_does_not_hold_up_the_config() {
    let backend = Backend::named("one");
    let (gateway, mut mount) = serving_localhost(&backend);
    mount.save(Way::Symlink, &files(&gateway.home().authority.issue(&["elsewhere.example"])));
    let lost = "does not cover localhost";
    let is_lost = |event: &Value| event["problem"].as_str().unwrap().contains(lost);
    gateway.event_where(CERTIFICATE_REFUSED, is_lost);

    let route = "\n[[route]]\nhost = \"localhost\"\nrespond = { status = 200, body = \"new\" }\n";
    gateway.home().replace("portcullis.toml", &format!("{HTTPS}{route}"));

    let end = Instant::now() + PATIENCE;
    while gateway.connect_tls("https", "localhost").ask(GET).text() != "new" {
        assert!(Instant::now() < end, "{}", gateway.output());
    }
    assert_eq!(refusals(&gateway, lost), 1, "{}", gateway.output());
}

/// A gateway with two certificates and a route for each of `hosts`; where both pairs are exchanged in one step.
fn serving_two(listeners: &str, keys: [&str; 2], pairs: [&Pair; 2], hosts: &[&str], home: Home) -> (Gateway, Mount) {
    let [first, second] = keys;
    let route = |host: &&str| format!("[[route]]\nhost = \"{host}\"\nrespond = {{ status = 200 }}\n");
    let routes: String = hosts.iter().map(route).collect();
    let config = format!(
        "{listeners}[[certificate]]\ncert = \"a.crt\"\nkey = \"a.key\"\n{first}\
         [[certificate]]\ncert = \"b.crt\"\nkey = \"b.key\"\n{second}{routes}"
    );
    let mount = Mount::new(&home, "..pairs", &both(pairs));
    home.replace("portcullis.toml", &config);
    (Gateway::in_home(home), mount)
}

fn both([a, b]: [&Pair; 2]) -> [(&'static str, &str); 4] {
    [("a.crt", &a.certificate), ("a.key", &a.key), ("b.crt", &b.certificate), ("b.key", &b.key)]
}

fn tls_listener(name: &str) -> String {
    format!("[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\ntls = true\n")
}

#[test]
fn a_certificate_of_another_listener_covers_nothing_here() {
    let home = Home::new("");
    let issue = |names: &[&str]| home.authority.issue(names);
    let [a, b, fresh] = [issue(&["localhost"]), issue(&["localhost"]), issue(&["elsewhere.example"])];
    let keys = ["listener = [\"one\"]\n", "listener = [\"two\"]\n"];
    let listeners = format!("{}{}", tls_listener("one"), tls_listener("two"));
    let (gateway, mut mount) = serving_two(&listeners, keys, [&a, &b], &["localhost"], home);

    mount.save(Way::Symlink, &both([&fresh, &b]));
    gateway.event_where(CERTIFICATE_REFUSED, |event| {
        event["problem"].as_str().unwrap().contains("does not cover localhost")
    });

    assert_eq!(gateway.connect_tls("one", "localhost").certificate(), a.der());
}

#[test]
fn a_name_moves_between_certificates_and_counts_only_where_it_is_served() {
    let home = Home::new("");
    let issue = |names: &[&str]| home.authority.issue(names);
    let [a, b, other] = [issue(&["a.example"]), issue(&["b.example"]), issue(&["elsewhere.example"])];
    let [fresh_a, fresh_b] = [issue(&["a.example"]), issue(&["b.example"])];
    let whole = issue(&["a.example", "b.example"]);
    let (gateway, mut mount) =
        serving_two(&tls_listener("https"), ["", ""], [&a, &b], &["a.example", "b.example"], home);
    let shown = |name: &str| gateway.connect_tls("https", name).certificate();

    // The second would cover what the first loses, and is refused itself.
    mount.save(Way::Symlink, &both([&other, &fresh_a]));
    for lost in ["does not cover a.example", "does not cover b.example"] {
        gateway.event_where(CERTIFICATE_REFUSED, |event| event["problem"].as_str().unwrap().contains(lost));
    }
    assert_eq!([shown("a.example"), shown("b.example")], [a.der(), b.der()]);

    // Each covers what the other loses. One comes first, and for a moment nobody has the name it loses.
    mount.save(Way::Symlink, &both([&fresh_b, &fresh_a]));
    for certificate in ["a", "b"] {
        gateway.event_where(CERTIFICATE_REPLACED, |event| event["certificate"] == certificate);
    }
    assert_eq!([shown("a.example"), shown("b.example")], [fresh_a.der(), fresh_b.der()]);

    // The second takes over what the first loses, and nobody is refused meanwhile.
    mount.save(Way::Symlink, &both([&other, &whole]));
    let end = Instant::now() + PATIENCE;
    while shown("b.example") != whole.der() {
        assert!(Instant::now() < end, "{}", gateway.output());
    }
}

#[test]
fn a_certificate_that_was_refused_is_no_change_at_the_next_reload() {
    let backend = Backend::named("one");
    let (mut gateway, mut mount) = serving_localhost(&backend);
    mount.save(Way::Symlink, &files(&gateway.home().authority.issue(&["elsewhere.example"])));
    let lost = "does not cover localhost";
    gateway.event_where(CERTIFICATE_REFUSED, |event| event["problem"].as_str().unwrap().contains(lost));
    let unchanged = "portcullis_config_reloads_total{outcome=\"unchanged\"} ";
    let before = gateway.metric(unchanged);

    gateway.signal(Signal::HUP);

    let end = Instant::now() + PATIENCE;
    while gateway.metric(unchanged) == before {
        assert!(Instant::now() < end, "{}", gateway.output());
    }
    assert_eq!(refusals(&gateway, lost), 1, "{}", gateway.output());
    let status: Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert!(status["certificates"][0]["problem"].as_str().is_some_and(|problem| problem.contains(lost)), "{status}");
}

/// Spoils the config file; what the one line about it says. The old one serves on, and a good one after it is taken.
fn config_refusal(spoil: impl FnOnce(&Path)) -> String {
    let backend = Backend::named("one");
    let good = format!("{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&good);

    spoil(&gateway.home().config());
    let refused = gateway.event(CONFIG_REFUSED);

    assert_eq!(gateway.connect("http").ask(GET).status, 200);
    assert_eq!(gateway.events(CONFIG_REFUSED).len(), 1, "{}", gateway.output());
    // A folder can only be replaced once it is gone.
    let _ = std::fs::remove_dir(gateway.home().config());
    gateway.save(&good.replace("\"all\"", "\"mended\""));
    assert_eq!(gateway.connect("http").ask(GET).status, 200);
    refused["problem"].as_str().unwrap().to_owned()
}

#[test]
fn a_config_that_is_gone_or_cannot_be_read_changes_nothing() {
    let gone = config_refusal(|file| std::fs::remove_file(file).unwrap());
    assert!(gone.contains("portcullis.toml"), "{gone}");
    let folder = config_refusal(|file| {
        std::fs::remove_file(file).unwrap();
        std::fs::create_dir(file).unwrap();
    });
    assert!(folder.contains("portcullis.toml"), "{folder}");
    let bytes = config_refusal(|file| std::fs::write(file, b"# \xff\xfe\n").unwrap());
    assert!(bytes.contains("UTF-8"), "{bytes}");
}

#[test]
fn a_full_disk_costs_log_lines_and_nothing_else() {
    let backend = Backend::named("one");
    let config = format!("[log.access]\npath = \"/dev/full\"\n{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&config);
    let mut client = gateway.connect("http");

    for _ in 0..20 {
        assert_eq!(client.ask(GET).status, 200);
    }

    let complaint =
        "cannot write the access log; its lines are dropped and counted until it can: make space or the path writable";
    let event = gateway.event(complaint);
    assert_eq!(event["path"], "/dev/full");
    let end = Instant::now() + PATIENCE;
    while gateway.metric("portcullis_log_lines_dropped_total ") < 20 {
        assert!(Instant::now() < end, "{}", gateway.ask_admin("/metrics").text());
    }
    assert_eq!(client.ask(GET).status, 200);
    assert_eq!(gateway.events(complaint).len(), 1, "{}", gateway.output());

    // Mended in the config: lines are written again.
    gateway.save(&format!("{HTTP}{}", route_to(&[&backend])));
    assert_eq!(gateway.connect("http").ask(GET).status, 200);
    gateway.access(|line| line["status"] == 200);
    gateway.event_where(SERVING, |event| event["generation"] == 2);
}
