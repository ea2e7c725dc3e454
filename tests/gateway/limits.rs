//! Limits of what a client may send and how many may come: what each refuses, and that it refuses no more than that.

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A GET with a target of that length.
fn with_target(length: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(length - 1))
}

/// A GET with so many fields.
fn with_fields(count: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(count - 1))
}

/// A GET whose names and values take so many bytes together.
fn with_fields_of(size: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(size - "Hostlocalhost".len() - 1))
}

fn hold(gateway: &Gateway, requests: &[(String, u16)]) {
    for listener in ["http", "https"] {
        for (request, status) in requests {
            let mut client = gateway.client(listener);
            let answer = client.ask(request);
            assert_eq!(answer.status, *status, "{}\n{answer:?}", &request[..40]);
            if *status != 200 {
                assert!(answer.refusal().is_some(), "{answer:?}");
                client.expect_closed();
            }
        }
    }
}

#[test]
fn the_default_limits_hold_to_the_byte() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    hold(
        &gateway,
        &[
            (with_target(8192), 200),
            (with_target(8193), 414),
            (with_target(100_000), 414),
            (with_fields(100), 200),
            (with_fields(101), 431),
            (with_fields(5000), 431),
            (with_fields_of(32 << 10), 200),
            (with_fields_of((32 << 10) + 1), 431),
            (with_fields_of(1 << 20), 431),
        ],
    );
    assert_eq!(backend.count(), 6);
}

#[test]
fn configured_limits_hold_to_the_byte() {
    let backend = Backend::named("one");
    let narrow = "limits = { uri_size = \"256 B\", header_size = \"1 KiB\", header_fields = 5 }\n";
    let wide = "limits = { uri_size = \"64 KiB\", header_size = \"1 MiB\", header_fields = 1000 }\n";
    let serving = |limits: &str| {
        let https = HTTPS.replace("tls = true\n", &format!("tls = true\n{limits}"));
        Gateway::serving(&format!("{https}{HTTP}{limits}{}", route_to(&[&backend])))
    };
    hold(
        &serving(narrow),
        &[
            (with_target(256), 200),
            (with_target(257), 414),
            (with_fields(5), 200),
            (with_fields(6), 431),
            (with_fields_of(1024), 200),
            (with_fields_of(1025), 431),
        ],
    );
    hold(
        &serving(wide),
        &[
            (with_target(65536), 200),
            (with_target(65537), 414),
            (with_fields(900), 200),
            (with_fields(1001), 431),
            (with_fields_of(60 << 10), 200),
            (with_fields_of((1 << 20) + 1), 431),
        ],
    );
}

#[test]
fn an_announced_body_over_the_limit_never_reaches_a_backend() {
    let backend = Backend::named("one");
    let gateway =
        Gateway::serving(&format!("{HTTPS}{HTTP}[[route]]\nbody_limit = \"1 KiB\"\npool = [\"{backend}\"]\n"));
    let post = |length: usize, sent: usize| {
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(sent))
    };
    hold(&gateway, &[(post(1024, 1024), 200), (post(1025, 1025), 413), (post(1025, 0), 413), (post(1 << 40, 0), 413)]);
    assert_eq!(backend.count(), 2, "once on each listener");

    let expecting = post(2048, 0).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(gateway.client("http").ask(expecting).status, 413, "and no 100 before it");
}

#[test]
fn a_body_that_outgrows_the_limit_is_cut_in_the_middle() {
    let (sender, cut) = std::sync::mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let whole = conversation.request().is_some();
        sender.send(whole).unwrap();
    });
    let gateway =
        Gateway::serving(&format!("{HTTPS}{HTTP}[[route]]\nbody_limit = \"1 MiB\"\npool = [\"{backend}\"]\n"));
    for listener in ["http", "https"] {
        let mut client = gateway.client(listener);
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
        for _ in 0..20 {
            client.send(&chunk);
        }
        let answer = client.answer();
        assert_eq!((answer.status, answer.refusal().is_some()), (413, true), "{answer:?}");
        client.expect_closed();
        assert!(!cut.recv().unwrap(), "the backend never got the end of the request");
    }
}

