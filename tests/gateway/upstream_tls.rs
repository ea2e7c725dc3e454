//! Backends inside TLS: verified or not spoken to, with what is given, on every change of it.

use std::fmt::Display;
use std::process::Command;
use std::time::Instant;

use rcgen::date_time_ymd;

use crate::support::PATIENCE;
use crate::support::authority::{Authority, Pair};
use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::events::{
    BACKEND_FAILS, BACKEND_MENDED, BACKEND_TLS_REFUSED, BACKEND_TLS_REPLACED, CONFIG_ACCEPTED_WITH_WARNING, SERVING,
};
use crate::support::gateway::{Gateway, Home, event, portcullis};
use crate::support::process::Process;
use crate::support::script::Script;
use crate::support::secure::{Secure, Seen};
use crate::support::servers::Nginx;
use crate::support::stoppable::Stoppable;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok";

/// A listener and a pool of these backends with these keys.
fn config(backends: &[&dyn Display], pool: &str) -> String {
    let list: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let route = "\n[[route]]\nname = \"all\"\npool = \"all\"\ntimeouts = { connect = \"2s\" }\n";
    format!("{HTTP}{route}\n[pool.all]\nbackends = [{}]\n{pool}\n", list.join(", "))
}

/// A home with the CA of `authority` as `backends.pem`.
fn home(config: &str, authority: &Authority) -> Home {
    let home = Home::new(config);
    home.replace("backends.pem", &authority.certificate());
    home
}

const CA: &str = "tls = { ca = \"backends.pem\" }";

/// The pair in files of their own, and nginx's words for them.
fn nginx_pair(home: &Home, pair: &Pair) -> String {
    home.replace("nginx.crt", &pair.certificate);
    home.replace("nginx.key", &pair.key);
    let (cert, key) = (home.path("nginx.crt"), home.path("nginx.key"));
    format!("ssl_certificate {}; ssl_certificate_key {};", cert.display(), key.display())
}

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

/// Shows `pair` and is refused for `reason`: not a byte of any request gets there, whatever the method.
fn refused_for(reason: &str, detail: &str, authority: &Authority, pair: &Pair) {
    let backend = Secure::showing(pair);
    let gateway = Gateway::in_home(home(&config(&[&backend], &format!("retry = false\n{CA}")), authority));
    let mut client = gateway.connect("http");

    for request in [GET, POST, GET] {
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.refusal()), (502, Some("tls_certificate_error")), "{answer:?}");
        let seen = backend.seen();
        assert!(matches!(&seen, Seen::Refused(said) if said.contains("alert")), "{seen:?}");
        gateway.access(|line| line["reason"] == reason && line["status"] == 502);
    }

    let failing = gateway.event(BACKEND_FAILS);
    assert_eq!((failing["backend"].as_str(), failing["reason"].as_str()), (Some(&*backend.to_string()), Some(reason)));
    assert!(failing["detail"].as_str().unwrap().contains(detail), "{failing}");
    assert_eq!(gateway.events(BACKEND_FAILS).len(), 1, "{}", gateway.output());
    let counted = format!("portcullis_refused_total{{reason=\"{reason}\",route=\"all\"}} ");
    // Counted once the client has its answer.
    let end = Instant::now() + PATIENCE;
    while gateway.metric(&counted) < 3 {
        assert!(Instant::now() < end, "{}", gateway.ask_admin("/metrics").text());
    }
}

#[test]
fn a_certificate_of_another_issuer_is_refused() {
    let authority = Authority::new();
    let pair = Authority::new().issue(&["127.0.0.1"]);
    refused_for("backend_certificate_unknown_issuer", "Test CA", &authority, &pair);
}

