//! Signed tokens.

use serde_json::json;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::credentials::{Issuer, in_seconds};
use crate::support::events::{AUTH_REFUSED, AUTH_REPLACED};
use crate::support::gateway::{Gateway, Home};

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
        with(json!({"exp": in_seconds(-60)})),
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
