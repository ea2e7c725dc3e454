//! What guards a route and keeps requests from backends, is explained as it happens: the last part of the table of `explain`.

use crate::support::backend::Backend;
use crate::support::cases::{agree, agrees};
use crate::support::configs::HTTP;
use crate::support::credentials::{Issuer, basic, user};
use crate::support::gateway::{Gateway, Home};
use crate::support::script::Script;

#[test]
fn who_may_use_a_route_and_how() {
    let good = basic("ann", "secret").trim().to_owned();
    let home = Home::new(&format!(
        "{HTTP}[[route]]\nname = \"forms\"\npath = \"/forms\"\nrespond = {{ status = 200 }}\n\
         validate = {{ methods = [\"GET\", \"POST\"], content_types = [\"application/json\"], headers = {{ \"X-V\" = \"1\" }} }}\n\
         [[route]]\nname = \"staff\"\npath = \"/staff\"\nrespond = {{ status = 200 }}\nauth = {{ basic_file = \"users\" }}\n\
         [[route]]\nname = \"api\"\npath = \"/api\"\nrespond = {{ status = 200 }}\n\
         auth = {{ jwt = {{ jwks_file = \"keys.json\", algorithms = [\"ES256\"] }} }}\n"
    ));
    home.replace("users", &user("ann", "secret"));
    let issuer = Issuer::called("one");
    home.replace("keys.json", &issuer.keys());
    let token = issuer.bearer(&serde_json::json!({})).trim().to_owned();
    let gateway = Gateway::in_home(home);
    agree(
        &gateway,
        &[
            ("GET http://a/forms | X-V: 1", "200 answered forms"),
            ("PUT http://a/forms | X-V: 1", "405 method_not_allowed forms"),
            ("GET http://a/forms", "400 header_rule forms"),
            ("GET http://a/forms | X-V: 2", "400 header_rule forms"),
            ("POST http://a/forms | X-V: 1 | Content-Length: 0", "200 answered forms"),
            ("GET http://a/staff", "401 unauthenticated staff"),
            ("GET http://a/staff | Authorization: Bearer x", "401 unauthenticated staff"),
            ("GET http://a/staff | Authorization: Basic !", "401 unauthenticated staff"),
            (&format!("GET http://a/staff | {good}"), "200 answered staff"),
            ("GET http://a/api", "401 unauthenticated api"),
            (&format!("GET http://a/api | {token}"), "200 answered api"),
            ("GET http://a/api | Authorization: Bearer a.b.c", "401 unauthenticated api"),
        ],
    );
}

#[test]
fn a_breaker_that_is_open() {
    let bad = Script::answering("HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n");
    let good = Backend::named("good");
    let gateway = Gateway::serving(&format!(
        "{HTTP}[[route]]\nname = \"bad\"\npath = \"/bad\"\npool = {{ backends = [\"{bad}\"], breaker = {{ errors = 1, open = \"1h\", max_open = \"1h\" }} }}\n\
         [[route]]\nname = \"good\"\npath = \"/good\"\npool = {{ backends = [\"{good}\"] }}\n"
    ));
    let client = |target: &str| gateway.connect("http").ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(client("/bad").status, 500);
    // Its line is there before the next one.
    gateway.access(|line| line["status"] == 500);
    let explanation = agrees(&gateway, "GET http://a/bad", "503 breaker_open bad");
    assert!(explanation.to_string().contains("breakers"), "{explanation:#}");
    agrees(&gateway, "GET http://a/good", "200 forwarded good");
}
