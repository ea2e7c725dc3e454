//! Health checks: who fails its probes gets no requests, and why is to be seen.

use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::configs::HTTP;
use crate::support::events::{BACKEND_DOWN, BACKEND_UP};
use crate::support::gateway::{Gateway, portcullis};
use crate::support::patient::Patient;
use crate::support::script::{Conversation, Script};
use crate::support::served::Served;
use crate::support::stoppable::Stoppable;

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub(crate) const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\npaid";

/// The listener `http` and a pool `p` of these backends with these keys, which sends nothing again.
pub(crate) fn config(backends: &[&dyn std::fmt::Display], keys: &str) -> String {
    let list: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let route = "[[route]]\nname = \"all\"\npool = \"p\"\n";
    format!("{HTTP}{route}[pool.p]\nretry = false\nbackends = [{}]\n{keys}\n", list.join(", "))
}

/// The metric that says whether a backend of the pool `p` is up.
pub(crate) fn up(backend: &dyn std::fmt::Display) -> String {
    format!("portcullis_backend_up{{pool=\"p\",backend=\"{backend}\"}}")
}

/// Waits for the event of a backend, by its URL.
pub(crate) fn told(gateway: &Gateway, message: &str, backend: &dyn std::fmt::Display) -> Value {
    let url = backend.to_string();
    gateway.event_where(message, |event| event["backend"] == url.as_str())
}

/// The first pool as the status has it.
pub(crate) fn shown(gateway: &Gateway) -> Value {
    let status: Value = serde_json::from_str(&gateway.ask_admin("/api/v1/status").text()).unwrap();
    status["pools"][0].clone()
}

