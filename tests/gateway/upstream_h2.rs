//! Connections of HTTP/2 to backends: how many exchanges share one, how many there are, and how long they are kept.

use std::sync::{Arc, mpsc};

use h2::server::Builder;
use rustix::process::Signal;
use tokio::sync::{Barrier, Semaphore};

use crate::support::PATIENCE;
use crate::support::configs::{HTTPS, one_worker, route_to_h2};
use crate::support::events::DRAINING;
use crate::support::frames::{GOAWAY, INTERNAL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::{Exchange, Http2};
use crate::support::peer::Peer;
use crate::support::script::Script;
use crate::support::streams::Streams;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";

/// A backend that answers nothing before it has got so many requests at once.
fn together(count: usize, streams: Option<u32>) -> Streams {
    let barrier = Arc::new(Barrier::new(count));
    let mut settings = Builder::new();
    streams.map(|most| settings.max_concurrent_streams(most));
    Streams::settled(&settings, move |mut asked| {
        let barrier = Arc::clone(&barrier);
        async move {
            asked.read().await;
            barrier.wait().await;
            asked.answer(200, &[], "together");
        }
    })
}

/// A backend that holds the answers to `/long` until they are released.
fn holding(release: &Arc<Semaphore>) -> Streams {
    let release = Arc::clone(release);
    Streams::playing(move |mut asked| {
        let release = Arc::clone(&release);
        async move {
            asked.read().await;
            if asked.path() == "/long" {
                release.acquire().await.unwrap().forget();
            }
            asked.answer(200, &[], "done");
        }
    })
}

fn in_front_of(backend: &Streams, pool: &str) -> Gateway {
    Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[backend], "", pool)))
}

fn all_answered(exchanges: Vec<Exchange>) {
    for exchange in exchanges {
        assert_eq!(exchange.rest().unwrap().text(), "together");
    }
}

/// How many requests each connection of the backend got.
fn per_connection(backend: &Streams, requests: usize) -> Vec<usize> {
    let mut counts = vec![0; backend.connections()];
    (0..requests).for_each(|_| counts[backend.received().connection] += 1);
    counts.sort_unstable();
    counts
}

#[test]
fn many_exchanges_share_one_connection() {
    let backend = together(50, None);
    let gateway = in_front_of(&backend, "");
    let mut client = Http2::connect(&gateway);

    all_answered((0..50).map(|number| client.begin_get(&format!("/{number}"))).collect());

    assert_eq!(backend.connections(), 1);
    let received = backend.received();
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    assert_eq!(received.field("host"), Some("localhost"), "the host travels as :authority");
}

#[test]
fn clients_of_http_1_share_it_too() {
    let backend = together(10, None);
    let gateway = in_front_of(&backend, "");

    let mut clients: Vec<_> = (0..10).map(|number| gateway.client(["http", "https"][number % 2])).collect();
    clients.iter_mut().for_each(|client| _ = client.send(GET));

    assert!(clients.iter_mut().all(|client| client.answer().text() == "together"));
    assert_eq!(backend.connections(), 1);
}

#[test]
fn what_a_backend_allows_at_once_is_kept_to() {
    let backend = together(7, Some(3));
    let gateway = in_front_of(&backend, "");
    let mut client = Http2::connect(&gateway);

    all_answered((0..7).map(|_| client.begin_get("/")).collect());

    assert_eq!(per_connection(&backend, 7), [1, 3, 3]);
}

#[test]
fn a_burst_opens_a_connection_for_each_hundred() {
    let backend = together(250, None);
    let https = HTTPS.replace("tls = true\n", "tls = true\nlimits = { h2_streams = 1000 }\n");
    let gateway = Gateway::serving(&format!("[server]\nworkers = 1\n{https}{}", route_to_h2(&[&backend], "", "")));
    let mut client = Http2::connect(&gateway);

    all_answered((0..250).map(|_| client.begin_get("/")).collect());

    assert_eq!(per_connection(&backend, 250), [50, 100, 100]);
}

#[test]
fn an_unused_connection_is_closed_after_pool_idle() {
    let backend = Streams::named("one");
    let gateway = in_front_of(&backend, "pool_idle = \"1s\"");
    assert_eq!(gateway.client("http").ask(GET).text(), "one");

    assert_eq!(backend.ended(), 0);

    assert_eq!(gateway.client("http").ask(GET).text(), "one");
    assert_eq!([backend.received().connection, backend.received().connection], [0, 1]);
}

#[test]
fn a_busy_connection_gets_nothing_new_after_pool_lifetime_and_ends_with_its_last_stream() {
    let release = Arc::new(Semaphore::new(0));
    let backend = holding(&release);
    let gateway = in_front_of(&backend, "pool_lifetime = \"1s\"");
    let mut client = Http2::connect(&gateway);
    let long = client.begin_get("/long");
    assert_eq!(backend.received().connection, 0);

    let end = std::time::Instant::now() + PATIENCE;
    while backend.connections() == 1 {
        assert!(std::time::Instant::now() < end, "the first connection gets requests for ever");
        assert_eq!(client.get("/").unwrap().text(), "done");
    }
    release.add_permits(1);

    assert_eq!(long.rest().unwrap().text(), "done");
    assert_eq!(backend.ended(), 0);
}

