//! How an explanation looks to people, and what whoever asks wrongly is told.

use std::net::TcpListener;
use std::process::Command;

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::{Gateway, Home, portcullis};
use crate::support::page::blocks;
use crate::support::process::Process;
use crate::support::served::{furnished, whole};

fn explain(arguments: &[&str]) -> (i32, String, String) {
    ran(portcullis().arg("explain").args(arguments))
}

fn ran(command: &mut Command) -> (i32, String, String) {
    let mut process = Process::start(command);
    let code = process.wait().code().unwrap();
    (code, process.stdout.text(), process.stderr.text())
}

/// A config with something of everything, and its home.
fn home(backend: &str) -> Home {
    Home::new(&format!(
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[rate_limit]\nper_ip = \"10/s\"\n\
         [acl]\ndeny = [\"203.0.113.0/24\"]\n{}{HTTP}\
         [[route]]\nname = \"post\"\npath = \"/api/*\"\nmethod = [\"POST\"]\npool = \"p\"\n\
         [[route]]\nname = \"api\"\npath = \"/api/*\"\npool = \"p\"\nrewrite = {{ strip_prefix = \"/api\" }}\n\
         [[route]]\nname = \"all\"\npool = \"p\"\n\
         [pool.p]\nbalance = \"least_connections\"\nbackends = [\"{backend}\"]\n",
        HTTPS.replace("cert = ", "name = \"local\"\ncert = ").replace("127.0.0.1:0", "127.0.0.1:8443"),
    ))
}

