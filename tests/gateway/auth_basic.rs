//! Names and passwords.

use std::net::IpAddr;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, one_worker};
use crate::support::credentials::{basic, user, user_of_bcrypt};
use crate::support::events::{AUTH_REFUSED, AUTH_REPLACED, CONFIG_REFUSED};
use crate::support::gateway::{Gateway, Home};
use crate::support::http2::Http2;
use crate::support::served::Served;

fn config(backend: &Backend, more: &str) -> String {
    format!("{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\nauth = {{ basic_file = \"users\"{more} }}\n")
}

fn home(config: &str) -> Home {
    let home = Home::new(config);
    home.replace("users", &format!("# staff\n{}{}", user("ann", "secret:1"), user_of_bcrypt("bob", "s\u{e9}cret", 4)));
    home
}

fn ask(gateway: &Gateway, fields: &str) -> Answer {
    gateway.connect("http").ask(format!("GET /x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

#[test]
fn a_name_and_its_password_open_a_route() {
    let backend = Backend::named("one");
    let gateway = Gateway::in_home(home(&config(&backend, ", realm = \"staff only\"")));

    let none = ask(&gateway, "");
    assert_eq!((none.status, none.refusal()), (401, Some("http_request_denied")), "{none:?}");
    assert_eq!(none.field("www-authenticate"), Some("Basic realm=\"staff only\", charset=\"UTF-8\""));
    let right = basic("ann", "secret:1");
    for wrong in [
        basic("ann", "secret"),
        basic("ann", ""),
        basic("bob", "secret:1"),
        basic("eve", "secret:1"),
        basic("", ""),
        format!("{right}{right}"),
        right.replace("Basic", "Bearer"),
        "Authorization: Basic !\r\n".to_owned(),
        "Authorization: Basic\r\n".to_owned(),
    ] {
        let answer = ask(&gateway, &wrong);
        assert_eq!(answer.status, 401, "{wrong} {answer:?}");
        assert!(answer.field("www-authenticate").is_some());
    }
    assert_eq!(backend.count(), 0);
    gateway.wait_for_metric("portcullis_refused_total{reason=\"unauthenticated\",route=\"all\"}", 10);
    assert_eq!(gateway.access(|line| line["status"] == 401)["reason"], "unauthenticated");

    for (name, password) in [("ann", "secret:1"), ("bob", "s\u{e9}cret"), ("ann", "secret:1")] {
        let answer = ask(&gateway, &basic(name, password));
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"), "{answer:?}");
        let received = backend.received();
        assert_eq!(received.fields("x-forwarded-user"), [name]);
        assert!(received.field("authorization").is_some(), "as it came");
        gateway.access(|line| line["user"] == name && line["status"] == 200);
    }
    assert!(!gateway.output().contains("secret"));
}

#[test]
fn the_backend_is_told_by_nobody_else() {
    let backend = Backend::named("one");
    let (named, plain) = (", user_header = \"X-Auth-User\", remove_authorization = true", "");
    let gateway = Gateway::in_home(home(&config(&backend, named)));
    let credentials = basic("ann", "secret:1");
    let forged = "X-Auth-User: root\r\nx_auth_user: root\r\nX-Auth_User: root\r\nX-Forwarded-User: root\r\n";

    assert_eq!(ask(&gateway, &format!("{forged}{credentials}Connection: X-Auth-User\r\n")).status, 200);
    let received = backend.received();
    assert_eq!(received.fields("x-auth-user"), ["ann"]);
    assert_eq!(received.field("authorization"), None);
    assert!(received.fields.iter().all(|(_, value)| value != "root"), "{:?}", received.fields);

    gateway.save(&config(&backend, plain));
    assert_eq!(ask(&gateway, &format!("{forged}{credentials}")).status, 200);
    let received = backend.received();
    assert_eq!((received.fields("x-forwarded-user"), received.fields("x-auth-user")), (vec!["ann"], vec!["root"]));
}

#[test]
fn redirects_and_fixed_answers_are_guarded_and_preflights_are_not() {
    let text = "auth = { basic_file = \"users\" }\ncors = { origins = \"https://app.example\" }\n";
    let routes = format!(
        "[[route]]\npath = \"/r\"\nredirect = {{ to = \"https://a.example\" }}\n{text}\
         [[route]]\npath = \"/f\"\nrespond = {{ status = 200, body = \"fixed\" }}\n{text}"
    );
    let gateway = Gateway::in_home(home(&format!("{HTTP}{routes}")));
    let ask = |line: &str, fields: &str| {
        gateway
            .connect("http")
            .ask(format!("{line} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n{fields}\r\n"))
    };
    for (target, status) in [("/r", 308), ("/f", 200)] {
        let refused = ask(&format!("GET {target}"), "");
        assert_eq!((refused.status, refused.field("location")), (401, None), "{refused:?}");
        assert_eq!(refused.field("access-control-allow-origin"), Some("https://app.example"), "the page may see why");
        assert_eq!(ask(&format!("GET {target}"), &basic("ann", "secret:1")).status, status);
        assert_eq!(ask(&format!("OPTIONS {target}"), "Access-Control-Request-Method: GET\r\n").status, 204);
    }
}

#[test]
fn a_changed_file_is_live_and_a_broken_one_changes_nothing() {
    let backend = Backend::named("one");
    let gateway = Gateway::in_home(home(&config(&backend, "")));
    let status = |name: &str, password: &str| ask(&gateway, &basic(name, password)).status;
    assert_eq!([status("ann", "secret:1"), status("eve", "e")], [200, 401]);

    gateway.home().replace("users", &format!("{}{}", user("ann", "changed"), user("eve", "e")));
    gateway.event(AUTH_REPLACED);
    assert_eq!([status("ann", "secret:1"), status("ann", "changed"), status("bob", "s\u{e9}cret")], [401, 200, 401]);
    assert_eq!(status("eve", "e"), 200);

    gateway.home().replace("users", "ann:$apr1$salt$hash\n");
    let event = gateway.event(AUTH_REFUSED);
    assert!(event["problem"].as_str().unwrap().contains("users:1: `ann`: the hash is MD5; make one with"), "{event}");
    assert_eq!([status("ann", "changed"), status("eve", "e")], [200, 200]);
    assert!(gateway.events(CONFIG_REFUSED).is_empty());
}

#[test]
fn a_file_that_cannot_be_used_is_told_before_it_serves() {
    let backend = Backend::named("one");
    for (text, told) in [
        (None, "users: no such file"),
        (Some("ann:secret\n"), "users:1: `ann`: the hash is neither argon2id nor bcrypt"),
        (Some("\n"), "users: no users in it"),
    ] {
        for command in ["check", "run"] {
            let home = Home::new(&config(&backend, ""));
            text.inspect(|text| home.replace("users", text));
            let mut process = home.start(command);
            assert_eq!(process.wait().code(), Some(2), "{}", process.output());
            let output = process.output();
            assert!(
                output.contains(told) && output.contains("portcullis.toml:8") && !output.contains("secret"),
                "{output}"
            );
        }
    }
}

#[test]
fn one_client_cannot_have_all_passwords_checked() {
    let backend = Backend::named("one");
    let home = Home::new(&config(&backend, ""));
    home.replace("users", &format!("{}{}", user_of_bcrypt("ann", "a", 9), user("bob", "b")));
    let gateway = Gateway::in_home(home);
    let mut guessing: Vec<Client> = (0..24)
        .map(|number| {
            let mut client = gateway.connect("http");
            client.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", basic("ann", &number.to_string())));
            client
        })
        .collect();
    let mut other = Client::tcp_from(IpAddr::from([127, 0, 0, 2]), gateway.address("http"));
    let answer = other.ask(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", basic("bob", "b")));
    assert_eq!(answer.status, 200, "{answer:?}");

    let answers: Vec<Answer> = guessing.iter_mut().map(Client::answer).collect();
    let busy: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!busy.is_empty() && answers.iter().all(|answer| matches!(answer.status, 401 | 503)), "{answers:?}");
    assert!(busy.iter().all(|answer| answer.field("retry-after").is_some() && answer.refusal().is_some()));
    assert_eq!(gateway.access(|line| line["reason"] == "auth_busy")["status"], 503);
}

#[test]
fn a_page_that_loads_all_at_once_waits_for_one_check() {
    let backend = Backend::named("one");
    let home = Home::new(&config(&backend, ""));
    home.replace("users", &user_of_bcrypt("ann", "a", 9));
    let gateway = Gateway::in_home(home);
    let mut clients: Vec<Client> = (0..24)
        .map(|_| {
            let mut client = gateway.connect("http");
            client.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", basic("ann", "a")));
            client
        })
        .collect();
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
}

#[test]
fn a_call_of_grpc_is_refused_in_its_own_terms() {
    let backend = Backend::named("one");
    let route = config(&backend, "").replace(HTTP, "");
    let gateway = Gateway::in_home(home(&format!("{}{route}", one_worker())));
    let mut exchange = Http2::connect(&gateway).post("/echo.Echo/Call", &[("content-type", "application/grpc")]);
    exchange.finish();
    let answer = exchange.rest().unwrap();
    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("16")), "{answer:?}");
    assert_eq!(answer.field("grpc-message"), Some("unauthenticated"));
}

#[test]
fn the_readme_shows_all_three_ways() {
    use crate::support::served::issuer;

    let served = Served::example("**Who may come in**");
    let ask = |host: &str, fields: &str| served.ask("GET", host, "/", fields);
    assert_eq!(ask("intern.example.com", "").status, 401);
    assert_eq!(ask("intern.example.com", &basic("ann", "secret")).text(), "10.0.9.1:8080");
    assert_eq!(ask("sso.example.com", "").text(), "10.0.9.1:8080", "the service lets everybody in");
    assert_eq!(served.backends["10.0.9.2:9091/verify"].count(), 1);
    assert_eq!(ask("machines.example.com", "").status, 401);
    let claims = serde_json::json!({"iss": "https://id.example.com", "aud": "machines"});
    assert_eq!(ask("machines.example.com", &issuer().bearer(&claims)).text(), "10.0.9.1:8080");
}
