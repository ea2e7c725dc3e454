//! Backends that cannot be verified, or do not speak TLS as we do: what the client gets, what the log says, and that they get nothing.

use std::fmt::Display;
use std::process::Command;
use std::time::Instant;

use rcgen::date_time_ymd;

use crate::support::PATIENCE;
use crate::support::authority::{Authority, Pair};
use crate::support::backend::Backend;
use crate::support::events::{BACKEND_FAILS, BACKEND_MENDED};
use crate::support::gateway::{Gateway, Home};
use crate::support::process::Process;
use crate::support::script::Script;
use crate::support::secure::{CA, Secure, Seen, config, home};
use crate::support::servers::Nginx;
use crate::support::stoppable::Stoppable;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok";

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
fn the_log_has_one_line_when_a_backend_fails_and_one_when_it_is_good_again() {
    let mut backend = Stoppable::running();
    // A breaker would not send the requests by which it is seen to be good again.
    let gateway = Gateway::serving(&config(&[&backend], "retry = false\nbreaker = false"));
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
