//! PROXY headers: whom they name, who may send them, and what is no such header.

use std::time::Duration;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::haproxy::Haproxy;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CLAIM: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

/// A version 2 header with this command, family and body.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, body].concat()
}

/// The ends of `LINE` in version 2.
const ENDS: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];

/// A gateway whose listeners want PROXY headers from `trusted`, with more lines for each listener.
fn gateway(trusted: &str, lines: &str, backend: &Backend) -> Gateway {
    let wanting = |listener: &str| listener.replace(":0\"\n", &format!(":0\"\nproxy_protocol = true\n{lines}"));
    let server = format!("[server]\ntrusted_proxies = [\"{trusted}\"]\n");
    Gateway::serving(&format!("{server}{}{}{}", wanting(HTTP), wanting(HTTPS), route_to(&[backend])))
}

fn refused(gateway: &Gateway, reason: &str) -> u64 {
    gateway.metric(&format!("portcullis_refused_total{{reason=\"{reason}\",route=\"\"}} "))
}

/// Waits until so many were refused.
fn wait_for_refused(gateway: &Gateway, reason: &str, count: u64) {
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    while refused(gateway, reason) < count {
        assert!(std::time::Instant::now() < end, "{reason}: {}", refused(gateway, reason));
    }
    assert_eq!(refused(gateway, reason), count);
}

#[test]
fn the_named_client_is_the_client_everywhere() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.1", "", &backend);
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[255, 255, 192, 0, 2, 9]);
    for (header, client) in [
        (LINE.as_bytes().to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:192.0.2.8 ::ffff:127.0.0.1 1 2\r\n".to_vec(), "192.0.2.8"),
        (binary(0x21, 0x11, &ENDS), "192.0.2.7"),
        (binary(0x21, 0x11, &[&ENDS[..], &[2, 0, 3, b'a', b'.', b'b'], &[4, 4, 0], &[0; 1024]].concat()), "192.0.2.7"),
        (binary(0x21, 0x21, &mapped), "192.0.2.9"),
        (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".to_vec(), "203.0.113.9"),
    ] {
        let request = CLAIM.replace("/ ", &format!("/{client} "));
        let answer = gateway.connect("http").ask([&header[..], request.as_bytes()].concat());
        assert_eq!(answer.text(), "one", "{answer:?}");
        let told = if client == "203.0.113.9" { "203.0.113.9, 127.0.0.1" } else { client };
        assert_eq!(backend.received().field("x-forwarded-for"), Some(told));
        assert_eq!(gateway.access(|line| line["path"] == format!("/{client}"))["client"], client);
    }
}

#[test]
fn a_proxy_that_names_nobody_keeps_its_address_and_only_its_own_words_are_believed() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.1", "", &backend);
    for (header, told) in [
        (binary(0x20, 0x00, &[]), "203.0.113.9, 127.0.0.1"),
        (binary(0x20, 0x11, &ENDS), "203.0.113.9, 127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY UNKNOWN ff::1 ff::2 1 2\r\n".to_vec(), "127.0.0.1"),
        (binary(0x21, 0x00, &[]), "127.0.0.1"),
        (binary(0x21, 0x31, &[b'/'; 216]), "127.0.0.1"),
        (binary(0x21, 0x12, &ENDS), "127.0.0.1"),
    ] {
        let answer = gateway.connect("http").ask([&header[..], CLAIM.as_bytes()].concat());
        assert_eq!(answer.text(), "one", "{answer:?}");
        assert_eq!(backend.received().field("x-forwarded-for"), Some(told), "{header:?}");
    }
}

#[test]
fn curl_sends_version_1_before_plain_http_tls_and_http_2() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.0/8", "", &backend);
    let curl = || gateway.curl().arg("--haproxy-protocol").arg("--interface").arg("127.0.0.9");
    for answer in [
        curl().ask(&gateway.url("http", "/")),
        curl().http1().ask(&gateway.url("https", "/")),
        curl().http2().ask(&gateway.url("https", "/")),
    ] {
        assert_eq!(answer.text(), "one", "{answer:?}");
        assert_eq!(backend.received().field("x-forwarded-for"), Some("127.0.0.9"));
    }
}

