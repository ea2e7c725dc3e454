//! Unix sockets: as listeners, with their files, and as backends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Mutex;

use rustix::process::Signal;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::events::{CONFIG_REFUSED, NO_LONGER_LISTENING};
use crate::support::gateway::{Gateway, Home};
use crate::support::script::Script;
use crate::support::servers::Nginx;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A plain listener on a socket beside the config.
const SOCKET: &str = "\n[[listener]]\nname = \"local\"\nbind = \"unix:local.sock\"\n";

#[test]
fn a_client_on_a_unix_socket_is_served_and_counts_as_this_machine() {
    let backend = Backend::named("one");
    let tls = HTTPS.replace("127.0.0.1:0", "unix:tls.sock");
    let gateway = Gateway::serving(&format!("{SOCKET}{tls}{}", route_to(&[&backend])));
    let home = gateway.home();
    for (socket, scheme) in [("local.sock", "http"), ("tls.sock", "https")] {
        assert_eq!(fs::metadata(home.path(socket)).unwrap().permissions().mode() & 0o777, 0o660);
        let curl = || gateway.curl().over(&home.path(socket));
        let url = format!("{scheme}://localhost/{scheme}");
        assert_eq!(curl().http1().ask(&url).text(), "one");
        let received = backend.received();
        assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(received.field("x-forwarded-proto"), Some(scheme));
        assert_eq!(gateway.access(|line| line["path"] == format!("/{scheme}"))["client"], "127.0.0.1");
    }
    let over_h2 = gateway.curl().http2().over(&home.path("tls.sock")).ask("https://localhost/");
    assert_eq!((over_h2.version.as_str(), over_h2.text().as_str()), ("HTTP/2", "one"));
    assert!(gateway.ask_admin("/api/v1/status").text().contains("local.sock"));
}

#[test]
fn forwarding_fields_are_believed_where_this_machine_is_trusted() {
    let backend = Backend::named("one");
    let claim = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    for (trusted, told) in [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "192.0.2.7, 127.0.0.1")] {
        let server = format!("[server]\ntrusted_proxies = [\"{trusted}\"]\n");
        let gateway = Gateway::serving(&format!("{server}{SOCKET}{}", route_to(&[&backend])));
        assert_eq!(gateway.connect_unix("local.sock").ask(claim).status, 200);
        assert_eq!(backend.received().field("x-forwarded-for"), Some(told));
    }
}

#[test]
fn many_at_once_are_spread_over_the_workers_and_bounded_by_the_listener_alone() {
    let backend = Backend::named("one");
    let limits = "max_connections_per_ip = 1\nmax_connections = 60\n";
    let gateway = Gateway::serving(&format!("[server]\nworkers = 3\n{SOCKET}{limits}{}", route_to(&[&backend])));
    let mut clients: Vec<Client> = (0..60).map(|_| gateway.connect_unix("local.sock")).collect();
    for client in &mut clients {
        assert_eq!(client.ask(GET).text(), "one");
    }
    gateway.connect_unix("local.sock").expect_closed();
    gateway.wait_for_metric("portcullis_refused_total{reason=\"max_connections\",route=\"\"} ", 1);
}

#[test]
fn a_file_that_a_killed_gateway_left_is_replaced_and_one_that_is_in_use_is_not() {
    let backend = Backend::named("one");
    let home = Home::new(&format!("{SOCKET}{}", route_to(&[&backend])));
    let stale = UnixListener::bind(home.path("local.sock")).unwrap();
    let mut refused = home.start("run");
    assert_eq!(refused.wait().code(), Some(1), "{}", refused.output());
    let told = refused.stderr.text();
    assert!(told.contains("local.sock is taken: another program listens there"), "{told}");
    assert!(told.contains("portcullis.toml:4:8") && told.contains("ss -lxp"), "{told}");

    drop(stale);
    let gateway = Gateway::in_home(home);

    assert_eq!(gateway.connect_unix("local.sock").ask(GET).text(), "one");
}

