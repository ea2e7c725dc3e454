//! Probes go where requests go, in the way requests go: TLS, HTTP/2, Unix sockets, PROXY headers; and they ask in three ways.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::health::{GET, config, told, up};
use crate::support::PATIENCE;
use crate::support::authority::Authority;
use crate::support::events::BACKEND_DOWN;
use crate::support::gateway::Gateway;
use crate::support::patient::Patient;
use crate::support::script::Script;
use crate::support::secure::{self, CA, Secure, Seen};
use crate::support::servers::Nginx;
use crate::support::streams::{Streams, trail};

const QUICK: &str = "interval = \"500ms\", fall = 2, rise = 1";

fn http() -> String {
    format!("health = {{ path = \"/health\", {QUICK} }}")
}

fn kind(kind: &str, more: &str) -> String {
    format!("health = {{ kind = \"{kind}\", {QUICK}{more} }}")
}

/// Waits until so many probes of a backend were good.
fn wait_for_good(gateway: &Gateway, backend: &dyn Display, count: u64) {
    let good = format!("portcullis_health_probes_total{{pool=\"p\",backend=\"{backend}\",outcome=\"ok\"}}");
    let end = Instant::now() + PATIENCE;
    while gateway.metric(&good) < count {
        assert!(Instant::now() < end, "{backend}\n{}", gateway.output());
    }
}

/// A gateway that trusts the CA of `authority`.
fn trusting(authority: &Authority, config: &str) -> Gateway {
    Gateway::in_home(secure::home(config, authority))
}

#[test]
fn https_is_verified_as_it_is_for_requests() {
    let authority = Authority::new();
    let good = Secure::showing(&authority.issue(&["127.0.0.1"]));
    let other = Secure::showing(&authority.issue(&["other.internal"]));
    let unknown = Secure::showing(&Authority::new().issue(&["127.0.0.1"]));
    let backends: [&dyn Display; 3] = [&good, &other, &unknown];
    for health in [http(), kind("tcp", "")] {
        let gateway = trusting(&authority, &config(&backends, &format!("{health}\n{CA}\n")));

        for (backend, reason) in
            [(&other, "backend_certificate_wrong_name: "), (&unknown, "backend_certificate_unknown_issuer: ")]
        {
            let event = told(&gateway, BACKEND_DOWN, backend);
            assert!(event["reason"].as_str().unwrap().starts_with(reason), "{event}");
        }
        wait_for_good(&gateway, &good, 2);
        assert_eq!(gateway.metric(&up(&good)), 1);
        assert_eq!(gateway.connect("http").ask(GET).text(), "secure");
    }
    assert!(matches!(good.seen(), Seen::Request { .. }), "a GET");
}

#[test]
fn nginx_is_probed_inside_tls_over_either_http() {
    let authority = Authority::new();
    let home = secure::home("", &authority);
    let pair = secure::nginx_pair(&home, &authority.issue(&["127.0.0.1"]));
    let says = |status: &str| format!("{pair} location /health {{ return {status} $server_protocol; }}");
    let good = Nginx::listening("https", " ssl http2", &says("200"));
    let bad = Nginx::listening("https", " ssl http2", &says("503"));
    for protocol in ["h1", "h2", "auto"] {
        let keys = format!("{}\n{CA}\nprotocol = \"{protocol}\"\n", http());
        let gateway = trusting(&authority, &config(&[&good, &bad], &keys));

        assert_eq!(told(&gateway, BACKEND_DOWN, &bad)["reason"], "status 503", "{protocol}");
        wait_for_good(&gateway, &good, 3);
        assert_eq!(gateway.events(BACKEND_DOWN).len(), 1, "{}", gateway.output());
    }
}

#[test]
fn probes_are_sent_in_http_2_where_requests_are() {
    let backend = Streams::playing(|mut asked| async move {
        asked.read().await;
        asked.answer(200, &[], "streams");
    });
    let plain = Patient::named("h1");
    let keys = format!("{}\nprotocol = \"h2\"\n", http());
    let gateway = Gateway::serving(&config(&[&backend, &plain], &keys));

    let request = backend.received();

    assert_eq!(request.line, "GET /health HTTP/2");
    assert_eq!(request.field("host").map(|host| format!("http://{host}")), Some(backend.to_string()));
    assert_eq!((request.field("user-agent"), request.field("connection")), (Some("portcullis-health"), None));
    assert_eq!(told(&gateway, BACKEND_DOWN, &plain)["reason"], "backend_malformed", "it speaks HTTP/1.1");
    wait_for_good(&gateway, &backend, 2);
    assert_eq!([backend.ended(), backend.ended()], [0, 1], "each has a connection of its own, and closes it");
}

