//! Backends inside TLS: verified by what is given, on every change of it.

use std::sync::{Mutex, mpsc};

use crate::support::PATIENCE;
use crate::support::authority::Authority;
use crate::support::events::{
    BACKEND_FAILS, BACKEND_TLS_REFUSED, BACKEND_TLS_REPLACED, CONFIG_ACCEPTED_WITH_WARNING, SERVING,
};
use crate::support::gateway::{Gateway, Home, event, portcullis};
use crate::support::process::Process;
use crate::support::secure::{CA, Secure, Seen, config, home, nginx_pair};
use crate::support::servers::Nginx;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn nginx_is_verified_by_the_given_ca_and_its_sessions_are_resumed() {
    let authority = Authority::new();
    let home = home("", &authority);
    let pair = nginx_pair(&home, &authority.issue(&["127.0.0.1"]));
    let speaking = |version: &str| {
        Nginx::secure(&format!(
            "{pair} ssl_protocols {version}; ssl_session_cache shared:a:1m; keepalive_timeout 0;
             location / {{ return 200 \"$ssl_protocol $ssl_session_reused\"; }}"
        ))
    };
    let (old, new) = (speaking("TLSv1.2"), speaking("TLSv1.3"));
    home.replace("portcullis.toml", &config(&[&old], CA));
    let gateway = Gateway::in_home(home);

    let mut client = gateway.connect("http");
    assert_eq!([(); 3].map(|()| client.ask(GET).text()), ["TLSv1.2 .", "TLSv1.2 r", "TLSv1.2 r"]);
    // A reload that changes neither the backend nor its files costs no session.
    gateway.save(&config(&[&old, &new], CA));
    let answers = [(); 4].map(|()| client.ask(GET).text());
    for (answer, count) in [("TLSv1.2 r", 2), ("TLSv1.3 .", 1), ("TLSv1.3 r", 1)] {
        assert_eq!(answers.iter().filter(|one| *one == answer).count(), count, "{answers:?}");
    }
}

#[test]
fn connections_inside_tls_are_used_again() {
    let authority = Authority::new();
    let home = home("", &authority);
    let pair = nginx_pair(&home, &authority.issue(&["127.0.0.1"]));
    for version in ["TLSv1.2", "TLSv1.3"] {
        let served = "location / { return 200 $connection_requests; }";
        let backend = Nginx::secure(&format!("{pair} ssl_protocols {version}; {served}"));
        let own = Home::new(&config(&[&backend], CA));
        own.replace("backends.pem", &authority.certificate());
        let gateway = Gateway::in_home(own);
        let mut client = gateway.connect("http");
        assert_eq!([(); 3].map(|()| client.ask(GET).text()), ["1", "2", "3"], "{version}");
    }
}

#[test]
fn what_comes_behind_an_answer_inside_tls_is_never_the_next_clients() {
    let authority = Authority::new();
    let (go, begun) = mpsc::channel();
    let begun = Mutex::new(begun);
    let backend = Secure::playing(&authority.issue(&["127.0.0.1"]), move |session| {
        while session.request() {
            session.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            if session.number == 0 {
                // Once the head has been passed on, so that the rest arrives by itself.
                begun.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                session.send("goodHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned");
            } else {
                session.send("well");
            }
        }
    });
    let server = "[server]\nworkers = 1\n";
    let gateway = Gateway::in_home(home(&format!("{server}{}", config(&[&backend], CA)), &authority));
    let mut client = gateway.connect("http");
    // The first byte says that the head has come; the rest of it still reads as an answer.
    assert_eq!(client.send(GET).exactly(1).unwrap(), b"H");
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "good");
    assert_eq!(client.ask(GET).text(), "well");
    assert_eq!(gateway.connect("http").ask(GET).text(), "well");
}

#[test]
fn the_protocol_is_agreed_on_in_the_handshake() {
    let authority = Authority::new();
    let home = home("", &authority);
    let pair = nginx_pair(&home, &authority.issue(&["127.0.0.1"]));
    let served = format!("{pair} location / {{ return 200 $server_protocol; }}");
    let (new, old) = (Nginx::secure_http2(&served), Nginx::secure(&served));
    let speaking = |backend: &Nginx, protocol| config(&[backend], &format!("protocol = \"{protocol}\"\n{CA}"));
    home.replace("portcullis.toml", &config(&[&new], CA));
    let gateway = Gateway::in_home(home);
    let mut client = gateway.connect("http");
    assert_eq!(client.ask(GET).text(), "HTTP/2.0", "the default");

    for (backend, protocol, spoken) in [
        (&new, "h1", Some("HTTP/1.1")),
        (&new, "h2", Some("HTTP/2.0")),
        (&new, "auto", Some("HTTP/2.0")),
        (&old, "auto", Some("HTTP/1.1")),
        (&old, "h2", None),
        (&old, "h1", Some("HTTP/1.1")),
    ] {
        gateway.save(&speaking(backend, protocol));
        for _ in 0..3 {
            let answer = client.ask(GET);
            match spoken {
                Some(spoken) => assert_eq!(answer.text(), spoken, "{protocol} to {backend}"),
                None => assert_eq!((answer.status, answer.refusal()), (502, Some("tls_protocol_error")), "{answer:?}"),
            }
        }
    }
    assert_eq!(gateway.event(BACKEND_FAILS)["reason"], "backend_no_shared_protocol");
}

#[test]
fn the_server_name_is_asked_for_and_held_against_the_certificate() {
    let authority = Authority::new();
    let backend = Secure::showing(&authority.issue(&["api.internal"]));
    let named =
        |name: &str| config(&[&backend], &format!("tls = {{ ca = \"backends.pem\", server_name = \"{name}\" }}"));
    let gateway = Gateway::in_home(home(&named("API.internal"), &authority));
    let mut client = gateway.connect("http");

    assert_eq!(client.ask(GET).text(), "secure");
    let seen = backend.seen();
    assert!(matches!(&seen, Seen::Request { name: Some(name) } if name == "api.internal"), "{seen:?}");

    gateway.save(&named("other.internal"));
    assert_eq!(client.ask(GET).refusal(), Some("tls_certificate_error"));
    gateway.save(&named("api.internal"));
    assert_eq!(client.ask(GET).text(), "secure");
}

#[test]
fn a_client_certificate_is_shown_to_a_backend_that_asks() {
    let authority = Authority::new();
    let home = home("", &authority);
    let me = authority.issue_like(&[], |params| params.distinguished_name.push(rcgen::DnType::CommonName, "edge"));
    home.replace("me.crt", &me.certificate);
    home.replace("me.key", &me.key);
    let backend = Nginx::secure(&format!(
        "{} ssl_client_certificate {}; ssl_verify_client on;
         location / {{ return 200 $ssl_client_s_dn; }}",
        nginx_pair(&home, &authority.issue(&["127.0.0.1"])),
        home.path("backends.pem").display(),
    ));
    let with = "tls = { ca = \"backends.pem\", cert = \"me.crt\", key = \"me.key\" }";
    home.replace("portcullis.toml", &config(&[&backend], with));
    let gateway = Gateway::in_home(home);

    let answer = gateway.connect("http").ask(GET);
    assert_eq!((answer.status, answer.text().as_str()), (200, "CN=edge"), "{answer:?}");

    gateway.save(&config(&[&backend], CA));
    let answer = gateway.connect("http").ask(GET);
    assert!(answer.status == 400 && answer.text().contains("No required SSL certificate"), "{answer:?}");
}

#[test]
fn a_changed_ca_is_live_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let backend = Secure::showing(&authority.issue(&["127.0.0.1"]));
    let gateway = Gateway::in_home(home(&config(&[&backend], CA), &Authority::new()));
    let mut client = gateway.connect("http");
    assert_eq!(client.ask(GET).refusal(), Some("tls_certificate_error"));

    gateway.home().replace("backends.pem", &authority.certificate());
    gateway.event(BACKEND_TLS_REPLACED);
    gateway.event_where(SERVING, |event| event["generation"] == 2);
    assert_eq!(client.ask(GET).text(), "secure");

    gateway.home().replace("backends.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    let refused = gateway.event(BACKEND_TLS_REFUSED);
    assert!(refused["problem"].as_str().unwrap().contains("backends.pem"), "{refused}");
    assert_eq!(client.ask(GET).text(), "secure");
    // What is said in the config meanwhile is taken, with what the file held last.
    gateway.save(&config(&[&backend], &format!("pool_idle = \"5s\"\n{CA}")));
    assert_eq!(client.ask(GET).text(), "secure");
    assert_eq!(gateway.events(BACKEND_TLS_REFUSED).len(), 1, "{}", gateway.output());

    gateway.home().replace("backends.pem", &Authority::new().certificate());
    gateway.event_where(SERVING, |event| event["generation"] == 5);
    assert_eq!(client.ask(GET).refusal(), Some("tls_certificate_error"));
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start_and_by_check() {
    let authority = Authority::new();
    let tls = "tls = { ca = \"none.pem\", cert = \"localhost.crt\", key = \"localhost.key\" }";
    let home = home(&config(&[&"https://127.0.0.1:9"], tls), &authority);
    for command in ["run", "check"] {
        let mut process = home.start(command);
        assert_eq!(process.wait().code(), Some(2));
        let told = process.stderr.text();
        assert!(told.contains("none.pem: no such file") && told.contains("ca = \"none.pem\""), "{told}");
    }
    home.replace("localhost.key", &authority.issue(&["localhost"]).key);
    home.replace("portcullis.toml", &config(&[&"https://127.0.0.1:9"], &tls.replace("none.pem", "backends.pem")));
    let mut process = home.start("check");
    assert_eq!(process.wait().code(), Some(2));
    assert!(process.stderr.text().contains("does not belong to the first certificate"), "{}", process.output());
}

#[test]
fn without_a_ca_the_systems_roots_decide() {
    let authority = Authority::new();
    let backend = Secure::showing(&authority.issue(&["127.0.0.1"]));
    let plain = config(&[&backend], "");
    let gateway = Gateway::serving(&plain);
    assert_eq!(gateway.connect("http").ask(GET).refusal(), Some("tls_certificate_error"));
    assert!(matches!(backend.seen(), Seen::Refused(_)));
    drop(gateway);

    let home = home(&plain, &authority);
    let given = |file: &str| {
        let mut command = portcullis();
        command.arg("run").arg("-c").arg(home.config());
        command.env("SSL_CERT_FILE", home.path(file)).env_remove("SSL_CERT_DIR");
        command
    };
    let mut missing = Process::start(&mut given("none.pem"));
    assert_eq!(missing.wait().code(), Some(2));
    assert!(missing.stderr.text().contains("SSL_CERT_FILE"), "{}", missing.output());

    let process = Process::start(&mut given("backends.pem"));
    assert!(event(&process, |event| event["msg"] == SERVING).is_some(), "{}", process.output());
    let gateway = Gateway::of(process, home);
    assert_eq!(gateway.connect("http").ask(GET).text(), "secure");
    assert!(gateway.events(CONFIG_ACCEPTED_WITH_WARNING).is_empty(), "{}", gateway.output());
}
