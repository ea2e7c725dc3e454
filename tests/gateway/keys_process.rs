//! Keys of the process as a whole: its files, its folder, its admin listener, its threads.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::configs::HTTP;
use crate::support::events::{ADMIN_LISTENING, SERVING};
use crate::support::gateway::{Gateway, Home};

const RESPOND: &str = "[[route]]\nrespond = { status = 200, body = \"plain\" }\n";

fn ask(gateway: &Gateway, target: &str) -> u16 {
    gateway.connect("http").ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status
}

fn metrics_with(gateway: &Gateway, token: &str) -> Answer {
    let token = token.trim();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
        gateway.admin()
    );
    Client::tcp(gateway.admin()).ask(request)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn include_brings_in_other_files_which_are_watched_too() {
    let home = Home::new(&format!("include = [\"sites/*.toml\"]\n{HTTP}{RESPOND}"));
    std::fs::create_dir(home.path("sites")).unwrap();
    home.replace("sites/one.toml", "[[route]]\npath = \"/one\"\nrespond = { status = 201 }\n");
    let gateway = Gateway::in_home(home);
    assert_eq!([ask(&gateway, "/one"), ask(&gateway, "/two")], [201, 200]);

    gateway.home().replace("sites/two.toml", "[[route]]\npath = \"/two\"\nrespond = { status = 202 }\n");

    gateway.event_where(SERVING, |event| event["generation"] == 2);
    assert_eq!([ask(&gateway, "/one"), ask(&gateway, "/two")], [201, 202]);
}

#[test]
fn state_dir_is_where_the_gateway_keeps_what_it_makes() {
    let gateway = Gateway::serving(&format!("[server]\nstate_dir = \"kept/here\"\n{HTTP}{RESPOND}"));

    let token = std::fs::read_to_string(gateway.home().path("kept/here/admin.token")).unwrap();

    assert_eq!(metrics_with(&gateway, &token).status, 200);
    assert_eq!(mode(&gateway.home().path("kept/here")), 0o700);
    assert!(!gateway.home().path("state").exists());
}

#[test]
fn token_file_is_made_where_it_is_missing_and_taken_where_it_is_not() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let config = format!("[admin]\ntoken_file = \"secret/token\"\n{HTTP}{RESPOND}");
    let home = Home::new(&config);
    std::fs::create_dir(home.path("secret")).unwrap();
    home.replace("secret/token", TOKEN);
    let given = Gateway::in_home(home);
    assert_eq!(metrics_with(&given, TOKEN).status, 200);
    assert_eq!(metrics_with(&given, "another").status, 401);
    assert!(!given.home().path("state/admin.token").exists());

    let home = Home::new(&config);
    std::fs::create_dir(home.path("secret")).unwrap();
    let made = Gateway::in_home(home);
    let file = made.home().path("secret/token");
    assert_eq!(metrics_with(&made, &std::fs::read_to_string(&file).unwrap()).status, 200);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn the_admin_listener_is_where_the_config_says_or_nowhere() {
    let serving = |listen: &str| {
        let home = Home::new(&format!("[admin]\nlisten = {listen}\n{HTTP}{RESPOND}"));
        Gateway::in_home_as(home, |command| {
            command.env_remove("PORTCULLIS_ADMIN_LISTEN");
        })
    };

    let elsewhere = serving("\"127.0.0.2:0\"");
    assert_eq!(elsewhere.admin().ip().to_string(), "127.0.0.2");
    let token = elsewhere.token();
    assert_eq!(metrics_with(&elsewhere, &token).status, 200);

    let nowhere = serving("false");
    assert_eq!(ask(&nowhere, "/"), 200);
    assert!(nowhere.events(ADMIN_LISTENING).is_empty(), "{}", nowhere.output());
}

#[test]
fn workers_is_the_number_of_threads_that_serve() {
    let gateway = Gateway::serving(&format!("[server]\nworkers = 3\n{HTTP}{RESPOND}"));

    let status: serde_json::Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    assert_eq!(status["workers"], 3, "{status}");
    // A thread names itself, which may be a moment after it serves.
    let end = Instant::now() + PATIENCE;
    while worker_threads(gateway.pid()) != 3 {
        assert!(Instant::now() < end, "{} workers", worker_threads(gateway.pid()));
        assert_eq!(ask(&gateway, "/"), 200);
    }
}

fn worker_threads(pid: i32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}
