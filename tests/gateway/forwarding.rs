//! What a backend is told and what it is not: hop-by-hop fields, forwarding fields, identities, trailers, expectations.

use std::fmt::Write;

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::{Received, Script};

/// What the backend gets of a request with these field lines.
fn told(server: &str, fields: &str) -> Received {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{server}{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let answer = gateway.client("https").ask(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    backend.received()
}

/// The names of the fields that are not ours, in lower case.
fn others(received: &Received) -> Vec<String> {
    let ours = ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent"];
    let names = received.fields.iter().map(|(name, _)| name.to_lowercase());
    names.filter(|name| !ours.contains(&name.as_str())).collect()
}

const CLAIMS: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: public.example\r\n\
     X-Request-Id: mine-1\r\nX-Forwarded-Prefix: /p\r\nForwarded: for=192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\n";

#[test]
fn what_a_stranger_claims_is_replaced() {
    let received = told("", CLAIMS);
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    assert_eq!(received.field("x-forwarded-host"), Some("localhost"));
    assert!(received.field("x-request-id").is_some_and(|id| id.len() == 32));
    assert_eq!(others(&received), [""; 0]);
}

#[test]
fn what_a_trusted_proxy_says_is_extended() {
    let received = told("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n", CLAIMS);
    assert_eq!(received.field("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(received.field("x-forwarded-proto"), Some("http"));
    assert_eq!(received.field("x-forwarded-host"), Some("public.example"));
    assert_eq!(received.field("x-request-id"), Some("mine-1"));
    assert_eq!(others(&received), ["x-forwarded-prefix", "forwarded", "x-real-ip"]);
}

#[test]
fn the_clients_address_in_the_log_follows_the_same_rule() {
    let backend = Backend::named("one");
    let trusted = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    for (server, from, client) in [
        ("", [127, 0, 0, 1], "127.0.0.1"),
        (trusted, [127, 0, 0, 1], "192.0.2.7"),
        (trusted, [127, 0, 0, 2], "127.0.0.2"),
    ] {
        let gateway = Gateway::serving(&format!("{server}{HTTP}{}", route_to(&[&backend])));
        let mut connection = crate::support::client::Client::tcp_from(from.into(), gateway.address("http"));
        assert_eq!(connection.ask(format!("GET /log HTTP/1.1\r\nHost: localhost\r\n{CLAIMS}\r\n")).status, 200);
        assert_eq!(gateway.access(|line| line["path"] == "/log")["client"], client);
    }
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let received = told(
        "",
        "Connection: keep-alive, X-Private, X-Forwarded-For, x-request-id, Upgrade\r\nX-Private: 1\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAA\r\nTE: gzip\r\nAccept: */*\r\n",
    );
    assert_eq!(others(&received), ["accept"]);
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    assert!(received.field("x-request-id").is_some());

    let backend = Script::answering(
        "HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Authenticate: Basic\r\nX-Public: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let answer = gateway.client("http").ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let names: Vec<_> = answer.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-public", "content-length", "date"]);
}

#[test]
fn identities_and_underscore_twins_come_from_nobody() {
    let mut fields = String::new();
    for name in [
        "Client-Cert",
        "Client-Cert-Chain",
        "X-Client-Cert-Subject",
        "X-Forwarded-Client-Cert",
        "Proxy",
        "Client_Cert",
        "X_Client_Cert_Subject",
        "X_Forwarded_Client_Cert",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X_Forwarded_Proto",
        "X_Forwarded_Host",
        "X_Forwarded_Prefix",
        "X_Request_Id",
        "X_Real_IP",
        "Content_Length",
        "Transfer_Encoding",
    ] {
        write!(fields, "{name}: 1\r\n").unwrap();
    }
    for server in ["", "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n"] {
        let received = told(server, &format!("{fields}My_Field: 1\r\n"));
        assert_eq!(others(&received), ["my_field"]);
    }
}

#[test]
fn a_client_that_waits_for_100_gets_it_in_time_from_a_backend_that_never_says_it() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    for listener in ["http", "https"] {
        let mut client = gateway.client(listener);
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(client.answer().status, 100);
        assert_eq!(client.ask("ok").status, 200);
        let received = backend.received();
        assert_eq!((received.field("expect"), received.body.as_slice()), (Some("100-Continue"), &b"ok"[..]));

        // Nothing to wait for: no body, or a client of before there was a 100.
        let empty = client.ask("GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(empty.status, 200);
        let old = "POST / HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(client.ask(old).status, 200);
        for _ in 0..2 {
            assert_eq!(backend.received().field("expect"), None);
        }
    }
}

#[test]
fn a_body_that_nobody_wanted_is_not_asked_for() {
    let gateway = Gateway::serving(&format!("{HTTP}[[route]]\nrespond = {{ status = 403 }}\n"));
    let mut client = gateway.client("http");
    let answer = client.ask("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!((answer.status, answer.field("connection")), (403, Some("close")), "no 100 before it\n{answer:?}");
    client.expect_closed();

    // A body on its way is taken off the connection, and what follows it is a request.
    let mut client = gateway.client("http");
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\nGET /inner HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n";
    client.send(format!("{post}GET /outer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    assert_eq!([client.answer().status, client.answer().status], [403, 403]);
    client.expect_closed();
    gateway.access(|line| line["path"] == "/outer");
    assert!(!gateway.output().contains("/inner"));
}

#[test]
fn trailers_travel_both_ways_without_what_must_not() {
    let backend = Script::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         X-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n",
    );
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    let trailers =
        "X-Sum: 2\r\nHost: other\r\nX-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 1.1.1.1\r\nX-Forwarded-Port: 1\r\n";
    let answer = client.ask(format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTE: trailers, gzip\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nup\r\n0\r\n{trailers}\r\n"
    ));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    let received = backend.received();
    assert_eq!((received.field("te"), received.field("connection")), (Some("trailers"), Some("te")));
    assert_eq!(String::from_utf8_lossy(&received.body), "2\r\nup\r\n0\r\nX-Sum: 2\r\n\r\n");

    let answer = client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("ok", 0), "who does not ask for trailers gets none");
}

#[test]
fn a_trace_is_passed_on_or_started() {
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = |fields: &str| {
        let received = told("", fields);
        (received.field("traceparent").unwrap().to_owned(), received.field("tracestate").map(str::to_owned))
    };
    let passed = traced(&format!("Traceparent: {given}\r\nTracestate: a=1\r\n"));
    assert_eq!(passed, (given.to_owned(), Some("a=1".to_owned())));
    for fields in [String::new(), format!("Traceparent: {given}x\r\n"), format!("Traceparent: {given}\r\n").repeat(2)] {
        let (parent, state) = traced(&format!("{fields}Tracestate: a=1\r\n"));
        let parts: Vec<_> = parent.split('-').map(str::len).collect();
        assert_eq!((parts, state), (vec![2, 32, 16, 2], None), "{fields:?} became {parent}");
        assert_ne!(parent, given);
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let backend = Script::playing(|conversation| {
        while let Some(request) = conversation.request() {
            let length = request.line.len();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", request.line));
        }
    });
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    for listener in ["http", "https"] {
        let mut client = gateway.client(listener);
        let ahead: String = (0..200)
            .map(|number| match number % 2 {
                0 => format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                _ => format!("POST /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nGET "),
            })
            .collect();
        client.send(ahead);
        for number in 0..200 {
            let method = ["GET", "POST"][number % 2];
            assert_eq!(client.answer().text(), format!("{method} /{number} HTTP/1.1"));
        }
    }
}

#[test]
fn http_1_0_clients_keep_their_connection_where_they_ask_for_it() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.client("http");
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("one", Some("keep-alive")), "{answer:?}");
    }
    assert_eq!(client.ask("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").field("connection"), Some("close"));
    client.expect_closed();
    assert_eq!(backend.received().line, "GET / HTTP/1.1", "backends are spoken to in HTTP/1.1");
}