/// What `portcullis status` prints.
fn printed(gateway: &Gateway) -> String {
    let mut status = portcullis();
    status.args(["status", "--admin", &gateway.admin().to_string(), "--token-file"]);
    let output = status.arg(gateway.home().path("state/admin.token")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// How many of so many requests are not answered with 200.
pub(crate) fn failures(client: &mut Client, request: &str, count: usize) -> usize {
    (0..count).filter(|_| client.ask(request).status != 200).count()
}

#[test]
fn a_backend_is_down_after_fall_failures_and_up_after_rise_good_answers() {
    let (sick, well) = (Patient::named("sick"), Patient::named("well"));
    let health = "health = { path = \"/health\", interval = \"500ms\", fall = 2, rise = 3 }";
    let gateway = Gateway::serving(&config(&[&sick, &well], health));
    sick.wait_for_probes(2);
    assert_eq!((gateway.metric(&up(&sick)), gateway.metric(&up(&well))), (1, 1));

    sick.says(503);
    let event = told(&gateway, BACKEND_DOWN, &sick);

    assert_eq!((&event["pool"], &event["reason"], &event["probes"]), (&"p".into(), &"status 503".into(), &2.into()));
    assert_eq!(event["level"], "warn", "{event}");
    assert_eq!((gateway.metric(&up(&sick)), gateway.metric(&up(&well))), (0, 1));
    let failed = format!("portcullis_health_probes_total{{pool=\"p\",backend=\"{sick}\",outcome=\"status\"}}");
    assert!(gateway.metric(&failed) >= 2);
    let (before, mut client) = (sick.requests(), gateway.connect("http"));
    assert_eq!(failures(&mut client, GET, 50) + failures(&mut client, POST, 50), 0);
    assert_eq!((sick.requests(), well.requests() >= 100), (before, true));

    sick.says(200);
    let event = told(&gateway, BACKEND_UP, &sick);

    assert_eq!((&event["pool"], &event["probes"], &event["level"]), (&"p".into(), &3.into(), &"info".into()));
    assert_eq!(gateway.metric(&up(&sick)), 1);
    assert_eq!(failures(&mut client, GET, 10), 0);
    assert!(sick.requests() > before);
    // Exactly so many answers made the difference, or one more that was under way.
    let statuses: Vec<u16> = sick.probes().iter().map(|probe| probe.status).collect();
    assert!(statuses.iter().filter(|status| **status == 503).count() >= 2, "{statuses:?}");
}

#[test]
fn nobody_notices_that_one_of_three_has_stopped_once_its_probes_fail() {
    let mut backends = [Stoppable::running(), Stoppable::running(), Stoppable::running()];
    let [one, two, three] = &backends;
    let health = "health = { path = \"/health\", interval = \"500ms\", fall = 2, rise = 1 }";
    let gateway = Gateway::serving(&config(&[one, two, three], health));
    let mut client = gateway.connect("http");
    assert_eq!(failures(&mut client, GET, 30), 0);

    for _ in 0..2 {
        let stopped = backends[0].to_string();
        let count = gateway.events(BACKEND_DOWN).len();
        backends[0].stop();
        let end = Instant::now() + PATIENCE;
        while gateway.events(BACKEND_DOWN).len() == count {
            assert!(Instant::now() < end, "{stopped} is not told to be down");
        }
        for request in [GET, POST] {
            assert_eq!(failures(&mut client, request, 300), 0, "{request}");
        }
        backends[0].start();
        gateway.wait_for_metric(&up(&stopped), 1);
        assert_eq!(failures(&mut client, POST, 30), 0, "after it came back");
    }
    assert!(gateway.events(BACKEND_DOWN)[0]["reason"].as_str().unwrap().starts_with("connect_failed: "));
}

#[test]
fn every_way_to_fail_has_its_reason() {
    let hangs = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    let closes = Script::playing(|conversation| {
        conversation.request();
        conversation.close();
    });
    let trickles = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Le");
        conversation.hold();
    });
    let rambles = Script::answering("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    let fails = Script::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let continues = Script::answering("HTTP/1.1 100 Go on\r\n\r\n".repeat(40));
    let cases: [(&dyn std::fmt::Display, &str); 7] = [
        (&Script::dead(), "connect_failed: Connection refused"),
        (&hangs, "response_timeout: no answer within 1s"),
        (&trickles, "response_timeout: no answer within 1s"),
        (&closes, "backend_reset"),
        (&rambles, "backend_malformed"),
        (&continues, "backend_malformed"),
        (&fails, "status 500"),
    ];
    let health = "health = { path = \"/health\", interval = \"1s\", timeout = \"1s\", fall = 1 }";
    let backends: Vec<_> = cases.iter().map(|(backend, _)| *backend).collect();

    let gateway = Gateway::serving(&config(&backends, health));

    for (backend, reason) in cases {
        let event = told(&gateway, BACKEND_DOWN, backend);
        assert!(event["reason"].as_str().unwrap().starts_with(reason), "{event}");
    }
    let pool = shown(&gateway);
    for (backend, (_, reason)) in pool["backends"].as_array().unwrap().iter().zip(cases) {
        let health = &backend["health"][0];
        assert_eq!((&backend["up"], &health["state"]), (&false.into(), &"down".into()), "{backend}");
        assert!(health["reason"].as_str().unwrap().starts_with(reason), "{health}");
    }
}

#[test]
fn what_an_answer_goes_on_with_decides_nothing() {
    let endless = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        conversation.flood(&[b"4000\r\n", &[b'x'; 0x4000][..], b"\r\n"].concat(), usize::MAX, |_| ());
    });
    let hangs = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        conversation.hold();
    });
    let early = Script::answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 None\r\n\r\n");
    let health = "health = { path = \"/health\", interval = \"1s\", fall = 1 }";
    let gateway = Gateway::serving(&config(&[&endless, &hangs, &early], health));

    for backend in [&endless, &hangs, &early] {
        let good = format!("portcullis_health_probes_total{{pool=\"p\",backend=\"{backend}\",outcome=\"ok\"}}");
        let end = Instant::now() + PATIENCE;
        while gateway.metric(&good) < 2 {
            assert!(Instant::now() < end, "{backend} {}", gateway.output());
        }
    }
    assert_eq!(gateway.events(BACKEND_DOWN).len(), 0);
}

