//! Requests that are refused: the status, the reason in `Proxy-Status`, and nothing at the backend.

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

/// What is sent, and the status that it gets.
const MALFORMED: [(&str, u16); 22] = [
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n0\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n", 417),
];

#[test]
fn what_is_malformed_or_ambiguous_never_reaches_a_backend() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));

    for (request, status) in MALFORMED {
        let answer = gateway.connect("http").ask(request);
        assert_eq!(answer.status, status, "{request:?}\n{answer:?}");
        assert!(answer.refusal().is_some(), "{request:?} says why in Proxy-Status\n{answer:?}");
    }

    assert_eq!(backend.count(), 0);
}

#[test]
fn a_request_behind_a_malformed_one_is_not_answered() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.connect("http");

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n");

    assert_eq!(client.answer().status, 400);
    client.expect_closed();
    assert_eq!(backend.count(), 0);
}

#[test]
fn limits_have_their_own_statuses() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}\n[[route]]\nbody_limit = \"1 KiB\"\npool = [\"{backend}\"]\n"));
    let long = "x".repeat(40_000);
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();

    let requests = [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..9_000]), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", long.len()), 413),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
                &long[..2048]
            ),
            413,
        ),
    ];
    for (request, status) in requests {
        let answer = gateway.connect("http").ask(&request);
        assert_eq!(answer.status, status, "{}\n{answer:?}", &request[..60.min(request.len())]);
        assert!(answer.refusal().is_some(), "{answer:?}");
    }
}

#[test]
fn what_no_route_takes_is_404() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!(
        "{HTTP}\n[[route]]\nhost = \"example.com\"\npath = \"/x/*\"\npool = [\"{backend}\"]\n"
    ));
    let mut client = gateway.connect("http");

    assert_eq!(client.ask("GET /x/y HTTP/1.1\r\nHost: example.com\r\n\r\n").status, 200);
    for (path, host) in [("/", "example.com"), ("/xy", "example.com"), ("/x", "other.com")] {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, 404, "{host}{path}\n{answer:?}");
        assert!(answer.refusal().is_some(), "{answer:?}");
    }
}

#[test]
fn a_host_that_the_certificate_does_not_cover_is_misdirected() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = gateway.connect_tls("https", "localhost");

    let answer = client.ask("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");

    assert_eq!(answer.status, 421, "{answer:?}");
    assert!(answer.refusal().is_some(), "{answer:?}");
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_name_that_no_certificate_covers_is_refused_in_the_handshake() {
    use crate::support::client::Client;

    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let refused = Client::try_tls(gateway.address("https"), &gateway.home().authority, "example.com");

    assert!(refused.is_err());
}

#[test]
fn bad_answers_of_a_backend_are_502() {
    let answers: [(&str, &str); 6] = [
        ("no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a bad status", "HTTP/1.1 2x0 OK\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        ("a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("an end within the head", "HTTP/1.1 200 OK\r\nContent-"),
        ("nothing", ""),
    ];
    for (kind, answer) in answers {
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(answer);
            conversation.close();
            conversation.hold();
        });
        let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
        let refused = gateway.connect("http").ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(refused.status, 502, "{kind}\n{refused:?}");
        assert!(refused.refusal().is_some(), "{kind}\n{refused:?}");
    }
}

#[test]
fn a_truncated_answer_is_not_passed_off_as_a_whole_one() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        conversation.close();
        conversation.hold();
    });
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));

    // Cut off, or a 502 where none of it had been passed on yet: anything but a success.
    if let Ok(answer) = gateway.curl().http1().try_ask(&gateway.url("http", "/")) {
        assert_eq!(answer.status, 502, "{answer:?}");
    }
}

#[test]
fn no_backend_that_answers_is_502() {
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&Script::dead()])));

    let answer = gateway.connect("http").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.refusal(), Some("connection_refused"), "{answer:?}");
}
