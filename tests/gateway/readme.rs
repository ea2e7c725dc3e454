//! The README's examples, served: each is added to the first as the page says, with the test's own addresses in place of the
//! page's, and does the one thing that it is there for. The admin listener's lines are run as they are printed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::client::Client;
use crate::support::echo;
use crate::support::gateway::{Gateway, portcullis};
use crate::support::page::blocks;
use crate::support::process::Process;
use crate::support::secure::{Secure, Seen};
use crate::support::served::{LISTENER, SMALLEST, Served, furnished, whole};
use crate::support::streams::Streams;
use crate::websocket::HANDSHAKE;

/// How the paragraph before each example that is added to the smallest begins.
const WISHES: &[&str] = &[
    "**Other ports**",
    "**Weights.**",
    "**Other ways to choose a backend.**",
    "**Health checks.**",
    "**A backend that fails.**",
    "**Clients that come back to their backend.**",
    "**Retries, and backends that have their hands full.**",
    "**A canary, and switching over.**",
    "**A mirror.**",
    "**Backends by name.**",
    "**One path to another pool**",
    "**All subdomains**",
    "**By method, header or query**",
    "**A redirect, and a fixed answer**",
    "**TLS 1.3 only, and HSTS**",
    "**Header fields, and pages of other origins.**",
    "**HTTPS to backends.**",
    "**WebSockets**",
    "**Larger uploads and slower backends**",
    "**Backends that speak HTTP/2, gRPC.**",
    "**Rate limits.**",
    "**Behind another proxy.**",
    "**Behind a load balancer that passes TCP on**",
    "**Who may come**",
    "**Who may come in**",
    "**Requests that are not as they should be**",
    "**A backend that wants to know the client's address**",
    "**A Unix socket**",
    "**Logs as JSON, and a status page",
];

#[test]
fn backends_are_verified_as_the_pool_says() {
    let config = format!("{}{LISTENER}", whole("**HTTPS to backends.**"));
    let home = furnished(&config);
    let backend = Secure::showing(&home.authority.issue(&["api.internal"]));
    let both = "\"https://10.0.6.1:8443\", \"https://10.0.6.2:8443\"";
    assert!(config.contains(both), "{config}");
    home.replace("portcullis.toml", &config.replace(both, &format!("\"{backend}\"")));
    let gateway = Gateway::in_home(home);
    let mut client = gateway.connect_tls("https", "secure.example.com");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: secure.example.com\r\n\r\n").text(), "secure");
    assert!(matches!(backend.seen(), Seen::Request { name: Some(name) } if name == "api.internal"));
}

#[test]
fn backends_are_spoken_to_in_http_2_where_the_pool_says_so() {
    let config = format!("{}{LISTENER}", whole("**Backends that speak HTTP/2, gRPC.**"));
    let home = furnished(&config);
    let backend = Streams::named("over HTTP/2");
    assert!(config.contains("http://10.0.7.1:50051"), "{config}");
    home.replace("portcullis.toml", &config.replace("http://10.0.7.1:50051", &backend.to_string()));
    let gateway = Gateway::in_home(home);
    let mut client = gateway.connect_tls("https", "grpc.example.com");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: grpc.example.com\r\n\r\n").text(), "over HTTP/2");
}

#[test]
fn every_example_has_its_test_and_is_a_good_config() {
    for (paragraph, _) in blocks("toml") {
        let known = WISHES.iter().chain([&SMALLEST]).filter(|lead| paragraph.starts_with(**lead)).count();
        assert_eq!(known, 1, "a test for the example after `{paragraph}`");
    }
    for lead in WISHES.iter().chain([&SMALLEST]) {
        let home = furnished(&whole(lead));
        let mut process = home.start("check");
        assert_eq!(process.wait().code(), Some(0), "{lead}\n{}", process.output());
    }
}

#[test]
fn the_smallest_config_spreads_requests_over_its_backends() {
    let served = Served::example(SMALLEST);

    let mut answers = [served.get("example.com", "/"), served.get("example.com", "/")];

    answers.sort();
    assert_eq!(answers, ["10.0.0.1:8080", "10.0.0.2:8080"]);
}