/// A backend that takes either protocol on any connection and says which it was.
fn bilingual() -> Script {
    Script::playing(|conversation| {
        if conversation.peek() == b'P' {
            return Peer::settled(conversation, &[]).echo("h2");
        }
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh1");
        }
    })
}

#[test]
fn the_protocol_is_what_the_pool_says_and_a_reload_may_change_it() {
    let backend = bilingual();
    let with = |protocol: &str| {
        let route = route_to_h2(&[&backend], "", "");
        format!("{}{}", one_worker(), route.replace("protocol = \"h2\"", protocol))
    };
    let gateway = Gateway::serving(&with(""));
    let mut client = gateway.client("http");

    assert_eq!(client.ask(GET).text(), "h1", "without TLS there is nothing to agree on");
    for protocol in ["h2", "h1", "h2", "auto"] {
        gateway.save(&with(&format!("protocol = \"{protocol}\"")));
        let expected = if protocol == "auto" { "h1" } else { protocol };
        assert_eq!(client.ask(GET).text(), expected, "after {protocol} was saved");
    }
}

#[test]
fn a_reload_leaves_the_connections_of_a_pool_that_stays() {
    let release = Arc::new(Semaphore::new(0));
    let backend = holding(&release);
    let config = format!("{}{}", one_worker(), route_to_h2(&[&backend], "", ""));
    let gateway = Gateway::serving(&config);
    let mut client = Http2::connect(&gateway);
    let long = client.begin_get("/long");
    backend.received();

    gateway.save(&format!("{config}\n[[route]]\npath = \"/new\"\nrespond = {{ status = 200 }}\n"));

    assert_eq!(client.get("/").unwrap().text(), "done");
    release.add_permits(1);
    assert_eq!(long.rest().unwrap().text(), "done");
    assert_eq!((backend.received().connection, backend.connections()), (0, 1));
}

#[test]
fn a_drain_lets_streams_of_a_backend_finish() {
    let release = Arc::new(Semaphore::new(0));
    let backend = holding(&release);
    let mut gateway = in_front_of(&backend, "");
    let (late, mut old) = (Http2::connect(&gateway).begin_get("/long"), gateway.client("http"));
    old.send(GET.replace("GET /", "GET /long"));
    (0..2).for_each(|_| drop(backend.received()));

    gateway.signal(Signal::TERM);
    gateway.event(DRAINING);
    release.add_permits(2);

    assert_eq!(late.rest().unwrap().text(), "done");
    assert_eq!(old.answer().text(), "done");
    assert!(gateway.wait().success());
}

#[test]
fn log_and_metrics_tell_of_backends_of_http_2() {
    let backend = Script::playing(|conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        // The first stream of a connection breaks: a GET is asked again, and that is counted.
        if let Some((stream, _)) = peer.request() {
            peer.send(frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()));
        }
        peer.echo("well");
    });
    let gateway = Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[&backend], "", "")));

    assert_eq!(gateway.client("http").ask(GET).text(), "well");

    let line = gateway.access(|line| line["status"] == 200);
    assert_eq!((&line["backend"], &line["retries"]), (&backend.to_string().into(), &1.into()), "{line}");
    assert!(line["backend_ms"].is_number(), "{line}");
    let labels = format!("{{pool=\"p\",backend=\"{backend}\"");
    assert_eq!(gateway.metric("portcullis_retries_total{pool=\"p\",outcome=\"answered\"}"), 1);
    assert_eq!(gateway.metric(&format!("portcullis_backend_requests_total{labels},outcome=\"ok\"}}")), 1);
    assert_eq!(gateway.metric(&format!("portcullis_backend_requests_total{labels},outcome=\"backend_reset\"}}")), 1);
    assert_eq!(gateway.metric(&format!("portcullis_backend_active_requests{labels}}}")), 0);
}

#[test]
fn a_backend_that_takes_no_streams_is_not_asked_again_and_again() {
    let (sender, connected) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        sender.send(()).unwrap();
        Peer::settled(conversation, &[(3, 0)]).hold();
    });
    let gateway = Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[&backend], "", "")));

    let answer = gateway.client("http").ask(GET);

    assert_eq!((answer.status, answer.refusal()), (502, Some("connection_refused")), "{answer:?}");
    assert_eq!(connected.try_iter().count(), 2, "one attempt and one retry");
}

#[test]
fn connections_that_are_over_as_soon_as_they_are_open_are_bounded() {
    let (sender, connected) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        sender.send(()).unwrap();
        let mut peer = Peer::silent(conversation);
        peer.send([frame(SETTINGS, 0, 0, &[]), frame(GOAWAY, 0, 0, &[0; 8])].concat());
        peer.hold();
    });
    let gateway = Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[&backend], "", "")));

    let answer = gateway.client("http").ask(GET);

    assert_eq!(answer.status, 502, "{answer:?}");
    let count = connected.try_iter().count();
    assert!(count <= 20, "{count} connections for one request");
}

#[test]
fn a_refused_stream_goes_to_another_backend() {
    let refusing = Script::playing(|conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        while let Some((stream, _)) = peer.request() {
            peer.send(frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()));
        }
    });
    let taking = Streams::named("taken");
    let route = route_to_h2(&[&refusing, &taking], "", "");
    let gateway = Gateway::serving(&format!("{}{route}", one_worker()));

    let mut client = gateway.client("http");
    (0..10).for_each(|_| assert_eq!(client.ask(POST).text(), "taken"));

    assert_eq!(taking.left(), 10);
}
