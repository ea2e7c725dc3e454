//! Starting, refusing to start, checking, stopping.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::events::{DRAINING, LISTENING, SERVING};
use crate::support::gateway::{Gateway, Home, event, portcullis};
use crate::support::process::Process;
use crate::support::script::Script;

/// A config with three mistakes of three kinds.
const MISTAKES: &str = r#"
[[listener]]
name = "http"
bind = "127.0.0.1:0"
max_conections = 5

[[route]]
pool = "nowhere"
timeouts = { response = "10 parsecs" }
"#;

#[test]
fn a_bad_config_exits_2_and_names_every_problem() {
    for command in ["run", "check"] {
        let home = Home::new(MISTAKES);
        let mut process = home.start(command);

        assert_eq!(process.wait().code(), Some(2), "{}", process.output());
        let told = process.output();
        for word in ["max_conections", "max_connections", "nowhere", "10 parsecs", "portcullis.toml:5"] {
            assert!(told.contains(word), "{command} does not mention {word}\n{told}");
        }
    }
}

#[test]
fn check_passes_what_run_would_serve_and_touches_nothing() {
    // Taken, and `check` does not mind: it never binds.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new(&format!("[[listener]]\nbind = \"{address}\"\n{}", route_to(&[&"http://127.0.0.1:9"])));

    let mut process = home.start("check");

    assert_eq!(process.wait().code(), Some(0), "{}", process.output());
    assert!(!home.path("state").exists(), "check leaves no state behind");
}

#[test]
fn check_reads_the_certificates() {
    let home = Home::new(&format!("{HTTPS}{}", route_to(&[&"http://127.0.0.1:9"])));
    home.replace("localhost.key", "no key");

    let mut process = home.start("check");

    assert_eq!(process.wait().code(), Some(2), "{}", process.output());
    assert!(process.output().contains("localhost.key"), "{}", process.output());
}

#[test]
fn a_missing_config_exits_2_and_says_which() {
    let mut process = Process::start(portcullis().args(["run", "-c", "/nowhere/portcullis.toml"]));

    assert_eq!(process.wait().code(), Some(2), "{}", process.output());
    assert!(process.output().contains("/nowhere/portcullis.toml"), "{}", process.output());
}

#[test]
fn a_taken_port_exits_1_and_says_which() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new(&format!("[[listener]]\nbind = \"{address}\"\n{}", route_to(&[&"http://127.0.0.1:9"])));

    let mut process = home.start("run");

    assert_eq!(process.wait().code(), Some(1), "{}", process.output());
    assert!(process.output().contains(&address.to_string()), "{}", process.output());
}

#[test]
fn port_443_without_the_capability_exits_1_and_says_what_to_do() {
    let home =
        Home::new(&format!("{}{}", HTTPS.replace("127.0.0.1:0", "0.0.0.0:443"), route_to(&[&"http://127.0.0.1:9"])));

    let mut process = Process::start(&mut without_the_capability(portcullis().arg("run").arg("-c").arg(home.config())));

    assert_eq!(process.wait().code(), Some(1), "{}", process.output());
    let told = process.stderr.text();
    assert_eq!(told.matches("error: ").count(), 1, "one clear line\n{told}");
    for part in
        ["error: no permission to listen on 0.0.0.0:443", "portcullis.toml:4:8", "CAP_NET_BIND_SERVICE", "setcap"]
    {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn a_second_gateway_on_the_same_port_is_refused() {
    let backend = Backend::named("one");
    let first = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let address = first.address("http");
    let home = Home::new(&format!("[[listener]]\nbind = \"{address}\"\n{}", route_to(&[&backend])));

    let mut second = home.start("run");

    assert_eq!(second.wait().code(), Some(1), "{}", second.output());
    assert_eq!(first.connect("http").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        conversation.request();
        wait.lock().unwrap().recv().unwrap();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let mut gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&backend])));
    let mut client = gateway.connect("http");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.received();

    gateway.signal(Signal::TERM);
    gateway.event(DRAINING);
    gateway.wait_until_refusing("http");
    go.send(()).unwrap();

    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"), "{answer:?}");
    assert_eq!(answer.field("connection"), Some("close"));
    client.expect_closed();
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());
}

#[test]
fn the_drain_deadline_cuts_what_does_not_end() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    let config = format!("{HTTP}{}", route_to(&[&backend]));
    let mut gateway = Gateway::serving(&format!("[server]\ndrain = \"1h\"\n{config}"));
    // What counts is the config at the time of the drain.
    gateway.save(&format!("[server]\ndrain = \"100ms\"\n{config}"));
    let mut client = gateway.connect("http");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.received();

    gateway.signal(Signal::TERM);

    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.output());
}

#[test]
fn usage_errors_exit_2_and_the_version_is_told() {
    let mut wrong = Process::start(portcullis().arg("fly"));
    assert_eq!(wrong.wait().code(), Some(2));
    let mut version = Process::start(portcullis().arg("--version"));
    assert_eq!(version.wait().code(), Some(0));
    assert_eq!(version.stdout.text(), concat!("portcullis ", env!("CARGO_PKG_VERSION")));
    let mut completions = Process::start(portcullis().args(["completions", "bash"]));
    assert_eq!(completions.wait().code(), Some(0));
    assert!(completions.stdout.text().contains("_portcullis"));
}

#[test]
fn events_say_where_it_listens() {
    let home = Home::new(&format!("{HTTP}{}", route_to(&[&"http://127.0.0.1:9"])));
    let process = home.start("run");

    let listening = event(&process, |event| event["msg"] == LISTENING).unwrap();

    assert_eq!(listening["listener"], "http");
    assert_eq!(listening["level"], "info");
    assert!(listening["ts"].is_string(), "{listening}");
    assert!(event(&process, |event| event["msg"] == SERVING).is_some_and(|event| event["generation"] == 1));
}

#[test]
fn a_state_folder_that_cannot_be_made_exits_1_and_says_which() {
    // Below a file no user can make a folder, whatever its rights.
    let home =
        Home::new(&format!("[server]\nstate_dir = \"/dev/null/state\"\n{HTTP}{}", route_to(&[&"http://127.0.0.1:9"])));

    let mut process = home.start("run");

    assert_eq!(process.wait().code(), Some(1), "{}", process.output());
    let told = process.stderr.text();
    assert!(told.contains("/dev/null/state") && told.contains("server.state_dir"), "{told}");
}

/// `command`, run by somebody who may not listen on 443, whoever runs the tests.
pub(crate) fn without_the_capability(command: &Command) -> Command {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let mut arguments: Vec<&OsStr> = Vec::new();
    let unprivileged = start.trim().parse::<u16>().unwrap() <= 443;
    if unprivileged {
        // Some containers let everybody listen everywhere. A network of its own begins with what Linux does by default.
        arguments.extend(["unshare", "--user", "--map-root-user", "--net"].map(OsStr::new));
    }
    // Neither root nor a capability on the file brings it back.
    arguments.extend(["setpriv", "--no-new-privs"].map(OsStr::new));
    if unprivileged || rustix::process::geteuid().is_root() {
        arguments.extend(["--inh-caps", "-net_bind_service", "--bounding-set", "-net_bind_service"].map(OsStr::new));
    }
    arguments.push(command.get_program());
    arguments.extend(command.get_args());
    let mut wrapped = Command::new(arguments[0]);
    wrapped.args(&arguments[1..]);
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}
