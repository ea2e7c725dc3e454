//! Interim answers: 100-continue from end to end, early hints passed on, whatever else dropped or refused.

use std::sync::mpsc;

use crate::support::PATIENCE;
use crate::support::configs::{HTTP, HTTPS, one_worker, route_to, route_to_h2};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::script::Script;
use crate::support::streams::Streams;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
const EXPECT: [(&str, &str); 2] = [("expect", "100-continue"), ("content-length", "4")];

/// What a backend does with a request whose client waits for a 100: before its body, and after it.
#[derive(Clone, Copy)]
struct Part {
    /// The interim answers that it sends at once.
    interim: &'static [(u16, &'static [(&'static str, &'static str)])],
    /// Whether it then reads the body, or answers without.
    reads: bool,
    status: u16,
}

/// A gateway in front of a backend of HTTP/1.1, and one in front of one of HTTP/2, that play this part. What they read of bodies
/// comes through the channel.
fn playing(part: Part) -> ([Gateway; 2], mpsc::Receiver<Vec<u8>>) {
    let (sender, bodies) = mpsc::channel();
    let told = sender.clone();
    let old = Script::playing(move |conversation| {
        while let Some(head) = conversation.head() {
            for (status, fields) in part.interim {
                let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                conversation.send(format!("HTTP/1.1 {status} \r\n{fields}\r\n"));
            }
            if part.reads && head.line.starts_with("POST") {
                told.send(conversation.bytes(4)).unwrap();
            }
            conversation.send(format!("HTTP/1.1 {} \r\nContent-Length: 4\r\n\r\ndone", part.status));
        }
    });
    let new = Streams::playing(move |mut asked| {
        let told = sender.clone();
        async move {
            part.interim.iter().for_each(|(status, fields)| asked.interim(*status, fields));
            if part.reads && asked.head().line.starts_with("POST") {
                told.send(asked.read().await.unwrap().body).unwrap();
            }
            asked.answer(part.status, &[], "done");
        }
    });
    let routes =
        [format!("{}{}", one_worker(), route_to(&[&old])), format!("{}{}", one_worker(), route_to_h2(&[&new], "", ""))];
    // The backends' threads outlive their handles.
    (routes.map(|config| Gateway::serving(&config)), bodies)
}

#[test]
fn a_backend_that_wants_the_body_is_heard_by_its_client() {
    let part = Part { interim: &[(100, &[])], reads: true, status: 200 };
    let (gateways, bodies) = playing(part);
    for gateway in &gateways {
        for listener in ["http", "https"] {
            let mut client = gateway.client(listener);
            assert_eq!(client.ask(EXPECTING).status, 100);
            assert_eq!(client.ask("body").text(), "done");
            assert_eq!(bodies.recv_timeout(PATIENCE).unwrap(), b"body");
            assert_eq!(client.ask(GET).text(), "done", "one 100, and the connection serves on");
        }
        let mut exchange = Http2::connect(gateway).post("/", &EXPECT);
        assert_eq!(exchange.interim().map(|interim| interim.status), Some(100));
        exchange.send("body").finish();
        assert!(exchange.interim().is_none(), "one 100");
        assert_eq!(exchange.rest().unwrap().text(), "done");
        assert_eq!(bodies.recv_timeout(PATIENCE).unwrap(), b"body");
    }
}

#[test]
fn a_backend_that_does_not_want_the_body_is_heard_and_gets_none_of_it() {
    for status in [200, 403, 417] {
        let (gateways, bodies) = playing(Part { interim: &[], reads: false, status });
        for gateway in &gateways {
            for listener in ["http", "https"] {
                let mut client = gateway.client(listener);
                let answer = client.ask(EXPECTING);
                assert_eq!((answer.status, answer.text().as_str()), (status, "done"), "and no 100 before it");
                // What the client sends now would be a body or a request: nobody can tell.
                assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
                client.expect_closed();
            }
            let mut client = Http2::connect(gateway);
            let mut exchange = client.post("/", &EXPECT);
            assert!(exchange.interim().is_none());
            assert_eq!(exchange.rest().unwrap().status, status);
            assert_eq!(client.get("/").unwrap().status, status, "the connection serves on");
        }
        assert!(bodies.try_recv().is_err());
    }
}

