//! Keys of listeners, routes and pools that no other theme sets: each changes what the gateway does.

use std::process::{Command, Stdio};

use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::events::CONFIG_REFUSED;
use crate::support::gateway::{Gateway, Home};
use crate::support::script::Script;

const RESPOND: &str = "[[route]]\nrespond = { status = 200, body = \"plain\" }\n";

fn get(gateway: &Gateway, target: &str, fields: &str) -> Answer {
    gateway.connect("http").ask(format!("GET {target} HTTP/1.1\r\nHost: localhost:80\r\n{fields}\r\n"))
}

/// What a program of the outside says of the TLS listener, and whether it was content.
fn seen_by(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn openssl(gateway: &Gateway, version: &str) -> (bool, String) {
    let address = gateway.address("https").to_string();
    seen_by("openssl", &["s_client", "-connect", &address, "-servername", "localhost", version])
}

#[test]
fn redirect_https_sends_everything_to_the_public_port() {
    let gateway = Gateway::serving(&format!("{HTTP}redirect_https = 8443\n{RESPOND}"));

    let answer = get(&gateway, "/a?b=c", "");

    assert_eq!(answer.status, 308, "{answer:?}");
    assert_eq!(answer.field("location"), Some("https://localhost:8443/a?b=c"));
}

#[test]
fn hsts_is_said_over_tls_only() {
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}[[host]]\nname = \"localhost\"\nhsts = \"365d\"\n{RESPOND}"));

    let secure = gateway.connect_tls("https", "localhost").ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    assert_eq!(secure.field("strict-transport-security"), Some("max-age=31536000"), "{secure:?}");
    assert_eq!(get(&gateway, "/", "").field("strict-transport-security"), None);
}

#[test]
fn encoded_slashes_are_kept_only_where_a_route_says_so() {
    let keeping =
        "[[route]]\nname = \"kept\"\npath = \"/kept/*\"\nencoded_slash = \"keep\"\nrespond = { status = 201 }\n";
    let gateway = Gateway::serving(&format!("{HTTP}{keeping}{RESPOND}"));

    assert_eq!(get(&gateway, "/kept/a%2Fb", "").status, 201);
    assert_eq!(get(&gateway, "/other/a%2Fb", "").status, 400);
}

#[test]
fn header_and_query_decide_the_route() {
    let gateway = Gateway::serving(&format!(
        "{HTTP}{RESPOND}\
         [[route]]\nname = \"b\"\nheader = {{ \"X-Group\" = \"B\" }}\nrespond = {{ status = 201 }}\n\
         [[route]]\nname = \"beta\"\nquery = {{ beta = \"1\" }}\nrespond = {{ status = 202, content_type = \"text/css\", body = \"x\" }}\n"
    ));

    assert_eq!(get(&gateway, "/", "X-Group: B\r\n").status, 201);
    assert_eq!(get(&gateway, "/", "X-Group: C\r\n").status, 200);
    assert_eq!(get(&gateway, "/?beta=2", "").status, 200);
    let beta = get(&gateway, "/?beta=1", "");
    assert_eq!((beta.status, beta.field("content-type")), (202, Some("text/css")), "{beta:?}");
}

#[test]
fn without_attempts_nothing_is_sent_again() {
    let (dead, alive) = (Script::dead(), Backend::named("alive"));
    let gateway = Gateway::serving(&format!(
        "{HTTP}[[route]]\npool = \"p\"\n[pool.p]\nbackends = [\"{dead}\", \"{alive}\"]\nretry = {{ attempts = 0 }}\n"
    ));

    let mut statuses = [get(&gateway, "/", "").status, get(&gateway, "/", "").status];
    statuses.sort_unstable();

    assert_eq!(statuses, [200, 502]);
}

#[test]
fn min_version_and_cipher_suites_bound_the_handshake() {
    let offering = |tls: &str| Gateway::serving(&format!("{}{RESPOND}", HTTPS.replace("tls = true", tls)));
    for (tls, older) in [("tls = true", true), ("tls = { min_version = \"1.3\" }", false)] {
        let gateway = offering(tls);
        let (content, said) = openssl(&gateway, "-tls1_2");
        assert_eq!(content, older, "{tls} {said}");
        assert!(openssl(&gateway, "-tls1_3").0, "{tls}");
    }
    let tls = "tls = { min_version = \"1.3\", cipher_suites = [\"TLS_AES_256_GCM_SHA384\"] }";
    let gateway = offering(tls);

    let (content, said) = openssl(&gateway, "-tls1_2");
    assert!(!content, "{said}");
    let (content, said) = openssl(&gateway, "-tls1_3");
    assert!(content && said.contains("TLS_AES_256_GCM_SHA384"), "{said}");
}