#[test]
fn the_smallest_config_listens_on_443_and_80() {
    use crate::startup::without_the_capability;

    let home = furnished(&whole(SMALLEST));
    // Where it may not, it says what it would have listened on.
    let mut process = Process::start(&mut without_the_capability(&home.command("run")));

    assert_eq!(process.wait().code(), Some(1), "{}", process.output());
    for port in ["443", "80"] {
        let told = format!("no permission to listen on 0.0.0.0:{port}\n");
        assert!(process.stderr.text().contains(&told), "{}", process.output());
    }
}

#[test]
fn other_ports_serve_https_and_redirect_to_it() {
    let own = |config: String| {
        config
            .replace("0.0.0.0:8443", "127.0.0.1:0")
            .replace("[::]:8443", "127.0.0.2:0")
            .replace("0.0.0.0:8080", "127.0.0.1:0")
    };
    let served = Served::changed("**Other ports**", own, "https");

    assert_eq!(served.ask("GET", "example.com", "/", "").status, 200);
    let redirect = served.gateway.connect("http").ask("GET /a?b HTTP/1.1\r\nHost: example.com:8080\r\n\r\n");
    assert_eq!(redirect.field("location"), Some("https://example.com:8443/a?b"), "{redirect:?}");
}

#[test]
fn weights_share_nine_requests_as_the_page_says() {
    let served = Served::example("**Weights.**");

    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    (0..9).for_each(|_| *shares.entry(served.get("weighted.example.com", "/")).or_default() += 1);

    let expected = [("10.0.0.1:8080", 5), ("10.0.0.2:8080", 3), ("10.0.0.3:8080", 1)];
    assert_eq!(shares, expected.map(|(address, share)| (address.to_owned(), share)).into());
}

#[test]
fn a_path_goes_to_its_pool_without_its_prefix() {
    let served = Served::example("**One path to another pool**");

    for (target, line) in [("/api", "GET / HTTP/1.1"), ("/api/a?b", "GET /a?b HTTP/1.1")] {
        assert_eq!(served.get("example.com", target), "10.0.1.1:9000");
        assert_eq!(served.received("10.0.1.1:9000"), line);
    }
    assert!(served.get("example.com", "/apis").starts_with("10.0.0."));
}

#[test]
fn the_exact_name_wins_over_all_subdomains() {
    let served = Served::example("**All subdomains**");

    assert_eq!(served.get("any.example.com", "/"), "10.0.2.1:8080");
    assert_eq!(served.get("shop.example.com", "/"), "10.0.3.1:8080");
    assert!(served.get("example.com", "/").starts_with("10.0.0."));
}

#[test]
fn method_header_and_query_decide_together() {
    let served = Served::example("**By method, header or query**");
    let ask = |method, target, fields| served.ask(method, "example.com", target, fields).text();

    assert_eq!(ask("GET", "/search?beta=1", "X-Test-Group: B\r\n"), "10.0.4.1:8080");
    for (method, target, fields) in [
        ("DELETE", "/search?beta=1", "X-Test-Group: B\r\n"),
        ("GET", "/search?beta=2", "X-Test-Group: B\r\n"),
        ("GET", "/search?beta=1", "X-Test-Group: A\r\n"),
        ("GET", "/other?beta=1", "X-Test-Group: B\r\n"),
    ] {
        assert!(ask(method, target, fields).starts_with("10.0.0."), "{method} {target} {fields}");
    }
}

#[test]
fn a_redirect_and_a_fixed_answer_need_no_backend() {
    let served = Served::example("**A redirect, and a fixed answer**");

    let redirect = served.ask("GET", "old.example.com", "/a?b", "");
    assert_eq!((redirect.status, redirect.field("location")), (308, Some("https://example.com/a?b")));
    let robots = served.ask("GET", "old2.example.com", "/robots.txt", "");
    assert_eq!((robots.status, robots.text().as_str()), (200, "User-agent: *\nDisallow: /\n"));
}

#[test]
fn one_name_wants_tls_1_3_and_says_hsts() {
    let served = Served::example("**TLS 1.3 only, and HSTS**");
    let handshake = |name: &str, version: &str| {
        let address = served.gateway.address("https").to_string();
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &address, "-servername", name, version]);
        openssl.stdin(std::process::Stdio::null()).output().unwrap().status.success()
    };

    assert!(handshake("example.com", "-tls1_3") && !handshake("example.com", "-tls1_2"));
    assert!(handshake("other.example.com", "-tls1_2"), "for one name");
    let answer = served.ask("GET", "example.com", "/", "");
    assert_eq!(answer.field("strict-transport-security"), Some("max-age=31536000"), "{answer:?}");
}