#[test]
fn unix_sockets_are_probed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let nginx = Nginx::serving(&format!("listen unix:{}; location /health {{ return 204; }}", socket.display()));
    let url = format!("unix:{}", socket.display());
    for health in [http(), kind("tcp", "")] {
        let gateway = Gateway::serving(&config(&[&url], &health));
        wait_for_good(&gateway, &url, 2);
        assert_eq!(gateway.metric(&up(&url)), 1, "{}", nginx.output());
    }
    let gone = format!("unix:{}", folder.path().join("gone.sock").display());
    let gateway = Gateway::serving(&config(&[&gone], &http()));
    assert!(gateway.event(BACKEND_DOWN)["reason"].as_str().unwrap().starts_with("connect_failed: No such file"));
}

#[test]
fn a_connection_in_nobodys_name_says_so() {
    // Signature, version 2 and LOCAL, no address.
    const LOCAL: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let backend = Script::playing(|conversation| {
        if conversation.bytes(16) == LOCAL && conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let keys = format!("{}\nsend_proxy = \"v2\"\n", http());
    let gateway = Gateway::serving(&config(&[&backend], &keys));

    assert_eq!(backend.received().line, "GET /health HTTP/1.1");
    wait_for_good(&gateway, &backend, 2);
    assert_eq!(gateway.events(BACKEND_DOWN).len(), 0);
}

#[test]
fn a_connection_is_all_that_tcp_asks_for() {
    let silent = Script::playing(|conversation| conversation.hold());
    let dead = Script::dead();
    let gateway = Gateway::serving(&config(&[&silent, &dead], &kind("tcp", "")));

    assert!(told(&gateway, BACKEND_DOWN, &dead)["reason"].as_str().unwrap().starts_with("connect_failed: "));
    wait_for_good(&gateway, &silent, 2);
    assert_eq!(gateway.metric(&up(&silent)), 1);
}

const CHECK: &str = "POST /grpc.health.v1.Health/Check HTTP/2";
const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];

/// A server that says the next of these of the service `shop.Cart`, and the last one for ever: a `ServingStatus` or, from 100 on,
/// a `grpc-status`.
fn serving(states: &'static [u8]) -> Streams {
    let asked_before = Arc::new(AtomicUsize::new(0));
    Streams::playing(move |mut asked| {
        let number = asked_before.fetch_add(1, Ordering::SeqCst);
        let state = states[number.min(states.len() - 1)];
        async move {
            asked.read().await;
            if state >= 100 {
                let code = (state - 100).to_string();
                return asked.answer(200, &[GRPC[0], ("grpc-status", &code), ("grpc-message", "no")], "");
            }
            let mut sending = asked.begin(200, &GRPC);
            let _ = sending.send_data(vec![0, 0, 0, 0, 2, 8, state].into(), false);
            trail(sending, &[("grpc-status", "0")]);
        }
    })
}

#[test]
fn grpc_health_of_a_service_decides() {
    let good = serving(&[1]);
    let stops = serving(&[1, 1, 2]);
    let (lacks, unknown) = (serving(&[112]), serving(&[105]));
    let web = Streams::named("no gRPC");
    let backends: [&dyn Display; 5] = [&good, &stops, &lacks, &unknown, &web];
    let health = kind("grpc", ", service = \"shop.Cart\"");
    let gateway = Gateway::serving(&config(&backends, &format!("{health}\nprotocol = \"h2\"\n")));

    let request = good.received();
    assert_eq!((request.line.as_str(), request.body.as_slice()), (CHECK, &b"\0\0\0\0\x0b\x0a\x09shop.Cart"[..]));
    assert_eq!((request.field("te"), request.field("content-type")), (Some("trailers"), Some("application/grpc")));
    assert_eq!(request.field("grpc-timeout"), Some("500m"), "as long as a probe may take");
    for (backend, reason) in [
        (&stops, "NOT_SERVING"),
        (&lacks, "grpc-status UNIMPLEMENTED"),
        (&unknown, "grpc-status NOT_FOUND"),
        (&web, "no grpc-status"),
    ] {
        assert_eq!(told(&gateway, BACKEND_DOWN, backend)["reason"], reason);
    }
    wait_for_good(&gateway, &good, 2);
    assert_eq!(gateway.metric(&up(&good)), 1);
}

#[test]
fn grpc_is_asked_over_http_2_whatever_requests_speak() {
    let backend = serving(&[1]);
    let gateway = Gateway::serving(&config(&[&backend], &kind("grpc", "")));

    assert_eq!((backend.received().line.as_str(), backend.received().body.len()), (CHECK, 5));
    wait_for_good(&gateway, &backend, 2);
    assert_eq!(gateway.events(BACKEND_DOWN).len(), 0);
}