#[test]
fn a_self_signed_certificate_is_refused() {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pair = Pair { certificate: own.cert.pem(), key: own.signing_key.serialize_pem() };
    refused_for("backend_certificate_unknown_issuer", "rcgen", &Authority::new(), &pair);
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let pair = authority.issue_like(&["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    refused_for("backend_certificate_expired", "2021-01-01", &authority, &pair);
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused() {
    let authority = Authority::new();
    let pair = authority.issue_like(&["127.0.0.1"], |params| params.not_before = date_time_ymd(2090, 1, 1));
    refused_for("backend_certificate_invalid", "not valid yet", &authority, &pair);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let pair = authority.issue(&["api.internal", "127.0.0.2"]);
    refused_for("backend_certificate_wrong_name", "api.internal", &authority, &pair);
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

/// The status and the error of one request to a backend that cannot be spoken to.
fn refusal(backend: &dyn Display) -> (Gateway, u16, Option<String>) {
    let gateway = Gateway::in_home(home(&config(&[backend], &format!("retry = false\n{CA}")), &Authority::new()));
    let answer = gateway.connect("http").ask(GET);
    let error = answer.refusal().map(str::to_owned);
    (gateway, answer.status, error)
}

#[test]
fn a_backend_that_speaks_no_tls_or_an_old_one_is_refused() {
    let plain = Nginx::serving("location / { return 200 plain; }");
    let (gateway, status, error) = refusal(&plain.to_string().replace("http:", "https:"));
    assert_eq!((status, error.as_deref()), (502, Some("tls_protocol_error")));
    assert!(gateway.event(BACKEND_FAILS)["detail"].as_str().unwrap().contains("plain HTTP"));

    let home = Home::new("");
    let (cert, key) = (home.path("localhost.crt"), home.path("localhost.key"));
    let mut old = Command::new("openssl");
    old.args(["s_server", "-accept", "127.0.0.1:0", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-www"]);
    let old = Process::start(old.arg("-cert").arg(cert).arg("-key").arg(key));
    let address = old.stdout.wait_for(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
    let address = address.unwrap_or_else(|| panic!("no address from openssl\n{}", old.output()));
    let (gateway, status, error) = refusal(&format!("https://{address}"));
    assert_eq!((status, error.as_deref()), (502, Some("tls_alert_received")), "{}", gateway.output());
    assert!(gateway.event(BACKEND_FAILS)["detail"].as_str().unwrap().contains("ProtocolVersion"));
}

#[test]
fn a_handshake_that_breaks_or_never_ends_has_its_answer() {
    let secure = |backend: &Script| backend.to_string().replace("http:", "https:");
    let closing = Script::playing(|conversation| {
        conversation.bytes(5);
        conversation.close();
        conversation.hold();
    });
    let (_gateway, status, error) = refusal(&secure(&closing));
    assert_eq!((status, error.as_deref()), (502, Some("connection_terminated")));

    let resetting = Script::playing(|conversation| {
        conversation.bytes(5);
        conversation.reset();
    });
    let (_gateway, status, error) = refusal(&secure(&resetting));
    assert_eq!((status, error.as_deref()), (502, Some("connection_terminated")));

    let silent = Script::playing(|conversation| conversation.hold());
    let (gateway, status, error) = refusal(&secure(&silent));
    assert_eq!((status, error.as_deref()), (504, Some("connection_timeout")));
    assert!(gateway.event(BACKEND_FAILS)["detail"].as_str().unwrap().contains("handshake"));
}

#[test]
fn another_backend_is_asked_whatever_the_method() {
    let good = Backend::named("good");
    let bad = Secure::showing(&Authority::new().issue(&["127.0.0.1"]));
    let gateway = Gateway::in_home(home(&config(&[&bad, &good], CA), &Authority::new()));
    let mut client = gateway.connect("http");

    for request in [GET, POST, GET, POST] {
        assert_eq!(client.ask(request).text(), "good");
    }
    assert!(matches!(bad.seen(), Seen::Refused(_)));
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

#[test]
fn the_log_has_one_line_when_a_backend_fails_and_one_when_it_is_good_again() {
    let mut backend = Stoppable::running();
    let gateway = Gateway::serving(&config(&[&backend], "retry = false"));
    let mut client = gateway.connect("http");
    backend.stop();
    for _ in 0..5 {
        assert_eq!(client.ask(POST).status, 502);
    }
    let failing = gateway.event(BACKEND_FAILS);
    assert_eq!(failing["reason"], "connect_failed");
    assert!(failing["detail"].as_str().unwrap().contains("refused"), "{failing}");

    backend.start();
    for _ in 0..5 {
        assert_eq!(client.ask(POST).status, 200);
    }
    assert_eq!(gateway.event(BACKEND_MENDED)["backend"], backend.to_string());
    assert_eq!((gateway.events(BACKEND_FAILS).len(), gateway.events(BACKEND_MENDED).len()), (1, 1));
}
