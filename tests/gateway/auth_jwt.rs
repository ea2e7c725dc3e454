//! Signed tokens.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::json;

use crate::support::PATIENCE;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::credentials::{Issuer, in_seconds};
use crate::support::events::{AUTH_REFUSED, AUTH_REPLACED, KEYS_MISSING};
use crate::support::gateway::{Gateway, Home};
use crate::support::script::Script;

fn config(backend: &Backend, jwt: &str) -> String {
    let jwt = format!("jwt = {{ jwks_file = \"keys.json\", algorithms = [\"ES256\"]{jwt} }}");
    format!("{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\nauth = {{ {jwt}, realm = \"machines\" }}\n")
}

fn serving(issuer: &Issuer, config: &str) -> Gateway {
    let home = Home::new(config);
    home.replace("keys.json", &issuer.keys());
    Gateway::in_home(home)
}

fn ask(gateway: &Gateway, fields: &str) -> Answer {
    gateway.connect("http").ask(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

#[test]
fn a_signed_token_opens_a_route() {
    let (backend, issuer) = (Backend::named("one"), Issuer::called("k1"));
    let rule = ", issuer = \"https://id.example\", audience = [\"api\", \"web\"], leeway = \"5s\"";
    let gateway = serving(&issuer, &config(&backend, rule));
    let good = json!({"iss": "https://id.example", "aud": "web"});
    let with = |more: serde_json::Value| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issuer.bearer(&claims)
    };

    let forged = "X-Forwarded-User: root\r\nX_Forwarded_User: root\r\n";
    assert_eq!(ask(&gateway, &format!("{forged}{}", with(json!({})))).text(), "one");
    let received = backend.received();
    assert_eq!(received.fields("x-forwarded-user"), ["ann"]);
    assert!(received.field("authorization").is_some() && received.fields.iter().all(|(_, value)| value != "root"));
    gateway.access(|line| line["user"] == "ann");
    assert_eq!(ask(&gateway, &with(json!({"exp": in_seconds(-2)}))).status, 200, "within the leeway");

    let none = ask(&gateway, "");
    assert_eq!((none.status, none.field("www-authenticate")), (401, Some("Bearer realm=\"machines\"")), "{none:?}");
    let stranger = Issuer::called("k1");
    for bad in [
        // Left to itself, the leeway is longer.
        with(json!({"exp": in_seconds(-15)})),
        with(json!({"nbf": in_seconds(60)})),
        with(json!({"iss": "https://evil.example"})),
        with(json!({"aud": "other"})),
        with(json!({"aud": null})),
        with(json!({"exp": null})),
        stranger.bearer(&good),
        "Authorization: Bearer x.y.z\r\n".to_owned(),
    ] {
        let answer = ask(&gateway, &bad);
        assert_eq!((answer.status, answer.refusal()), (401, Some("http_request_denied")), "{bad} {answer:?}");
        let challenge = answer.field("www-authenticate").unwrap();
        assert_eq!(challenge, "Bearer realm=\"machines\", error=\"invalid_token\"", "{bad}");
    }
    assert_eq!(backend.count(), 2);
    assert_eq!(gateway.access(|line| line["status"] == 401)["reason"], "unauthenticated");
}

#[test]
fn changed_keys_are_live_and_broken_ones_change_nothing() {
    let (backend, old, new) = (Backend::named("one"), Issuer::called("old"), Issuer::called("new"));
    let gateway = serving(&old, &config(&backend, ""));
    let status = |issuer: &Issuer| ask(&gateway, &issuer.bearer(&json!({}))).status;
    assert_eq!([status(&old), status(&new)], [200, 401]);

    gateway.home().replace("keys.json", &new.keys());
    gateway.event(AUTH_REPLACED);
    assert_eq!([status(&old), status(&new)], [401, 200]);

    gateway.home().replace("keys.json", "{\"keys\": [");
    let event = gateway.event(AUTH_REFUSED);
    assert!(event["problem"].as_str().unwrap().contains("keys.json: not a JSON Web Key Set"), "{event}");
    assert_eq!([status(&old), status(&new)], [401, 200]);
}

/// An issuer that answers with whatever is there, and what that is.
fn publishing(keys: String) -> (Script, Arc<Mutex<String>>) {
    let published = Arc::new(Mutex::new(keys));
    let shown = Arc::clone(&published);
    let script = Script::playing(move |conversation| {
        while conversation.request().is_some() {
            let keys = shown.lock().unwrap().clone();
            let status = if keys.is_empty() { "500 Oops" } else { "200 OK" };
            conversation.send(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{keys}", keys.len()));
        }
    });
    (script, published)
}

fn fetching(backend: &Backend, issuer: &Script) -> String {
    config(backend, "").replace("jwks_file = \"keys.json\"", &format!("jwks_url = \"{issuer}/keys?v=1\""))
}

#[test]
fn keys_are_fetched_where_they_are_published_and_again_for_a_new_one() {
    let (backend, old, new) = (Backend::named("one"), Issuer::called("old"), Issuer::called("new"));
    let (script, published) = publishing(old.keys());
    let gateway = Gateway::serving(&fetching(&backend, &script));
    let status = |issuer: &Issuer| ask(&gateway, &issuer.bearer(&json!({}))).status;
    assert_eq!(ask(&gateway, "").status, 401);
    assert_eq!(script.left(), 0, "nobody asks for keys where there is no token");

    assert_eq!([status(&old), status(&old)], [200, 200], "the first waits for them");
    let asked = script.received();
    assert_eq!((asked.line.as_str(), asked.fields("authorization").len()), ("GET /keys?v=1 HTTP/1.1", 0));
    assert_eq!(asked.field("host"), Some(script.to_string().trim_start_matches("http://")));
    *published.lock().unwrap() = new.keys();
    assert_eq!([status(&new), status(&old)], [200, 401], "a token that names another key has them fetched");
    assert_eq!(script.left(), 1, "and not for every one");

    *published.lock().unwrap() = String::new();
    gateway.save(&format!("{}# changed\n[log]\nlevel = \"debug\"\n", fetching(&backend, &script)));
    assert_eq!([status(&new), script.left() as u16], [200, 0], "a reload keeps what is known");
}

#[test]
fn until_there_are_keys_nobody_comes_in() {
    let (backend, issuer) = (Backend::named("one"), Issuer::called("k1"));
    let (script, published) = publishing(String::new());
    let gateway = Gateway::serving(&fetching(&backend, &script));
    let answer = ask(&gateway, &issuer.bearer(&json!({})));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{answer:?}");
    gateway.access(|line| line["reason"] == "auth_unavailable");
    let event = gateway.event(KEYS_MISSING);
    assert_eq!(event["problem"], "the issuer answered with status 500", "{event}");
    assert_eq!(backend.count(), 0);

    *published.lock().unwrap() = issuer.keys();
    let end = Instant::now() + PATIENCE;
    while ask(&gateway, &issuer.bearer(&json!({}))).status != 200 {
        assert!(Instant::now() < end, "{}", gateway.output());
    }
    assert_eq!(gateway.events(KEYS_MISSING).len(), 1);
}

#[test]
fn the_place_of_keys_can_be_a_url_or_a_pool() {
    let (backend, issuer) = (Backend::named("one"), Issuer::called("k1"));
    let (script, _published) = publishing(issuer.keys());
    let [table, pool] =
        [format!("{{ url = \"{script}\", path = \"/a\" }}"), "{ pool = \"idp\", path = \"/b\" }".to_owned()]
            .map(|place| config(&backend, "").replace("jwks_file = \"keys.json\"", &format!("jwks_url = {place}")));
    let gateway = Gateway::serving(&table);
    assert_eq!(ask(&gateway, &issuer.bearer(&json!({}))).status, 200);
    assert_eq!(script.received().line, "GET /a HTTP/1.1");
    gateway.save(&format!("{pool}[pool.idp]\nbackends = [\"{script}\"]\n"));
    assert_eq!(ask(&gateway, &issuer.bearer(&json!({}))).status, 200);
    assert_eq!(script.received().line, "GET /b HTTP/1.1");
}