#[test]
fn haproxy_passes_clients_on_in_both_versions() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.1", "status_path = \"/ping\"\n", &backend);
    for how in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,authority"] {
        for (listener, scheme) in [("http", "http"), ("https", "https")] {
            let haproxy = Haproxy::passing_to(&gateway.address(listener), how);
            let url = format!("{scheme}://localhost:{}/", haproxy.address().port());
            let curl = || gateway.curl().arg("--interface").arg("127.0.0.3");
            let answers: [Answer; 2] = [curl().http1().ask(&url), curl().http2().ask(&url)];
            for answer in answers {
                assert_eq!(answer.text(), "one", "{how} {answer:?}\n{}", haproxy.output());
                assert_eq!(backend.received().field("x-forwarded-for"), Some("127.0.0.3"), "{how}");
            }
        }
    }
    // Its health checks speak for itself.
    let _haproxy = Haproxy::passing_to(&gateway.address("http"), "send-proxy-v2 check inter 100ms");
    let check = gateway.access(|line| line["path"] == "/ping");
    assert_eq!((&check["status"], &check["client"]), (&200.into(), &"127.0.0.1".into()), "{check}");
}

#[test]
fn strangers_are_hung_up_on() {
    let backend = Backend::named("one");
    let gateway = gateway("10.0.0.0/8", "", &backend);
    gateway.connect("http").send(LINE).send(GET).expect_closed();
    gateway.connect("https").send(binary(0x21, 0x11, &ENDS)).expect_closed();
    gateway.connect("http").expect_closed();
    assert!(Client::try_tls(gateway.address("https"), &gateway.home().authority, "localhost").is_err());
    wait_for_refused(&gateway, "proxy_header_untrusted", 4);
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_connection_without_a_good_header_is_hung_up_on() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.1", "", &backend);
    let bad = [
        GET.into(),
        b"\x16\x03\x01\x02\0\x01".to_vec(),
        LINE.replace("\r\n", "\n").into(),
        LINE.replace("4711", "99999").into(),
        LINE.replace("TCP4", "TCP6").into(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into(),
        binary(0x11, 0x11, &ENDS),
        binary(0x22, 0x11, &ENDS),
        binary(0x21, 0x51, &ENDS),
        // The length is less than the addresses take, or more than is taken.
        binary(0x21, 0x11, &ENDS[..8]),
        binary(0x21, 0x11, &[0; 8192]),
        // An extension that reaches beyond the header, and a wrong checksum.
        binary(0x21, 0x11, &[&ENDS[..], &[4, 0, 9, 1]].concat()),
        binary(0x21, 0x11, &[&ENDS[..], &[3, 0, 4, 1, 2, 3, 4]].concat()),
    ];
    for listener in ["http", "https"] {
        for header in &bad {
            gateway.connect(listener).send(header).send(GET).expect_closed();
        }
        // One that ends within its header is told from one that says nothing at all, as port checks do.
        let mut cut = gateway.connect(listener);
        cut.send("PROXY TCP4").finish_sending();
        cut.expect_closed();
        let mut silent = gateway.connect(listener);
        silent.finish_sending();
        silent.expect_closed();
    }
    wait_for_refused(&gateway, "proxy_header_malformed", 2 * (bad.len() as u64 + 1));
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_second_header_is_a_bad_request() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.1", "", &backend);
    for second in [LINE.as_bytes().to_vec(), binary(0x21, 0x11, &ENDS)] {
        for listener in ["http", "https"] {
            let mut client = gateway.connect(listener);
            client.send(LINE).send(&second).send(GET);
            if let Some(answer) = client.next_answer(false) {
                assert_eq!(answer.status, 400, "{answer:?}");
            }
            client.expect_closed();
        }
    }
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_header_may_come_byte_by_byte_and_not_for_ever() {
    let backend = Backend::named("one");
    let patient = gateway("127.0.0.1", "", &backend);
    for header in [LINE.as_bytes().to_vec(), binary(0x21, 0x11, &ENDS)] {
        let mut client = patient.connect("http");
        for byte in [&header[..], GET.as_bytes()].concat() {
            client.send([byte]);
        }
        assert_eq!(client.answer().text(), "one");
        assert_eq!(backend.received().field("x-forwarded-for"), Some("192.0.2.7"));
    }

    let hurried = gateway("127.0.0.1", "timeouts = { handshake = \"200ms\" }\n", &backend);
    for (listener, header) in [("http", LINE.as_bytes().to_vec()), ("https", binary(0x21, 0x11, &ENDS))] {
        hurried.connect(listener).send(&header[..header.len() - 1]).expect_closed();
        hurried.connect(listener).expect_closed();
    }
    // Its body never comes: the length lies.
    let mut lying = binary(0x21, 0x11, &ENDS);
    lying[15] += 200;
    hurried.connect("http").send(lying).send(GET).expect_closed();
    let mut slow = hurried.connect("http");
    slow.trickle(LINE.as_bytes().chunks(1), Duration::from_millis(40));
    slow.expect_closed();
    wait_for_refused(&hurried, "proxy_header_timeout", 6);
}

#[test]
fn the_limit_per_client_holds_for_the_named_one_and_not_for_the_proxy() {
    let backend = Backend::named("one");
    let gateway = gateway("127.0.0.1", "max_connections_per_ip = 2\n", &backend);
    let open = |header: &str| {
        let mut client = gateway.connect("http");
        client.send(header).send(GET);
        client
    };
    let mut kept: Vec<Client> = Vec::new();
    for header in [LINE, LINE, "PROXY TCP4 192.0.2.8 198.51.100.1 1 2\r\n"] {
        let mut client = open(header);
        assert_eq!(client.answer().status, 200);
        kept.push(client);
    }
    open(LINE).expect_closed();
    wait_for_refused(&gateway, "max_connections_per_ip", 1);
    for _ in 0..4 {
        let mut client = open("PROXY UNKNOWN\r\n");
        assert_eq!(client.answer().status, 200);
        kept.push(client);
    }
}

#[test]
fn a_unix_socket_takes_headers_from_this_machine() {
    let backend = Backend::named("one");
    for (trusted, served) in [("127.0.0.1", true), ("10.0.0.0/8", false)] {
        let server = format!("[server]\ntrusted_proxies = [\"{trusted}\"]\n");
        let listener = "[[listener]]\nname = \"local\"\nbind = \"unix:s\"\nproxy_protocol = true\n";
        let gateway = Gateway::serving(&format!("{server}{listener}{}", route_to(&[&backend])));
        let mut client = gateway.connect_unix("s");
        client.send(LINE).send(GET);
        if served {
            assert_eq!(client.answer().text(), "one");
            assert_eq!(backend.received().field("x-forwarded-for"), Some("192.0.2.7"));
        } else {
            client.expect_closed();
        }
    }
}

#[test]
fn a_listener_that_begins_to_want_headers_wants_them_of_the_next_connection() {
    let backend = Backend::named("one");
    let config = format!("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&config);
    let mut open = gateway.connect("http");
    assert_eq!(open.ask(GET).status, 200);
    let wanting = config.replace("name = \"http\"\n", "name = \"http\"\nproxy_protocol = true\n");
    gateway.save(&wanting);

    assert_eq!(open.ask(GET).status, 200);
    gateway.connect("http").send(GET).expect_closed();
    assert_eq!(gateway.connect("http").ask([LINE, GET].concat()).status, 200);
}