#[test]
fn a_probe_asks_as_its_keys_say() {
    let (told, asked) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let other_port = Script::playing(move |conversation| {
        while let Some(request) = conversation.request() {
            told.lock().unwrap().send(request).unwrap();
            conversation.send("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let port = other_port.to_string().rsplit(':').next().unwrap().to_owned();
    let backend = Patient::named("one");
    let health = format!(
        "[pool.p.health]\npath = \"/ready?full=1\"\nhost = \"app.internal\"\nport = {port}\n\
         status = [204, \"410-419\"]\ninterval = \"900ms\"\nfall = 1\n"
    );
    let gateway = Gateway::serving(&config(&[&backend], &health));

    for _ in 0..2 {
        let request = asked.recv_timeout(PATIENCE).unwrap();
        assert_eq!(request.line, "GET /ready?full=1 HTTP/1.1");
        assert_eq!(request.field("host"), Some("app.internal"));
        assert_eq!(request.field("user-agent"), Some("portcullis-health"));
        assert_eq!(request.field("connection"), Some("close"));
    }
    assert_eq!((gateway.events(BACKEND_DOWN).len(), backend.probes().len()), (0, 0));
    gateway.save(&config(&[&backend], &health.replace("410-419", "200-299")));
    assert_eq!(gateway.event(BACKEND_DOWN)["reason"], "status 418");
}

#[test]
fn a_probe_may_take_as_long_as_timeout_says() {
    let silent = Script::playing(Conversation::hold);
    let health = "health = { path = \"/\", interval = \"10s\", timeout = \"3s\", fall = 1 }";
    let gateway = Gateway::serving(&config(&[&silent], health));

    told(&gateway, BACKEND_DOWN, &silent);

    let last = shown(&gateway)["backends"][0]["health"][0]["last"].clone();
    let took = last["milliseconds"].as_f64().unwrap();
    // Left to itself, it is two seconds.
    assert!(took >= 3_000.0 && last["problem"].as_str().is_some_and(|problem| problem.contains("timeout")), "{last}");
}

#[test]
fn the_short_form_asks_its_path_of_the_urls_host() {
    let backend = Patient::named("one");
    let gateway = Gateway::serving(&config(&[&backend], "health = \"/health\""));

    // The first probe comes soon, whatever the interval.
    backend.wait_for_probes(1);

    let request = backend.probes()[0].request.clone();
    assert_eq!(request.field("host").map(|host| format!("http://{host}")), Some(backend.to_string()));
    assert_eq!(gateway.metric(&up(&backend)), 1);
}

#[test]
fn the_status_tells_what_is_down_and_why() {
    let (sick, well) = (Patient::named("sick"), Patient::named("well"));
    sick.says(503);
    let health = "health = { path = \"/health\", interval = \"1s\", fall = 1 }";
    let gateway = Gateway::serving(&config(&[&sick, &well], health));
    told(&gateway, BACKEND_DOWN, &sick);
    well.wait_for_probes(2);

    let pool = shown(&gateway);

    let (down, up) = (&pool["backends"][0]["health"][0], &pool["backends"][1]["health"][0]);
    assert_eq!(
        (&down["state"], &down["reason"], &down["last"]["problem"]),
        (&"down".into(), &"status 503".into(), &"status 503".into())
    );
    assert_eq!((&up["state"], &up["reason"], &up["last"]["problem"]), (&"up".into(), &Value::Null, &Value::Null));
    assert!(up["in_a_row"].as_u64() > Some(0) && up["last"]["milliseconds"].as_f64() > Some(0.0), "{up}");
    assert_eq!(pool["asks_all"], false);
    let text = printed(&gateway);
    assert!(text.contains(&format!("\nBackends that are down:\n  p {sick}, for ")), "{text}");
    assert!(text.ends_with(": status 503\n"), "{text}");
    let line = |backend: &Patient| text.lines().find(|line| line.contains(&backend.to_string())).unwrap().to_owned();
    assert!(line(&sick).contains("  down  ") && line(&well).contains("  up  "), "{text}");
}

#[test]
fn backends_are_probed_as_the_readme_says() {
    let served = Served::example("**Health checks.**");

    assert_eq!(served.received("10.0.10.1:8080"), "GET /health HTTP/1.1");
    assert!(served.get("app.example.com", "/").starts_with("10.0.10."));
}