#[test]
fn h2_streams_is_what_clients_are_told() {
    let limits = "tls = true\nlimits = { h2_streams = 7 }";
    let gateway = Gateway::serving(&format!("{}{RESPOND}", HTTPS.replace("tls = true", limits)));

    let (_, said) = seen_by("nghttp", &["-nv", &gateway.url("https", "/")]);

    assert!(said.contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):7"), "{said}");
}

#[test]
fn a_route_serves_on_the_listeners_it_names_only() {
    let listeners = format!("{HTTP}{}", HTTP.replace("\"http\"", "\"other\""));
    let gateway =
        Gateway::serving(&format!("{listeners}{}", RESPOND.replace("respond", "listener = [\"http\"]\nrespond")));

    assert_eq!(get(&gateway, "/", "").status, 200);
    assert_eq!(gateway.connect("other").ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 404);
}

#[test]
fn method_and_host_decide_the_route() {
    let gateway = Gateway::serving(&format!(
        "{HTTP}{RESPOND}\
         [[route]]\nname = \"get\"\nmethod = [\"PUT\", \"DELETE\"]\nrespond = {{ status = 201 }}\n\
         [[route]]\nhost = [\"one.example\", \"*.two.example\"]\nrespond = {{ status = 202 }}\n"
    ));
    let ask = |method: &str, host: &str| {
        gateway.connect("http").ask(format!("{method} / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };

    assert_eq!([ask("GET", "a"), ask("PUT", "a"), ask("DELETE", "a")], [200, 201, 201]);
    assert_eq!([ask("GET", "one.example"), ask("GET", "x.two.example"), ask("GET", "two.example")], [202, 202, 200]);
}

#[test]
fn a_rewrite_puts_another_prefix_in_place_of_the_routes() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!(
        "{HTTP}[[route]]\npath = \"/old/*\"\npool = [\"{backend}\"]\nrewrite = {{ prefix = \"/new\" }}\n"
    ));

    assert_eq!(get(&gateway, "/old/a?b", "").status, 200);

    assert_eq!(backend.received().line, "GET /new/a?b HTTP/1.1");
}

#[test]
fn a_redirect_says_where_to_with_the_status_it_is_given() {
    let redirect = "redirect = { to = \"https://www.example.com/else\", status = 302 }";
    let gateway = Gateway::serving(&format!("{HTTP}[[route]]\n{redirect}\n"));

    let answer = get(&gateway, "/a", "");

    assert_eq!((answer.status, answer.field("location")), (302, Some("https://www.example.com/else")), "{answer:?}");
}

#[test]
fn pool_idle_closes_connections_that_nobody_uses() {
    let (sender, closed) = std::sync::mpsc::channel();
    let backend = Script::playing(move |conversation| {
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        let _ = sender.send(());
    });
    // Left as it is, a connection is kept for longer than this test waits.
    let gateway =
        Gateway::serving(&format!("{HTTP}[[route]]\npool = {{ backends = [\"{backend}\"], pool_idle = \"1s\" }}\n"));

    assert_eq!(get(&gateway, "/", "").status, 200);

    closed.recv_timeout(PATIENCE).expect("the gateway closes the connection");
}

#[test]
fn balance_is_what_the_pool_says_or_else_the_environment() {
    let backends = [Backend::named("one"), Backend::named("two")];
    let config = |balance: &str| {
        let [one, two] = &backends;
        let list = format!("[\"{one}\", {{ url = \"{two}\", weight = 3 }}]");
        format!("{HTTP}[[route]]\npool = \"p\"\n[pool.p]\n{balance}backends = {list}\n")
    };
    let strategy = |value: &str, config: &str| {
        let home = Home::new(config);
        let output = home.command("check").env("PORTCULLIS_STRATEGY", value).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };

    let home = Home::new(&config("balance = \"weighted\"\n"));
    let gateway = Gateway::in_home_as(home, |command| {
        command.env("PORTCULLIS_STRATEGY", "round_robin");
    });
    let shares = (0..8).map(|_| get(&gateway, "/", "").text()).filter(|name| name == "two").count();
    assert_eq!(shares, 6, "three of four by weight");
    let status: serde_json::Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert_eq!(status["pools"][0]["balance"], "round_robin", "{status}");

    gateway.home().replace("portcullis.toml", &config("balance = \"dice\"\n"));
    gateway.event_where(CONFIG_REFUSED, |event| event["problem"].as_str().unwrap().contains("`dice`"));
    let (code, said) = strategy("dice", &config(""));
    assert!(code == Some(2) && said.contains("PORTCULLIS_STRATEGY") && said.contains("round_robin"), "{code:?} {said}");
}