#[test]
fn connections_are_limited_per_listener() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}max_connections = 2\n{}", route_to(&[&backend])));
    let [mut first, mut second] = [gateway.connect("http"), gateway.connect("http")];
    assert_eq!([first.ask(GET).status, second.ask(GET).status], [200, 200]);

    gateway.connect("http").expect_closed();
    // A connection that says nothing is closed in any case, later and for another reason.
    gateway.wait_for_metric("portcullis_refused_total{reason=\"max_connections\",route=\"\"} ", 1);
    assert_eq!([first.ask(GET).status, second.ask(GET).status], [200, 200], "those that are open go on");

    first.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(first.answer().status, 200);
    drop(first);
    gateway.access(|line| line["status"] == 200);
    assert!(comes_back(&gateway), "there is room again");
}

#[test]
fn connections_are_limited_per_client_address() {
    let backend = Backend::named("one");
    let https = HTTPS.replace("tls = true\n", "tls = true\nmax_connections_per_ip = 2\n");
    let gateway = Gateway::serving(&format!("{https}{}", route_to(&[&backend])));
    let open: Vec<Client> = (0..2).map(|_| gateway.connect_tls("https", "localhost")).collect();

    let address = gateway.address("https");
    assert!(Client::try_tls(address, &gateway.home().authority, "localhost").is_err());
    let mut other = Client::tcp_from([127, 0, 0, 2].into(), address);
    other.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(other.answer().status, 400, "another address gets as far as being told that this is HTTPS");
    drop(open);
}

#[test]
fn a_flood_of_empty_lines_keeps_nobody_waiting() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("[server]\nworkers = 1\n{HTTP}{}", route_to(&[&backend])));
    let mut flood = gateway.connect("http");
    assert_eq!(flood.ask(GET).status, 200);
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&over);
    let flooding = std::thread::spawn(move || {
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            flood.send("\r\n".repeat(64 << 10));
        }
    });
    for _ in 0..20 {
        assert_eq!(gateway.connect("http").ask(GET).text(), "one");
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    flooding.join().unwrap();
}

#[test]
fn a_limit_of_open_files_is_told_of_once_for_as_long_as_it_lasts() {
    const COMPLAINT: &str = "cannot accept; raise the limit of open files";
    let brief = "timeouts = { keep_alive = \"1s\" }\n[[route]]\nrespond = { status = 200 }\n";
    let gateway = Gateway::serving(&format!("[server]\nworkers = 1\n{HTTP}{brief}"));
    let mut open = gateway.connect("http");
    assert_eq!(open.ask(GET).status, 200);

    gateway.limit_files(0);
    let mut waiting = gateway.connect("http");
    gateway.event(COMPLAINT);
    // It is tried every tenth of a second meanwhile.
    open.expect_closed();
    gateway.limit_files(1 << 10);

    assert_eq!(waiting.ask(GET).status, 200);
    assert_eq!(gateway.events(COMPLAINT).len(), 1, "{}", gateway.output());
}

#[test]
fn requests_that_were_sent_ahead_keep_nobody_waiting() {
    const AHEAD: usize = 1_000;
    let config = format!("[server]\nworkers = 1\n{HTTP}[[route]]\nrespond = {{ status = 200 }}\n");
    let mut gateway = Gateway::serving(&config);
    let (mut greedy, mut innocent) = (gateway.connect("http"), gateway.connect("http"));
    assert_eq!([greedy.ask(GET).status, innocent.ask(GET).status], [200, 200]);

    gateway.while_frozen(|| {
        greedy.send(GET.repeat(AHEAD));
        innocent.send(with_target(2));
    });
    for _ in 0..AHEAD {
        assert_eq!(greedy.answer().status, 200);
    }
    assert_eq!(innocent.answer().status, 200);

    gateway.access(|line| line["path"] == "/x");
    let before = gateway.access_lines().iter().position(|line| line["path"] == "/x").unwrap();
    assert!(before < 200, "{before} requests of another were answered first");
}

/// Whether a new connection is served soon.
fn comes_back(gateway: &Gateway) -> bool {
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    while std::time::Instant::now() < end {
        if gateway.connect("http").send(GET).next_answer(false).is_some_and(|answer| answer.status == 200) {
            return true;
        }
    }
    false
}