#[test]
fn a_100_that_nobody_asked_for_stays_behind() {
    let (gateways, bodies) = playing(Part { interim: &[(100, &[]), (102, &[])], reads: true, status: 200 });
    for gateway in &gateways {
        assert_eq!(gateway.client("http").ask(GET).status, 200);
        let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(gateway.client("https").ask(post).status, 200);
        let mut exchange = Http2::connect(gateway).begin_get("/");
        assert!(exchange.interim().is_none());
        assert_eq!(exchange.rest().unwrap().status, 200);
        assert_eq!(bodies.recv_timeout(PATIENCE).unwrap(), b"body");
    }
}

#[test]
fn early_hints_reach_clients_that_know_them() {
    let hints: &[(&str, &str)] = &[("link", "</a.css>; rel=preload"), ("x-hint", "1")];
    let (gateways, _bodies) = playing(Part {
        interim: &[
            (103, &[("link", "</a.css>; rel=preload"), ("x-hint", "1")]),
            (103, &[("link", "</b.js>; rel=preload")]),
        ],
        reads: true,
        status: 200,
    });
    for gateway in &gateways {
        for listener in ["http", "https"] {
            let mut client = gateway.client(listener);
            let [first, second] = [client.ask(GET), client.answer()];
            assert_eq!([first.status, second.status], [103, 103]);
            let fields: Vec<_> = first.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(fields, hints);
            assert_eq!(second.field("link"), Some("</b.js>; rel=preload"));
            let answer = client.answer();
            assert_eq!(
                (answer.status, answer.text().as_str(), answer.field("link")),
                (200, "done", None),
                "{answer:?}"
            );
            assert_eq!(client.ask("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").status, 200, "HTTP/1.0 has none");
        }
        let mut exchange = Http2::connect(gateway).begin_get("/");
        let first = exchange.interim().unwrap();
        assert_eq!((first.status, first.field("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!(exchange.interim().map(|second| second.status), Some(103));
        assert!(exchange.interim().is_none());
        assert_eq!(exchange.rest().unwrap().text(), "done");
    }
}

#[test]
fn hints_arrive_before_the_answer_and_without_fields_of_the_hop() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        while conversation.request().is_some() {
            conversation.send(
                "HTTP/1.1 103 Early Hints\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=9\r\n\
                 Upgrade: h2c\r\nLink: </a>\r\n\r\n",
            );
            let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));

    let mut client = gateway.client("http");
    let hint = client.ask(GET);
    assert_eq!((hint.status, hint.fields), (103, vec![("link".to_owned(), "</a>".to_owned())]));
    release.send(()).unwrap();
    assert_eq!(client.answer().status, 200);

    let mut exchange = Http2::connect(&gateway).begin_get("/");
    let hint = exchange.interim().unwrap();
    assert_eq!((hint.status, hint.fields.len()), (103, 1), "{:?}", hint.fields);
    release.send(()).unwrap();
    assert_eq!(exchange.rest().unwrap().status, 200);
}

#[test]
fn interim_answers_without_end_are_502() {
    const SIXTEEN: [(u16, &[(&str, &str)]); 16] = [(102, &[]); 16];
    const SEVENTEEN: [(u16, &[(&str, &str)]); 17] = [(102, &[]); 17];
    for (interim, status) in [(&SIXTEEN[..], 200), (&SEVENTEEN[..], 502)] {
        let (gateways, _bodies) = playing(Part { interim, reads: false, status: 200 });
        for gateway in &gateways {
            let answer = gateway.client("http").ask(GET);
            assert_eq!(answer.status, status, "{} before it\n{answer:?}", interim.len());
        }
    }
}

#[test]
fn a_switch_that_nobody_asked_for_is_502() {
    for fields in [&[][..], &[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]] {
        let (gateways, _bodies) =
            playing(Part { interim: Box::leak(Box::new([(101, fields)])), reads: false, status: 200 });
        for gateway in &gateways {
            let answer = gateway.client("http").ask(GET);
            assert_eq!((answer.status, answer.refusal()), (502, Some("http_protocol_error")), "{answer:?}");
            assert_eq!(Http2::connect(gateway).get("/").unwrap().status, 502);
        }
    }
}
