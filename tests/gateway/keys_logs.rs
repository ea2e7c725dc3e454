//! Keys of the logs: what is written, how, and where.

use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::{Gateway, Home};
use crate::support::process::Process;

const ROUTES: &str = "[[route]]\nrespond = { status = 200 }\n[[route]]\npath = \"/bad\"\nrespond = { status = 503 }\n";

fn ask(gateway: &Gateway, target: &str) -> u16 {
    gateway.connect("http").ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status
}

#[test]
fn format_text_is_for_people() {
    let home = Home::new(&format!("[log]\nformat = \"text\"\n{HTTP}{ROUTES}"));
    // What a test usually sets would win.
    let process = Process::start(home.command("run").env_remove("PORTCULLIS_LOG_FORMAT"));

    let listening = process.stderr.wait_for(|line| line.contains(" listening ").then(|| line.to_owned())).unwrap();
    let address = listening.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    let answer =
        Client::tcp(address.parse().unwrap()).ask("GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nReferer: r\r\n\r\n");

    assert_eq!(answer.status, 200);
    assert!(listening.contains(" listener=http") && listening.contains("INFO"), "{listening}");
    let line = process.stdout.wait_for(|line| line.contains("/a?b=c").then(|| line.to_owned())).unwrap();
    assert!(line.starts_with("127.0.0.1 - - [") && line.contains("\"GET /a?b=c HTTP/1.1\" 200 0 \"r\""), "{line}");
    assert!(line.contains(" host=localhost listener=http "), "{line}");
}

#[test]
fn format_json_is_for_programs() {
    let home = Home::new(&format!("[log]\nformat = \"json\"\n{HTTP}{ROUTES}"));
    let process = Process::start(home.command("run").env_remove("PORTCULLIS_LOG_FORMAT"));

    let listening = process.stderr.wait_for(|line| line.contains("listening").then(|| line.to_owned())).unwrap();

    let event: serde_json::Value = serde_json::from_str(&listening).unwrap();
    assert_eq!((&event["level"], &event["listener"]), (&"info".into(), &"http".into()), "{listening}");
}

#[test]
fn level_says_how_much_is_told() {
    let config = |level: &str| format!("[log]\nlevel = \"{level}\"\n{HTTPS}{ROUTES}");
    let hang_up = |gateway: &Gateway| Client::tcp(gateway.address("https")).send("no TLS at all").expect_closed();
    let gateway = Gateway::serving(&config("info"));

    hang_up(&gateway);
    gateway.save(&config("debug"));
    assert_eq!(gateway.events("hung up").len(), 0);
    hang_up(&gateway);

    gateway.event("hung up");
}

#[test]
fn sample_leaves_out_requests_but_no_failures() {
    let config = |sample: &str| format!("[log.access]\nsample = {sample}\n{HTTP}{ROUTES}");
    let gateway = Gateway::serving(&config("0.0"));

    for _ in 0..20 {
        assert_eq!(ask(&gateway, "/good"), 200);
    }
    assert_eq!(ask(&gateway, "/bad"), 503);
    gateway.access(|line| line["status"] == 503);
    assert_eq!(gateway.access_lines().len(), 1, "{}", gateway.output());

    gateway.save(&config("1.0"));
    assert_eq!(ask(&gateway, "/good"), 200);
    gateway.access(|line| line["status"] == 200);
}

#[test]
fn the_access_log_can_be_off() {
    let config = |access: &str| format!("[log]\naccess = {access}\n{HTTP}{ROUTES}");
    let gateway = Gateway::serving(&config("false"));
    assert_eq!(ask(&gateway, "/unwritten"), 200);
    // An exchange is told of when its answer has left.
    gateway.wait_for_metric("portcullis_requests_total{listener=\"http\",route=\"*/*\",status=\"200\"} ", 1);

    gateway.save(&config("true"));

    assert_eq!(ask(&gateway, "/written"), 200);
    gateway.access(|line| line["path"] == "/written");
    assert_eq!(gateway.access_lines().len(), 1, "{}", gateway.output());
}

#[test]
fn the_access_log_can_be_a_file_which_sighup_opens_anew() {
    let mut gateway = Gateway::serving(&format!("[log.access]\npath = \"access.log\"\n{HTTP}{ROUTES}"));
    let (file, rotated) = (gateway.home().path("access.log"), gateway.home().path("access.log.1"));

    ask_until(&gateway, "/first", &file);
    std::fs::rename(&file, &rotated).unwrap();
    gateway.signal(Signal::HUP);
    ask_until(&gateway, "/second", &file);

    assert!(std::fs::read_to_string(&rotated).unwrap().contains("/first"));
    assert!(gateway.access_lines().is_empty(), "nothing goes to standard output");
}

/// Asks for `target` until the file tells of it.
fn ask_until(gateway: &Gateway, target: &str, file: &Path) {
    let end = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(file).unwrap_or_default().contains(target) {
        assert!(Instant::now() < end, "no {target} in {}\n{}", file.display(), gateway.output());
        assert_eq!(ask(gateway, target), 200);
    }
}
