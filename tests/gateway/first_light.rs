//! The main job: HTTPS in front of backends.

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;
use crate::support::servers::{Nginx, Python};

#[test]
fn https_reaches_a_backend_over_http1() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let answer = gateway.curl().http1().ask(&gateway.url("https", "/a/b?c=d"));

    assert_eq!((answer.status, answer.text().as_str()), (200, "one"), "{answer:?}");
    assert_eq!(answer.version, "HTTP/1.1");
    let received = backend.received();
    assert_eq!(received.line, "GET /a/b?c=d HTTP/1.1");
    assert_eq!(received.field("host"), Some(format!("localhost:{}", gateway.address("https").port()).as_str()));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    assert!(received.field("x-request-id").is_some_and(|id| !id.is_empty()));
}

#[test]
fn https_reaches_a_backend_over_http2() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let answer = gateway.curl().arg("--http2").ask(&gateway.url("https", "/"));

    assert_eq!((answer.status, answer.text().as_str()), (200, "one"), "{answer:?}");
    assert_eq!(answer.version, "HTTP/2");
    assert_eq!(backend.received().line, "GET / HTTP/1.1");
}

#[test]
fn a_plain_listener_serves_too() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));

    let answer = gateway.connect("http").ask("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");

    assert_eq!((answer.status, answer.text().as_str()), (200, "one"), "{answer:?}");
    assert_eq!(backend.received().field("x-forwarded-proto"), Some("http"));
}

#[test]
fn one_connection_serves_request_after_request() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let mut client = gateway.connect_tls("https", "localhost");
    for _ in 0..10 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    }
    assert_eq!(client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").answer_to_head().status, 200);

    let connections: Vec<_> = (0..11).map(|_| backend.received().connection).collect();
    assert_eq!(connections, [0; 11], "the connection to the backend is kept");
}

#[test]
fn bodies_go_both_ways_and_keep_their_framing() {
    let backend = Script::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n",
    );
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = gateway.connect_tls("https", "localhost");

    let answer = client.ask("POST /in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nping");
    assert_eq!((answer.status, answer.text().as_str()), (200, "firstsecond"), "{answer:?}");
    assert_eq!(backend.received().body, b"ping");

    let chunked = "POST /in HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).status, 200);
    let received = backend.received();
    assert_eq!(received.field("content-length"), None);
    assert_eq!(received.body, b"4\r\npong\r\n0\r\n\r\n");
}

#[test]
fn weights_hold_exactly_over_a_full_cycle() {
    let backends = [Backend::named("five"), Backend::named("three"), Backend::named("one")];
    let [five, three, one] = &backends;
    let gateway = Gateway::serving(&format!(
        r#"{HTTPS}
        [[route]]
        pool = "weighted"
        [pool.weighted]
        backends = [
          {{ url = "{five}", weight = 5 }},
          {{ url = "{three}", weight = 3 }},
          {{ url = "{one}", weight = 1 }},
        ]
        "#
    ));

    // Each request on a connection of its own, so that every worker is asked.
    for _ in 0..18 {
        let mut client = gateway.connect_tls("https", "localhost");
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    }

    assert_eq!(backends.each_ref().map(Backend::count), [10, 6, 2]);
}

#[test]
fn a_dead_backend_is_passed_over_and_no_client_notices() {
    let alive = Backend::named("alive");
    let dead = Script::dead();
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&dead, &alive])));

    let mut client = gateway.connect_tls("https", "localhost");
    for _ in 0..6 {
        let answer = client.ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!((answer.status, answer.text().as_str()), (200, "alive"), "{answer:?}");
    }

    assert_eq!(alive.count(), 6);
}

#[test]
fn an_unsafe_request_that_was_sent_is_never_sent_again() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.reset();
    });
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let mut client = gateway.connect_tls("https", "localhost");
    let answer = client.ask("POST /pay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok");

    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(backend.received().line, "POST /pay HTTP/1.1");
    assert_eq!(backend.left(), 0);
}

#[test]
fn nginx_and_python_are_backends_like_any_other() {
    let nginx = Nginx::serving("");
    let python = Python::serving();
    std::fs::write(nginx.root().join("file"), "from nginx").unwrap();
    std::fs::write(python.root().join("file"), "from python").unwrap();
    let gateway = Gateway::serving(&format!(
        r#"{HTTPS}
        [[route]]
        path = "/nginx/*"
        pool = ["{nginx}"]
        rewrite = {{ strip_prefix = "/nginx" }}
        [[route]]
        path = "/python/*"
        pool = ["{python}"]
        rewrite = {{ strip_prefix = "/python" }}
        "#
    ));

    for version in ["--http1.1", "--http2"] {
        for server in ["nginx", "python"] {
            let answer = gateway.curl().arg(version).ask(&gateway.url("https", &format!("/{server}/file")));
            assert_eq!(
                (answer.status, answer.text()),
                (200, format!("from {server}")),
                "{answer:?} {}",
                nginx.output()
            );
        }
    }
}
