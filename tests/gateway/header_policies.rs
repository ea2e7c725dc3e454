//! Header fields that routes change, CORS, and the fields that keep browsers careful.

use crate::support::answer::Answer;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::Gateway;
use crate::support::script::Script;
use crate::support::served::Served;

/// A backend whose answers have these fields.
fn answering(fields: &'static str) -> Script {
    Script::playing(move |conversation| {
        while conversation.request().is_some() {
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok"));
        }
    })
}

fn config(backend: &Script, policies: &str) -> String {
    format!("{HTTPS}{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\n{policies}\n")
}

fn ask(gateway: &Gateway, method: &str, fields: &str) -> Answer {
    gateway.connect("http").ask(format!("{method} / HTTP/1.1\r\nHost: Localhost:80\r\n{fields}\r\n"))
}

#[test]
fn a_route_changes_the_fields_of_requests() {
    let backend = answering("");
    let policies = "request_headers = { remove = [\"referer\", \"X-Gone\"], \
         set = { \"X-Forwarded-Host\" = \"api.example.com\", \"X-Who\" = \"{client_address} {scheme} {host}\" }, \
         add = { \"X-Tag\" = \"{listener}/{route}\", \"X-Tls\" = \"[{tls_version}]\" } }";
    let gateway = Gateway::serving(&config(&backend, policies));
    let fields = "Referer: r\r\nx-gone: 1\r\nX-Kept: 1\r\nX-Who: me\r\nX-Tag: mine\r\n";

    assert_eq!(ask(&gateway, "GET", fields).status, 200);
    let received = backend.received();
    assert_eq!(
        (received.field("referer"), received.field("x-gone"), received.field("x-kept")),
        (None, None, Some("1"))
    );
    assert_eq!(received.field("x-forwarded-host"), Some("api.example.com"));
    assert_eq!(received.fields("x-who"), ["127.0.0.1 http localhost"]);
    assert_eq!(received.fields("x-tag"), ["mine", "http/all"]);
    assert_eq!(received.field("x-tls"), Some("[]"));

    let mut client = gateway.connect_tls("https", "localhost");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    let received = backend.received();
    assert_eq!(
        (received.field("x-who"), received.field("x-tls")),
        (Some("127.0.0.1 https localhost"), Some("[TLSv1.3]"))
    );

    gateway.save(&config(&backend, "request_headers = { set = { \"X-Who\" = \"{{nobody}}\" } }"));
    ask(&gateway, "GET", fields);
    assert_eq!(backend.received().fields("x-who"), ["{nobody}"]);
}

#[test]
fn a_route_changes_the_fields_of_answers_whoever_gave_them() {
    let backend = answering("Server: secret/1.0\r\nX-Powered-By: php\r\nVary: Accept\r\n");
    let changes = "response_headers = { remove = [\"Server\", \"x-powered-by\"], set = { \"X-Request-Id\" = \"{request_id}\" }, \
         add = { \"Vary\" = \"X-A\" } }\nbody_limit = \"1 B\"";
    let fixed = format!("[[route]]\npath = \"/fixed\"\nrespond = {{ status = 404 }}\n{changes}\n");
    let gateway = Gateway::serving(&format!("{}{fixed}", config(&backend, changes)));

    let answer = ask(&gateway, "GET", "");
    assert_eq!((answer.status, answer.field("server"), answer.field("x-powered-by")), (200, None, None), "{answer:?}");
    assert_eq!(answer.fields("vary"), ["Accept", "X-A"]);
    assert_eq!(answer.field("x-request-id"), backend.received().field("x-request-id"));

    let refused = ask(&gateway, "POST", "Content-Length: 9\r\n");
    assert_eq!((refused.status, refused.fields("vary")), (413, vec!["X-A"]), "{refused:?}");
    assert_eq!(refused.refusal(), Some("http_request_error"));
    let fixed = gateway.connect("http").ask("GET /fixed HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((fixed.status, fixed.fields("vary")), (404, vec!["X-A"]), "{fixed:?}");
}

#[test]
fn security_headers_are_added_where_the_backend_says_nothing() {
    let backend = answering("X-Frame-Options: DENY\r\n");
    let gateway = Gateway::serving(&config(&backend, "security_headers = true"));
    let answer = ask(&gateway, "GET", "");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
    ] {
        assert_eq!(answer.fields(name), [value], "{answer:?}");
    }
    gateway.save(&config(&backend, "security_headers = false"));
    assert_eq!(ask(&gateway, "GET", "").field("referrer-policy"), None);
}

#[test]
fn pages_of_named_origins_may_use_a_route() {
    let backend = answering("Access-Control-Allow-Origin: *\r\n");
    let rule = "cors = { origins = [\"https://app.example\", \"https://*.example.com\"], methods = [\"GET\", \"PUT\"], \
         headers = [\"X-A\"], expose = [\"X-Total\"], credentials = true, max_age = \"1m\" }";
    let gateway = Gateway::serving(&config(&backend, rule));
    let preflight = |origin: &str| {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        ask(&gateway, "OPTIONS", &fields)
    };

    let allowed = preflight("https://app.example");
    assert_eq!((allowed.status, allowed.text().as_str()), (204, ""), "{allowed:?}");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "X-A"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
        ("vary", "Origin"),
    ] {
        assert_eq!(allowed.field(name), Some(value), "{allowed:?}");
    }
    assert_eq!(preflight("https://evil.example").field("access-control-allow-origin"), None);

    let answer = ask(&gateway, "GET", "Origin: https://shop.example.com\r\n");
    assert_eq!(backend.received().line, "GET / HTTP/1.1", "no preflight has come to the backend");
    assert_eq!(answer.fields("access-control-allow-origin"), ["https://shop.example.com"], "{answer:?}");
    assert_eq!(answer.field("access-control-expose-headers"), Some("X-Total"));
    let stranger = ask(&gateway, "GET", "Origin: https://evil.example\r\n");
    assert_eq!((stranger.status, stranger.field("access-control-allow-origin")), (200, None), "{stranger:?}");

    gateway.save(&config(&backend, "cors = { origins = \"*\" }"));
    assert_eq!(preflight("https://evil.example").field("access-control-allow-origin"), Some("*"));
}

#[test]
fn what_a_route_takes_out_of_requests_still_counts_here() {
    let backend = answering("");
    let policies = "request_headers = { remove = [\"Origin\", \"Referer\", \"User-Agent\"] }\n\
                    cors = { origins = \"https://app.example\" }";
    let gateway = Gateway::serving(&config(&backend, policies));
    let answer = ask(&gateway, "GET", "Origin: https://app.example\r\nReferer: r\r\nUser-Agent: u\r\n");
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example"), "{answer:?}");
    let received = backend.received();
    assert_eq!(["origin", "referer", "user-agent"].map(|name| received.field(name)), [None; 3]);
    let line = gateway.access(|line| line["status"] == 200);
    assert_eq!((&line["referer"], &line["user_agent"]), (&"r".into(), &"u".into()), "{line}");

    let twice = ask(&gateway, "GET", "Origin: https://app.example\r\nOrigin: https://app.example\r\n");
    assert_eq!(twice.field("access-control-allow-origin"), None, "one origin, or none");
}

#[test]
fn the_readme_shows_all_of_it() {
    let served = Served::example("**Header fields, and pages of other origins.**");
    let answer = served.ask("GET", "api.example.com", "/", "Origin: https://app.example.com\r\nReferer: r\r\n");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("server"), None);
    let received = served.backends["10.0.8.1:8080"].received();
    assert_eq!((received.field("x-client"), received.field("referer")), (Some("127.0.0.1"), None));
}
