//! Who may come, before TLS: whom every list denies gets not one byte, and nobody else is turned away there.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::client::{Client, trusting};
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::Gateway;

const RESPOND: &str = "[[route]]\nname = \"all\"\nrespond = { status = 200, body = \"in\" }\n";
const REFUSED: &str = "portcullis_refused_total{reason=\"acl\",route=\"\"}";

/// The first bytes of a client that begins a handshake.
fn hello(gateway: &Gateway) -> Vec<u8> {
    let config = Arc::new(trusting(&gateway.home().authority, b"http/1.1"));
    let name = ServerName::try_from("localhost").unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(config, name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// What curl gets over TLS from 127.0.0.LAST, or nothing where there was no handshake.
fn over_tls(gateway: &Gateway, last: u8, path: &str) -> Option<u16> {
    let curl = gateway.curl().arg("--interface").arg(format!("127.0.0.{last}"));
    curl.try_ask(&gateway.url("https", path)).ok().map(|answer| answer.status)
}

#[test]
fn a_denied_peer_gets_no_server_hello() {
    let gateway = Gateway::serving(&format!("[acl]\ndeny = [\"127.0.0.2/32\"]\n{HTTPS}{HTTP}{RESPOND}"));
    let from = |last: u8, listener: &str| Client::tcp_from(IpAddr::from([127, 0, 0, last]), gateway.address(listener));

    from(2, "https").send(hello(&gateway)).expect_closed();

    let line = gateway.access(|line| line["reason"] == "acl");
    let told = [&line["status"], &line["client"], &line["method"], &line["listener"]];
    assert_eq!(told, [&serde_json::json!(403), &"127.0.0.2".into(), &"".into(), &"https".into()], "{line}");
    assert_eq!(gateway.metric(REFUSED), 1);
    // It need not say a word, and it is no handshake that failed.
    from(2, "https").expect_closed();
    gateway.wait_for_metric(REFUSED, 2);
    let metrics = gateway.ask_admin("/metrics").text();
    assert!(!metrics.contains("portcullis_tls_handshake_failures_total{"), "{metrics}");
    // Where there is no TLS it is told.
    let answer = from(2, "http").ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((answer.status, answer.refusal()), (403, Some("http_request_denied")), "{answer:?}");
    assert_eq!([over_tls(&gateway, 1, "/"), over_tls(&gateway, 2, "/")], [Some(200), None]);
}

#[test]
fn a_peer_that_some_list_could_allow_shakes_hands() {
    let serving = |more: &str| Gateway::serving(&format!("{more}{HTTPS}{RESPOND}"));
    let denying = "[acl]\ndeny = [\"127.0.0.0/28\"]\n";
    let own = "[[route]]\npath = \"/x\"\nrespond = { status = 200 }\nacl = { allow = [\"127.0.0.2\"] }\n";
    for (more, outside, inside) in [
        // A rule that allows 127.0.0.2, one that says nothing of it, and one that denies it as well.
        (format!("{denying}[[acl.rule]]\npath = \"/x\"\nallow = [\"127.0.0.2\"]\n"), Some(403), Some(200)),
        (format!("{denying}[[acl.rule]]\npath = \"/x\"\ndeny = [\"127.0.0.9\"]\n"), Some(403), Some(200)),
        (format!("{denying}[[acl.rule]]\npath = \"/x\"\ndeny = [\"127.0.0.2\"]\n"), None, None),
        (format!("{denying}[[acl.rule]]\npath = \"/x\"\nallow = [\"127.0.0.9\"]\n"), None, None),
        // So it is with a route's list.
        (format!("{denying}{own}"), Some(403), Some(200)),
        (format!("{denying}{}", own.replace("127.0.0.2", "127.0.0.9")), None, None),
        (
            format!(
                "{denying}{}",
                own.replace("allow = [\"127.0.0.2\"]", "deny = [\"127.0.0.2\"], mode = \"observe\"")
            ),
            Some(403),
            Some(200),
        ),
        // Nobody is refused by who only looks.
        (format!("{denying}mode = \"observe\"\n"), Some(200), Some(200)),
        // What a trusted proxy says may be another's words.
        (format!("{denying}[server]\ntrusted_proxies = [\"127.0.0.2\"]\n"), Some(403), Some(403)),
    ] {
        let gateway = serving(&more);
        let seen = [over_tls(&gateway, 2, "/"), over_tls(&gateway, 2, "/x")];
        assert_eq!(seen, [outside, inside], "{more}\n{}", gateway.output());
    }
}

#[test]
fn whom_a_proxy_header_names_is_turned_away_not_the_proxy() {
    let wanting = |listener: &str| listener.replace(":0\"\n", ":0\"\nproxy_protocol = true\n");
    let gateway = Gateway::serving(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[acl]\ndeny = [\"192.0.2.0/24\", \"127.0.0.1\"]\n{}{}{RESPOND}",
        wanting(HTTPS),
        wanting(HTTP)
    ));
    let line = |address: &str, family: &str| format!("PROXY {family} {address} {address} 1 2\r\n");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mapped = line("::ffff:192.0.2.7", "TCP6");

    for header in [&line("192.0.2.7", "TCP4"), &mapped] {
        let mut client = gateway.connect("https");
        client.send(header).send(hello(&gateway)).expect_closed();
        assert_eq!(gateway.connect("http").send(header).ask(request).status, 403);
    }
    assert_eq!(gateway.connect("http").send(line("198.51.100.7", "TCP4")).ask(request).status, 200);
    gateway.wait_for_metric(REFUSED, 2);
    let line = gateway.access(|line| line["listener"] == "https");
    assert_eq!(line["client"], "192.0.2.7", "{line}");
}

#[test]
fn a_saved_list_holds_for_the_next_connection() {
    let config = format!("{HTTPS}{RESPOND}");
    let gateway = Gateway::serving(&config);
    assert_eq!(over_tls(&gateway, 2, "/"), Some(200));

    gateway.save(&format!("[acl]\ndeny = [\"127.0.0.2\"]\n{config}"));
    assert_eq!(over_tls(&gateway, 2, "/"), None);

    gateway.save(&config);
    assert_eq!(over_tls(&gateway, 2, "/"), Some(200));
}
