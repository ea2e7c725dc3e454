//! `send_proxy`: what backends are told of the client before its first request, and that nobody else's requests follow.

use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::{Gateway, Home};
use crate::support::script::{Conversation, Script};
use crate::support::servers::Nginx;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A route to a pool that sends headers, with more keys for the pool.
fn route_to(backend: &dyn std::fmt::Display, keys: &str) -> String {
    format!("[[route]]\npool = \"all\"\n[pool.all]\nbackends = [\"{backend}\"]\nsend_proxy = \"v2\"\n{keys}")
}

/// What follows the signature of a version 2 header, up to its end.
fn header(conversation: &mut Conversation) -> Option<Vec<u8>> {
    let fixed = conversation.bytes(16);
    let length = fixed.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")?.get(2..4)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    Some([&fixed[12..], &conversation.bytes(length)].concat())
}

/// Answers every request with the header that its connection began with, in hexadecimal digits.
fn telling() -> Script {
    Script::playing(|conversation| {
        let Some(header) = header(conversation) else { return };
        let told: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
        while conversation.request().is_some() {
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len()));
        }
    })
}

#[test]
fn nginx_learns_who_the_client_is_and_where_it_connected() {
    let told = "location / { return 200 \"$proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port\"; }";
    let home = Home::new("");
    let certificate = format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        home.path("localhost.crt").display(),
        home.path("localhost.key").display()
    );
    let clear = Nginx::listening("http", " proxy_protocol", told);
    let h2 = Nginx::listening("http", " http2 proxy_protocol", told);
    let secure = Nginx::listening("https", " ssl http2 proxy_protocol", &format!("{certificate} {told}"));
    let ca = format!("tls = {{ ca = \"{}\" }}\n", home.path("ca.crt").display());
    for (nginx, keys) in [
        (&clear, ""),
        (&h2, "protocol = \"h2\"\n"),
        (&secure, &format!("{ca}protocol = \"h1\"\n")),
        (&secure, &format!("{ca}protocol = \"h2\"\n")),
        (&secure, &ca),
    ] {
        let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(nginx, keys)));
        let address = gateway.address("http");
        for from in [[127, 0, 0, 5], [127, 0, 0, 6]] {
            let mut client = Client::tcp_from(from.into(), address);
            let expected = format!("{} {address}", client.local());
            assert_eq!(client.ask(GET).text(), expected, "{keys}{}", nginx.output());
            assert_eq!(client.ask(GET).text(), expected, "again");
        }
        let mut client = gateway.connect_tls("https", "localhost");
        assert_eq!(client.ask(GET).text(), format!("{} {}", client.local(), gateway.address("https")));
    }
}

#[test]
fn a_connection_carries_one_clients_requests_only() {
    let backend = telling();
    let gateway = Gateway::serving(&format!("[server]\nworkers = 1\n{HTTP}{}", route_to(&backend, "")));
    let mut first = gateway.connect("http");
    let mut second = gateway.connect("http");
    let mut connections = Vec::new();
    for _ in 0..3 {
        for client in [&mut first, &mut second] {
            assert_eq!(client.ask(GET).status, 200);
            connections.push(backend.received().connection);
        }
    }
    assert_eq!(connections, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn what_is_told_is_what_is_known() {
    let backend = telling();
    let listeners = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[listener]]\nname = \"local\"\nbind = \"unix:s\"\n\
         [[listener]]\nname = \"behind\"\nbind = \"127.0.0.1:0\"\nproxy_protocol = true\n";
    let gateway = Gateway::serving(&format!("{listeners}{HTTP}{}", route_to(&backend, "")));
    let port = |listener: &str| format!("{:04x}", gateway.address(listener).port());
    let forwarded = |client: &str| GET.replace("\r\n\r\n", &format!("\r\nX-Forwarded-For: {client}\r\n\r\n"));
    let ask = |listener: &str, bytes: &str| {
        let mut client = if listener == "local" { gateway.connect_unix("s") } else { gateway.connect(listener) };
        client.ask(bytes).text()
    };
    // Named by a field: without a port. An IPv6 client and an IPv4 address are told as IPv6.
    let http = port("http");
    assert_eq!(ask("http", &forwarded("192.0.2.7")), format!("2111000cc00002077f0000010000{http}"));
    assert_eq!(
        ask("http", &forwarded("2001:db8::7")),
        format!("2121002420010db800000000000000000000000700000000000000000000ffff7f0000010000{http}")
    );
    assert_eq!(ask("local", &forwarded("192.0.2.7")), "2111000cc00002070000000000000000");
    // Named by a header: as it was named.
    let line = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
    assert_eq!(ask("behind", &format!("{line}{GET}")), "2111000cc0000207c6336401126701bb");
    // Not named: not even the proxy's own address stands for it, unless it speaks for itself.
    assert_eq!(ask("behind", &format!("PROXY UNKNOWN\r\n{GET}")), "21000000");
    assert_eq!(ask("behind", &format!("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0{GET}")), "20000000");
    assert_eq!(ask("local", GET), "21000000");
}

#[test]
fn a_reload_that_begins_to_send_headers_leaves_the_connections_without_one() {
    let backend = Script::playing(|conversation| {
        // The first connection begins with a request, the second with a header.
        if conversation.number > 0 {
            assert!(header(conversation).is_some());
        }
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let with = format!("[server]\nworkers = 1\n{HTTP}{}", route_to(&backend, ""));
    let without = with.replace("send_proxy = \"v2\"\n", "");
    let gateway = Gateway::serving(&without);
    let mut client = gateway.connect("http");
    for (config, connection) in [(None, 0), (Some(&with), 1), (Some(&without), 0)] {
        config.into_iter().for_each(|config| gateway.save(config));
        assert_eq!(client.ask(GET).status, 200);
        assert_eq!(backend.received().connection, connection);
    }
}