#[test]
fn websockets_need_no_setting() {
    let config = format!("{}{LISTENER}", whole("**WebSockets**"));
    let backend = echo::over_http1();
    let gateway = Gateway::in_home(furnished(&config.replace("http://10.0.7.1:8080", &backend.to_string())));
    let mut client = gateway.connect_tls("https", "chat.example.com");
    let answer = client.ask(HANDSHAKE.replace("Host: localhost", "Host: chat.example.com"));
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(client.send(b"ping").exactly(4).unwrap(), b"ping");
}

#[test]
fn one_route_takes_larger_uploads() {
    let served = Served::example("**Larger uploads and slower backends**");
    let announce = |host: &str, length: u64| {
        let fields = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
        served.ask("POST", host, "/", &fields).status
    };

    assert_eq!(announce("upload.example.com", 2 << 30), 100, "go on");
    assert_eq!(announce("upload.example.com", (2 << 30) + 1), 413);
    assert_eq!(announce("example.com", 2 << 30), 413, "the others keep their default");
}

#[test]
fn only_trusted_peers_are_believed() {
    // The page's network is not one that a test calls from.
    let own = |config: String| {
        let trusting = config.replace("10.0.0.0/8", "127.0.0.1/32");
        assert_ne!(config, trusting);
        format!("{trusting}[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:0\"\n")
    };
    let served = Served::changed("**Behind another proxy.**", own, "https");
    let told = |from: [u8; 4]| {
        let mut client = Client::tcp_from(from.into(), served.gateway.address("plain"));
        let answer = client.ask("GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
        served.backends[&answer.text()].received().field("x-forwarded-for").map(str::to_owned)
    };

    assert_eq!(told([127, 0, 0, 1]).as_deref(), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(told([127, 0, 0, 2]).as_deref(), Some("127.0.0.2"));
}

#[test]
fn logs_are_json_and_the_status_page_answers() {
    let own = |config: String| config.replace("0.0.0.0:8443", "127.0.0.1:0");
    let served = Served::changed("**Logs as JSON, and a status page", own, "127.0.0.1:0");

    let status = served.ask("GET", "example.com", "/ping", "");

    assert_eq!(status.status, 200, "{status:?}");
    assert!(served.backends.values().all(|backend| backend.count() == 0));
    let line = served.gateway.access(|line| line["path"] == "/ping");
    assert_eq!(line["status"], 200, "{line}");
}

#[test]
fn the_lines_for_looking_at_it_work_as_they_are_printed() {
    let served = Served::example(SMALLEST);
    let lines: Vec<_> =
        blocks("sh").into_iter().flat_map(|(_, block)| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let run = |word: &str| {
        // Lines for containers and services are run by the long tests.
        let elsewhere = |line: &String| line.starts_with("docker") || line.starts_with("sudo");
        let mut fitting = lines.iter().filter(|line| line.contains(word) && !elsewhere(line));
        let line = fitting.next().unwrap_or_else(|| panic!("no line with {word}"));
        let line = line.replace("127.0.0.1:9901", &served.gateway.admin().to_string());
        in_shell(&served, &line)
    };

    assert_eq!(served.get("example.com", "/").len(), 13);
    run("/healthz");
    run("/readyz");
    let metrics = run("/metrics");
    assert!(metrics.contains("portcullis_requests_total{listener=\"https\""), "{metrics}");
    let status: serde_json::Value = serde_json::from_str(&run("/api/v1/status")).unwrap();
    assert_eq!(status["listeners"][0]["name"], "https", "{status}");
    let status = run("portcullis status");
    assert!(status.contains("https") && status.contains("example.com"), "{status}");
    run("portcullis check");
    let explained = run("--running --json");
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["outcome"]["reason"], "body_too_large", "{explained}");
}

/// Runs a line of the page in the gateway's directory, with the binary in the path.
fn in_shell(served: &Served, line: &str) -> String {
    let binary = portcullis().get_program().to_owned();
    let folder = Path::new(&binary).parent().unwrap().display().to_string();
    let line = line.replace("target/release/portcullis", "portcullis");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("PATH=\"{folder}:$PATH\"; {line}")).current_dir(served.gateway.home().path(""));
    // Where the admin listener is, the page's config does not say.
    shell.env("PORTCULLIS_ADMIN_LISTEN", served.gateway.admin().to_string());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{line}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
