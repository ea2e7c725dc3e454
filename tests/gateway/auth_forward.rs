//! Another service says who may come.

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::configs::{HTTP, asking};
use crate::support::dns::NameServer;
use crate::support::echo;
use crate::support::events::NAME_RESOLVED;
use crate::support::gateway::Gateway;
use crate::support::script::Script;
use crate::websocket::HANDSHAKE;

fn config(backend: &Backend, forward: &str) -> String {
    format!("{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\nauth = {{ forward = {forward} }}\n")
}

fn ask(gateway: &Gateway, fields: &str) -> Answer {
    gateway.connect("http").ask(format!("GET /x?y=1 HTTP/1.1\r\nHost: localhost:80\r\n{fields}\r\n"))
}

/// A service whose every answer is this.
fn saying(status: &str, fields: &str, body: &str) -> Script {
    Script::answering(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len()))
}

#[test]
fn the_service_gets_what_it_needs_and_no_body() {
    let backend = Backend::named("one");
    let service = saying("200 OK", "", "fine");
    let gateway = Gateway::serving(&config(&backend, &format!("\"{service}/verify?a=b\"")));
    let fields = "Cookie: a=b\r\nAuthorization: Bearer x\r\nX-Mine: 1\r\nX-Forwarded-Method: DELETE\r\n\
                  X_Forwarded_Uri: /y\r\nIf-None-Match: \"1\"\r\nRange: bytes=0-1\r\nContent-Type: text/plain\r\n\
                  Connection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 4\r\n";
    let mut client = gateway.connect("http");
    let request = format!("POST /x?y=1 HTTP/1.1\r\nHost: localhost:80\r\n{fields}\r\nbody");
    assert_eq!(client.ask(&request).text(), "one");

    let asked = service.received();
    assert_eq!((asked.line.as_str(), asked.body.len()), ("GET /verify?a=b HTTP/1.1", 0));
    for (name, value) in [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/x?y=1"),
        ("x-forwarded-host", "localhost:80"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("host", service.to_string().trim_start_matches("http://")),
        ("cookie", "a=b"),
        ("authorization", "Bearer x"),
        ("x-mine", "1"),
    ] {
        assert_eq!(asked.field(name), Some(value), "{name}");
    }
    for name in ["content-length", "content-type", "if-none-match", "range", "x-gone", "x_forwarded_uri", "connection"]
    {
        assert_eq!(asked.field(name), None, "{name}");
    }
    let sent = backend.received();
    assert_eq!((sent.line.as_str(), sent.body.as_slice()), ("POST /x?y=1 HTTP/1.1", &b"body"[..]));
    assert_eq!(sent.field("x-request-id"), asked.field("x-request-id"), "one request to both");
    assert_eq!((sent.field("x-forwarded-for"), sent.field("host")), (Some("127.0.0.1"), Some("localhost:80")));
    assert_eq!((sent.field("x-forwarded-uri"), sent.field("x-gone")), (None, None));

    assert_eq!(client.ask(&request).status, 200);
    assert_eq!(service.received().connection, asked.connection, "over the same connection");
}

#[test]
fn what_the_service_says_of_the_client_nobody_else_can_say() {
    let backend = Backend::named("one");
    let says = Script::playing(|conversation| {
        while let Some(request) = conversation.request() {
            let said = if request.field("cookie").is_some() {
                "X-Auth-User: ann\r\nX-Groups: a\r\nX-Groups: b\r\n"
            } else {
                ""
            };
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Other: 1\r\n{said}\r\n"));
        }
    });
    let forward = format!("{{ url = \"{says}\", copy_headers = [\"X-Auth-User\", \"x-groups\"] }}");
    let gateway = Gateway::serving(&config(&backend, &forward));
    let forged = "X-Auth-User: root\r\nX_Auth_User: root\r\nX-Groups: root\r\nx-groups: root\r\n";

    assert_eq!(ask(&gateway, &format!("{forged}Cookie: a=b\r\n")).status, 200);
    let received = backend.received();
    assert_eq!((received.fields("x-auth-user"), received.fields("x-groups")), (vec!["ann"], vec!["a", "b"]));
    assert!(received.fields.iter().all(|(_, value)| value != "root"), "{:?}", received.fields);
    assert_eq!(received.field("x-other"), None);

    assert_eq!(ask(&gateway, forged).status, 200);
    let received = backend.received();
    assert!(received.fields.iter().all(|(_, value)| value != "root"), "{:?}", received.fields);
}

#[test]
fn its_refusal_is_the_clients_answer() {
    let backend = Backend::named("one");
    let login = "Location: https://login.example/?back\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: secret\r\nX-Auth-User: x\r\n";
    for (status, fields, body, expected) in [
        ("302 Found", login, "", (302, "auth_denied")),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Custom x\r\nContent-Type: text/html\r\n",
            "<p>who?",
            (401, "unauthenticated"),
        ),
        ("403 Forbidden", "Cache-Control: no-store\r\n", "no", (403, "auth_denied")),
        ("418 Teapot", "", "", (418, "auth_denied")),
    ] {
        let service = saying(status, fields, body);
        let gateway = Gateway::serving(&config(&backend, &format!("\"{service}\"")));
        let answer = ask(&gateway, "");
        assert_eq!((answer.status, answer.text().as_str()), (expected.0, body), "{answer:?}");
        assert_eq!(answer.refusal(), Some("http_request_denied"));
        for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
            let passed_on = !matches!(name, "Server" | "X-Auth-User");
            assert_eq!(answer.fields(&name.to_lowercase()).contains(&value), passed_on, "{name} {answer:?}");
        }
        let line = gateway.access(|line| line["reason"] == expected.1);
        assert_eq!((&line["status"], line.get("backend")), (&expected.0.into(), None), "{line}");
    }
    assert_eq!(backend.count(), 0);
}