#[test]
fn what_is_in_the_way_and_no_socket_is_left_alone() {
    for (bind, told) in [("unix:ca.crt", "is no socket"), ("unix:nowhere/s", "mkdir -p")] {
        let home = Home::new(&format!("[[listener]]\nbind = \"{bind}\"\n{}", route_to(&[&"http://127.0.0.1:9"])));
        let mut process = home.start("run");
        assert_eq!(process.wait().code(), Some(1), "{}", process.output());
        assert!(process.stderr.text().contains(told), "{}", process.output());
        assert!(fs::read_to_string(home.path("ca.crt")).unwrap().contains("BEGIN CERTIFICATE"));
    }
}

#[test]
fn a_stop_removes_the_file_and_finishes_what_is_in_flight() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        conversation.request();
        wait.lock().unwrap().recv().unwrap();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let mut gateway = Gateway::serving(&format!("{HTTP}{SOCKET}{}", route_to(&[&backend])));
    let mut client = gateway.connect_unix("local.sock");
    client.send(GET);
    backend.received();

    gateway.signal(Signal::TERM);
    gateway.wait_until_refusing("http");
    assert!(!gateway.home().path("local.sock").exists());
    go.send(()).unwrap();

    assert_eq!(client.answer().text(), "late");
    client.expect_closed();
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());
}

#[test]
fn a_listener_on_a_unix_socket_comes_and_goes_and_changes_its_name() {
    let backend = Backend::named("one");
    let kept = format!("{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&kept);
    let path = gateway.home().path("local.sock");

    gateway.save(&format!("{kept}{SOCKET}"));
    let mut open = gateway.connect_unix("local.sock");
    assert_eq!(open.ask(GET).text(), "one");

    gateway.save(&format!("{kept}{}", SOCKET.replace("\"local\"", "\"renamed\"")));
    open.expect_closed();
    // The file is the new socket's, but what connected to the old one until then is still served, under its name.
    let served_by = |number: usize| {
        let path = format!("/{number}");
        let answer = gateway.connect_unix("local.sock").ask(GET.replace("GET /", &format!("GET {path}")));
        assert_eq!(answer.text(), "one");
        gateway.access(|line| line["path"] == path.as_str())["listener"] == "renamed"
    };
    assert!((0..1000).any(served_by));

    gateway.save(&kept);
    gateway.event_where(NO_LONGER_LISTENING, |event| event["listener"] == "renamed");
    assert!(!path.exists() && UnixStream::connect(&path).is_err());
    assert_eq!(gateway.connect("http").ask(GET).text(), "one");
}

#[test]
fn a_socket_that_cannot_be_had_refuses_the_whole_config_and_leaves_no_file() {
    let backend = Backend::named("one");
    let kept = format!("{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&kept);
    let taken = SOCKET.replace("local", "taken");
    let _other = UnixListener::bind(gateway.home().path("taken.sock")).unwrap();

    gateway.home().replace("portcullis.toml", &format!("{kept}{SOCKET}{taken}"));
    let event = gateway.event(CONFIG_REFUSED);

    assert!(event["problem"].as_str().unwrap().contains("taken.sock is taken"), "{event}");
    assert!(!gateway.home().path("local.sock").exists());
    assert_eq!(gateway.connect("http").ask(GET).text(), "one");
}

#[test]
fn nginx_is_a_backend_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let nginx = Nginx::serving(&format!("listen unix:{};", socket.display()));
    fs::write(nginx.root().join("page"), "from nginx").unwrap();
    let url = format!("unix:{}", socket.display());
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&url])));

    let mut client = gateway.connect("http");
    for _ in 0..3 {
        assert_eq!(client.ask("GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n").text(), "from nginx");
    }
    assert_eq!(gateway.access(|line| line["path"] == "/page")["backend"], url);

    drop(nginx);
    fs::remove_file(&socket).unwrap_or_default();
    let gone = gateway.connect("http").ask(GET);
    assert_eq!((gone.status, gone.refusal()), (502, Some("connection_refused")));
}