#[test]
fn people_read_it_from_top_to_bottom() {
    let home = home("http://127.0.0.1:9");
    let config = home.config().display().to_string();
    let asks = |arguments: &[&str]| {
        let (code, out, err) = explain(&[arguments, &["-c", &config]].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        out.replace(&config, "portcullis.toml")
    };
    let passing = "\
GET https://localhost:8443/api//x?y from 127.0.0.1

listener     https (127.0.0.1:8443): it accepts connections on port 8443
certificate  local (localhost, 127.0.0.1, ::1): it has the name localhost
path         /api/x
route        api (portcullis.toml:26): any host; path by the prefix /api/*
             passes over post, which serves other methods
             the next would be all

ASKED       SAYS     WHY
rate_limit  passes   per_ip: 10 of 10 of the client left at 10/s
acl         passes   the global list decides: it has nothing against 127.0.0.1
rewrite     changes  the backend gets /x
body_limit  passes   no body, and there may be 16 MiB

POOL  BALANCE            CANDIDATE           ADDRESS      WEIGHT  STATE  ACTIVE  SCORE        PICKED
p     least_connections  http://127.0.0.1:9  127.0.0.1:9  1       up     0       burden 0.00  yes

=> forwarded as /x?y to the pool p, there to http://127.0.0.1:9";
    assert_eq!(asks(&["https://localhost:8443/api//x?y"]), passing);

    let refused = "\
GET https://localhost:8443/ from 10.0.0.7

listener     https (127.0.0.1:8443): it accepts connections on port 8443
certificate  local (localhost, 127.0.0.1, ::1): it has the name localhost
client       203.0.113.9, whom the trusted proxy names
path         /
route        all (portcullis.toml:31): any host; any path

ASKED       SAYS     WHY
rate_limit  passes   per_ip: 10 of 10 of the client left at 10/s
acl         refuses  the global list decides: its 203.0.113.0/24 denies 203.0.113.9 (portcullis.toml:6)

=> 403 refused: acl (Proxy-Status: portcullis; error=http_request_denied; details=\"acl\")";
    let forwarded = ["https://localhost:8443/", "--from", "10.0.0.7", "-H", "X-Forwarded-For: 203.0.113.9"];
    assert_eq!(asks(&forwarded), refused);

    let closed = "\
GET https://example.com from 127.0.0.1

listener     https (127.0.0.1:8443): the URL names no port, and no other listener speaks https

ASKED  SAYS     WHY
tls    refuses  no certificate covers the name `example.com` that the client asked for

=> no answer: the connection is closed (unknown_name)";
    assert_eq!(asks(&["https://example.com"]), closed);
    assert!(asks(&["https://localhost:8443/", "--from", "203.0.113.7"]).ends_with("closed (acl)"));
}

#[test]
fn of_many_candidates_a_hundred_are_shown_and_whoever_is_picked() {
    let backends: Vec<String> =
        (1..=150).map(|port| format!("{{ url = \"http://127.0.0.1:{port}\", weight = 0 }}")).collect();
    let last = "\"http://127.0.0.1:151\"";
    let pool = format!("[pool.p]\nbackends = [{}, {last}]\n", backends.join(", "));
    let home = Home::new(&format!("{HTTP}[[route]]\nname = \"all\"\npool = \"p\"\n{pool}"));
    let (code, out, _) = explain(&["http://localhost/", "-c", home.config().to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains("http://127.0.0.1:100 ") && !out.contains("http://127.0.0.1:101 "), "{out}");
    assert!(out.contains("\nand 50 more in p\n"), "{out}");
    assert!(out.ends_with("=> forwarded as / to the pool p, there to http://127.0.0.1:151"), "{out}");
}

#[test]
fn the_page_shows_what_is_explained_of_its_config() {
    let home = furnished(&whole("**One path to another pool**"));
    let lines =
        blocks("sh").into_iter().map(|(_, block)| block).find(|block| block.contains("portcullis explain")).unwrap();
    let arguments = lines.lines().next().unwrap().split(' ').skip(1);
    let (code, out, err) = ran(portcullis().args(arguments).current_dir(home.path("")));
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, shown) = blocks("text").into_iter().find(|(_, block)| block.contains("=> ")).unwrap();
    assert_eq!(out, shown.trim_end(), "what README.md shows");
}

#[test]
fn whoever_asks_wrongly_is_told_how_to_ask() {
    let home = home("http://127.0.0.1:9");
    let config = home.config().display().to_string();
    let listeners = "there are https (TLS, 127.0.0.1:8443), http (plain, 127.0.0.1:0)";
    for (arguments, told) in [
        (&["example.com"][..], "portcullis: `example.com` has no scheme; write \"https://example.com\"".to_owned()),
        (
            &["https://localhost:9443/"],
            format!(
                "portcullis: no listener accepts connections on port 9443; {listeners}; write the port into the URL, or name the listener (`--listener NAME`)"
            ),
        ),
        (
            &["https://localhost/", "--listener", "htps"],
            format!("portcullis: no listener is called `htps`; {listeners}"),
        ),
        (
            &["https://localhost/", "-H", "nonsense"],
            "portcullis: a header field has no name; write it as \"Name: value\", on one line".to_owned(),
        ),
        (&["https://localhost/", "-X", "G T"], "portcullis: `G T` is not a method; write one like \"GET\"".to_owned()),
    ] {
        let (code, out, err) = explain(&[arguments, &["-c", &config]].concat());
        assert_eq!((code, out.as_str(), err.as_str()), (2, "", told.as_str()), "{arguments:?}");
    }
    let (code, _, err) = explain(&["https://localhost/", "--from", "nobody"]);
    assert!(code == 2 && err.contains("invalid value 'nobody'"), "{err}");
    let (code, _, err) = explain(&["https://localhost/", "-c", &home.path("none.toml").display().to_string()]);
    assert!(code == 2 && err.contains("none.toml"), "{err}");
    home.replace("portcullis.toml", "[[route]]\npoll = \"p\"\n");
    let (code, _, err) = explain(&["https://localhost/", "-c", &config]);
    assert!(code == 2 && err.contains("unknown key") && err.contains("portcullis.toml:2"), "{err}");
}

#[test]
fn the_running_gateway_answers_who_has_its_token() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\n"));
    let (admin, url) = (gateway.admin().to_string(), gateway.url("http", "/"));
    let (config, token) = (gateway.home().config(), gateway.home().path("state/admin.token"));
    let (config, token) = (config.to_str().unwrap(), token.to_str().unwrap());
    let running = ["-c", config, "--running"];
    let asks = |arguments: &[&str]| {
        let mut command = portcullis();
        ran(command.env("PORTCULLIS_ADMIN_LISTEN", &admin).args(["explain", &url]).args(arguments))
    };

    for arguments in [&running[..], &["--admin", &admin, "--token-file", token], &["-c", config, "--admin", &admin]] {
        let (code, out, err) = asks(arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.ends_with(&format!("=> forwarded as / to the pool all, there to {backend}")), "{out}");
        assert!(out.contains(&format!("route        all ({config}:")), "{out}");
    }
    let (code, out, _) = asks(&[&running[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["outcome"]["pool"].as_str()), (0, Some("all")), "{out}");
    assert_eq!(backend.count(), 0, "nothing is sent");

    let (code, _, err) = asks(&[&running[..], &["--listener", "htps"]].concat());
    assert!(
        code == 2 && err.starts_with("portcullis: no listener is called `htps`; there is http (plain, 127.0.0.1:"),
        "{err}"
    );
    gateway.home().replace("wrong", "0123456789abcdef0123");
    let wrong = gateway.home().path("wrong");
    let (code, _, err) = asks(&["--admin", &admin, "--token-file", wrong.to_str().unwrap()]);
    assert!(code == 1 && err.contains("does not accept the token"), "{err}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, _, err) = asks(&["--admin", &nobody, "--token-file", token]);
    assert!(code == 1 && err.contains("is it running?"), "{err}");
    for (query, status) in
        [("", 400), ("?url=nonsense", 400), ("?url=http://a/&url=http://b/", 400), ("?url=http://a/", 200)]
    {
        let answer = gateway.ask_admin(&format!("/api/v1/explain{query}"));
        assert_eq!(answer.status, status, "{query} {answer:?}");
        assert!(status == 200 || answer.text().contains("\"advice\""), "{answer:?}");
    }
}