#[test]
fn without_its_word_nobody_comes_in() {
    let backend = Backend::named("one");
    let silent = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    let endless = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1");
        conversation.hold();
    });
    let large = "x".repeat((64 << 10) + 1);
    for (service, expected) in [
        (Script::dead(), (502, "auth_failed")),
        (saying("500 Oops", "", "").to_string(), (502, "auth_failed")),
        (saying("403 Forbidden", "", &large).to_string(), (502, "auth_failed")),
        (Script::answering("rubbish\r\n\r\n").to_string(), (502, "auth_failed")),
        (silent.to_string(), (504, "auth_timeout")),
        (endless.to_string(), (504, "auth_timeout")),
    ] {
        let forward = format!("{{ url = \"{service}\", timeout = \"500ms\" }}");
        let gateway = Gateway::serving(&config(&backend, &forward));
        let answer = ask(&gateway, "");
        assert_eq!(answer.status, expected.0, "{service} {answer:?}");
        assert!(answer.refusal().is_some() && !answer.text().contains("xx"));
        let line = gateway.access(|line| line["status"] == expected.0);
        assert_eq!(line["reason"], expected.1);
        // Left to itself, it is five seconds.
        assert!(line["duration_ms"].as_f64().unwrap() < 4_500.0, "{line}");
    }
    assert_eq!(backend.count(), 0);
}

#[test]
fn a_pool_can_be_the_service() {
    let backend = Backend::named("one");
    let service = saying("200 OK", "X-Auth-User: ann\r\n", "");
    let dns = NameServer::new();
    let forward = "{ pool = \"sso\", path = \"/check\", copy_headers = \"X-Auth-User\" }";
    let whole = |url: &str| {
        format!(
            "{}{}[pool.sso]\nresolve = \"1s\"\nbackends = [\"{url}\"]\n",
            asking(&[&dns]),
            config(&backend, forward)
        )
    };
    let gateway = Gateway::serving(&whole(&service.to_string()));
    assert_eq!(ask(&gateway, "").status, 200);
    let asked = service.received();
    assert_eq!((asked.line.as_str(), asked.field("host")), ("GET /check HTTP/1.1", Some("localhost:80")));
    assert_eq!(backend.received().field("x-auth-user"), Some("ann"));

    // A name that nobody knows: there is nobody to ask. It comes to have an address, and the route goes with it.
    let (port, [_there]) = Backend::at(["127.0.0.2"]);
    gateway.save(&whole(&format!("http://gone.test:{port}")));
    assert_eq!(ask(&gateway, "").status, 503);
    gateway.access(|line| line["reason"] == "auth_unavailable");
    dns.point("gone.test", &["127.0.0.2"]);
    gateway.event(NAME_RESOLVED);
    assert_eq!(ask(&gateway, "").status, 200);
}

#[test]
fn a_websocket_is_asked_about_like_anything_else() {
    let backend = echo::over_http1();
    let service = Script::playing(|conversation| {
        while let Some(request) = conversation.request() {
            let status = if request.field("cookie").is_some() { "200 OK" } else { "401 Unauthorized" };
            conversation.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let gateway = Gateway::serving(&format!(
        "{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\nauth = {{ forward = \"{service}\" }}\n"
    ));
    assert_eq!(gateway.connect("http").ask(HANDSHAKE).status, 401);
    let mut client = gateway.connect("http");
    assert_eq!(client.ask(HANDSHAKE.replace("Upgrade: w", "Cookie: a=b\r\nUpgrade: w")).status, 101);
    assert_eq!(client.send(b"ping").exactly(4).unwrap(), b"ping");
    for _ in 0..2 {
        let asked = service.received();
        assert_eq!(asked.line, "GET / HTTP/1.1");
        for name in ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"] {
            assert_eq!(asked.field(name), None, "{name}");
        }
    }
}
