//! Keys that no other theme sets: each changes what the gateway does.

use std::process::{Command, Stdio};

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::Gateway;
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
    let tls = "tls = { min_version = \"1.3\", cipher_suites = [\"TLS_AES_256_GCM_SHA384\"] }";
    let gateway = Gateway::serving(&format!("{}{RESPOND}", HTTPS.replace("tls = true", tls)));

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
