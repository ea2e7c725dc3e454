//! What a route asks of its requests before anybody else sees them.

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::gateway::Gateway;
use crate::support::script::Script;
use crate::support::served::Served;

fn config(backend: &Backend, rule: &str) -> String {
    format!("{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\nvalidate = {{ {rule} }}\n")
}

fn ask(gateway: &Gateway, method: &str, fields: &str) -> Answer {
    gateway.connect("http").ask(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

/// The answer and the log agree on why.
fn refused(gateway: &Gateway, answer: &Answer, (status, reason): (u16, &str)) {
    assert_eq!((answer.status, answer.refusal()), (status, Some("http_request_denied")), "{answer:?}");
    assert_eq!(gateway.access(|line| line["reason"] == reason)["status"], status);
    assert!(gateway.metric(&format!("portcullis_refused_total{{reason=\"{reason}\",route=\"all\"}}")) > 0);
}

#[test]
fn methods_that_are_not_listed_are_405_and_are_told_which_are() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&config(&backend, "methods = [\"GET\", \"PUT\"]"));
    let answer = ask(&gateway, "DELETE", "");
    refused(&gateway, &answer, (405, "method_not_allowed"));
    assert_eq!(answer.field("allow"), Some("GET, PUT"));
    assert_eq!(ask(&gateway, "GET", "").status, 200);
    assert_eq!(backend.count(), 1);
}

#[test]
fn bodies_that_are_not_listed_are_415_and_so_are_those_that_do_not_say() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&config(&backend, "content_types = [\"application/json\", \"image/*\"]"));
    let answer = ask(&gateway, "POST", "Content-Type: text/plain\r\nContent-Length: 0\r\n");
    assert_eq!(answer.status, 200, "there is no body: {answer:?}");
    for kind in ["Content-Type: text/plain\r\n", "", "Content-Type: image/png\r\nContent-Type: image/png\r\n"] {
        let answer = ask(&gateway, "POST", &format!("{kind}Content-Length: 2\r\n\r\n{{}}"));
        refused(&gateway, &answer, (415, "content_type"));
        assert_eq!(answer.field("accept"), Some("application/json, image/*"));
    }
    let json = "Content-Type: Application/JSON; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n";
    assert_eq!(ask(&gateway, "POST", json).status, 200);
    assert_eq!(backend.count(), 2);
}

#[test]
fn header_fields_that_are_not_as_the_route_asks_are_400() {
    let backend = Backend::named("one");
    let rule = "headers = { \"X-Api-Version\" = \"~v[0-9]+\", \"X-There\" = \"*\" }";
    let gateway = Gateway::serving(&config(&backend, rule));
    for fields in ["", "X-Api-Version: v1\r\n", "X-There: 1\r\nX-Api-Version: v1\r\nX-Api-Version: w\r\n"] {
        refused(&gateway, &ask(&gateway, "GET", fields), (400, "header_rule"));
    }
    assert_eq!(ask(&gateway, "GET", "x-there: 1\r\nx-api-version: v12\r\n").status, 200);
    assert_eq!(backend.count(), 1);
}

#[test]
fn what_is_refused_is_told_to_no_service_and_copied_to_nobody() {
    let (backend, shadow) = (Backend::named("one"), Backend::named("shadow"));
    let service = Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let more = format!(
        "auth = {{ forward = \"{service}\" }}\nmirror = {{ pool = \"shadow\" }}\n[pool.shadow]\nbackends = [\"{shadow}\"]\n"
    );
    let gateway = Gateway::serving(&format!("{}{more}", config(&backend, "methods = [\"GET\"]")));
    assert_eq!(ask(&gateway, "POST", "Content-Length: 0\r\n").status, 405);
    assert_eq!(service.left() + backend.count() + shadow.count(), 0);
    assert_eq!(ask(&gateway, "GET", "").status, 200);
    assert_eq!(service.received().line, "GET / HTTP/1.1");
}

#[test]
fn the_readme_shows_a_route_that_asks_for_something() {
    let served = Served::example("**Requests that are not as they should be**");
    let ask = |method: &str, fields: &str| served.ask(method, "forms.example.com", "/", fields).status;
    assert_eq!(ask("GET", "X-Api-Version: v2\r\n"), 200);
    assert_eq!(ask("GET", "X-Api-Version: two\r\n"), 400);
    assert_eq!(ask("PUT", "X-Api-Version: v2\r\n"), 405);
    assert_eq!(ask("POST", "X-Api-Version: v2\r\nContent-Length: 2\r\nContent-Type: text/css\r\n\r\n{}"), 415);
}

#[test]
fn a_preflight_is_answered_whatever_methods_are_listed() {
    let backend = Backend::named("one");
    let rule = format!("{}cors = {{ origins = \"*\" }}\n", config(&backend, "methods = [\"GET\"]"));
    let gateway = Gateway::serving(&rule);
    let fields = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";
    assert_eq!(ask(&gateway, "OPTIONS", fields).status, 204);
    let refused = ask(&gateway, "OPTIONS", "Origin: https://a.example\r\n");
    assert_eq!((refused.status, refused.field("access-control-allow-origin")), (405, Some("*")), "{refused:?}");
}
