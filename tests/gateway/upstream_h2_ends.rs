//! How exchanges with backends of HTTP/2 end before their time: cancelled, answered early, too slow.

use std::collections::HashSet;
use std::sync::{Mutex, mpsc};

use h2::Reason;

use crate::support::PATIENCE;
use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{
    CANCEL, DATA, END_STREAM, HEADERS, NO_ERROR, REFUSED_STREAM, RST_STREAM, WINDOW_UPDATE, frame,
};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;
use crate::support::streams::{Streams, gone};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn in_front_of(backend: &dyn std::fmt::Display, route: &str) -> Gateway {
    Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[backend], route, "")))
}

/// A backend that begins an answer to `/begun`, answers `/quick`, and says how each of the others was given up.
fn waiting() -> (Streams, mpsc::Receiver<Option<Reason>>, mpsc::Receiver<()>) {
    let ((sender, events), (asks, asked)) = (mpsc::channel(), mpsc::channel());
    let backend = Streams::playing(move |mut request| {
        let (sender, asks) = (sender.clone(), asks.clone());
        async move {
            let _ = asks.send(());
            let reason = match request.path() {
                "/quick" => return request.answer(200, &[], "quick"),
                "/begun" => gone(&mut request.begin(200, &[])).await,
                _ => request.gone().await,
            };
            let _ = sender.send(reason);
        }
    });
    (backend, events, asked)
}

#[test]
fn a_client_that_leaves_cancels_its_stream_and_no_other() {
    let (backend, events, asked) = waiting();
    let gateway = in_front_of(&backend, "");
    let mut client = Http2::connect(&gateway);
    let mut other = client.begin_get("/begun");
    assert_eq!(other.head().unwrap().status, 200);
    asked.recv().unwrap();

    for path in ["/silent", "/begun"] {
        let mut exchange = client.begin_get(path);
        asked.recv_timeout(PATIENCE).unwrap();
        if path == "/begun" {
            assert_eq!(exchange.head().unwrap().status, 200);
        }
        exchange.cancel();
        assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)), "a stream of HTTP/2 at {path}");

        let mut upload = client.post(path, &[]);
        upload.send("some");
        asked.recv_timeout(PATIENCE).unwrap();
        upload.cancel();
        assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)), "an upload at {path}");

        let mut old = gateway.client("http");
        old.send(GET.replace("GET /", &format!("GET {path}")));
        asked.recv_timeout(PATIENCE).unwrap();
        old.reset();
        assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)), "a connection of HTTP/1.1 at {path}");
    }

    assert!(events.try_recv().is_err(), "the other one goes on");
    assert_eq!(client.get("/quick").unwrap().text(), "quick");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn clients_that_leave_do_not_add_up_to_the_end_of_a_connection() {
    let (sender, asked) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let number = conversation.number;
        let mut peer = Peer::settled(conversation, &[]);
        let (mut upload, mut open) = (0, HashSet::new());
        while let Some(one) = peer.next() {
            match one.kind {
                // The first one goes on for the whole test.
                HEADERS if upload == 0 => {
                    upload = one.stream;
                    sender.send(()).unwrap();
                }
                DATA if one.stream == upload && one.flags & END_STREAM != 0 => {
                    peer.answer(upload, &format!("on connection {number}"));
                }
                // Answered just when it is given up: the worst moment.
                RST_STREAM if open.remove(&one.stream) => _ = peer.answer(one.stream, "too late"),
                HEADERS => {
                    open.insert(one.stream);
                    sender.send(()).unwrap();
                }
                _ => {}
            }
        }
    });
    let gateway = in_front_of(&backend, "");
    let mut patient = Http2::connect(&gateway);
    let mut upload = patient.post("/", &[]);
    upload.send("begun");
    asked.recv_timeout(PATIENCE).unwrap();

    for _ in 0..6 {
        let mut hasty = Http2::connect(&gateway);
        for _ in 0..220 {
            let exchange = hasty.begin_get("/");
            asked.recv_timeout(PATIENCE).unwrap();
            exchange.cancel();
        }
    }
    upload.send(" and done").finish();

    assert_eq!(upload.rest().unwrap().text(), "on connection 0");
}

#[test]
fn an_early_answer_is_whole_and_the_upload_is_not_asked_for() {
    let backend = Script::playing(|conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        while let Some(one) = peer.find(HEADERS) {
            peer.answer(one.stream, "enough");
            peer.send(frame(RST_STREAM, 0, one.stream, &NO_ERROR.to_be_bytes()));
        }
    });
    let gateway = in_front_of(&backend, "");

    let mut client = gateway.client("http");
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\nsome");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("enough", Some("close")), "{answer:?}");
    client.expect_closed();

    let mut client = Http2::connect(&gateway);
    for _ in 0..20 {
        let mut exchange = client.post("/", &[]);
        exchange.send("some");
        assert_eq!(exchange.rest().unwrap().text(), "enough");
    }
}

#[test]
fn an_answer_that_ends_before_its_request_gives_the_request_up() {
    let (sender, events) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        while let Some(one) = peer.next() {
            match one.kind {
                HEADERS => _ = peer.answer(one.stream, "enough"),
                RST_STREAM => sender.send(one.code()).unwrap(),
                _ => {}
            }
        }
    });
    let gateway = in_front_of(&backend, "");
    let mut exchange = Http2::connect(&gateway).post("/", &[]);
    exchange.send("some");

    assert_eq!(exchange.rest().unwrap().text(), "enough");

    assert_eq!(events.recv_timeout(PATIENCE), Ok(CANCEL));
}

#[test]
fn a_backend_that_falls_silent_is_504_at_whatever_it_was() {
    type Silence = (&'static str, fn(&mut Peer<'_>, u32));
    let silences: [Silence; 3] = [
        ("nothing", |_, _| ()),
        ("half a frame", |peer, stream| _ = peer.send(&frame(HEADERS, 4, stream, &[0x88])[..7])),
        ("half a head", |peer, stream| _ = peer.send(frame(HEADERS, 0, stream, &[0x88]))),
    ];
    for (name, silence) in silences {
        let backend = Script::playing(move |conversation| {
            let mut peer = Peer::settled(conversation, &[]);
            if let Some((stream, _)) = peer.request() {
                silence(&mut peer, stream);
                peer.hold();
            }
        });
        let gateway = in_front_of(&backend, "timeouts = { response = \"600ms\" }");
        let answer = gateway.client("http").ask(GET);
        assert_eq!((answer.status, answer.refusal()), (504, Some("http_response_timeout")), "{name}\n{answer:?}");
        gateway.access(|line| line["reason"] == "response_timeout");
    }
}

#[test]
fn a_backend_that_never_settles_is_504_and_gets_no_request() {
    let (sender, frames) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::silent(conversation);
        while let Some(one) = peer.next() {
            sender.send(one.kind).unwrap();
        }
    });
    let gateway = in_front_of(&backend, "timeouts = { connect = \"600ms\" }");

    let answer = gateway.client("http").ask(GET);

    assert_eq!((answer.status, answer.refusal()), (504, Some("connection_timeout")), "{answer:?}");
    assert!(frames.try_iter().all(|kind| kind != HEADERS));
}

#[test]
fn a_backend_that_takes_nothing_is_504() {
    for (name, window) in [("no window", 0), ("windows, and reads nothing", 1 << 30)] {
        let (release, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let backend = Script::playing(move |conversation| {
            Peer::settled(conversation, &[(4, window)]).send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
            // Until the test is over.
            let _ = wait.lock().unwrap().recv();
        });
        let gateway = in_front_of(&backend, "timeouts = { response = \"600ms\" }\nbody_limit = \"1 GiB\"");
        let mut client = gateway.client("http");
        client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 64 << 20));
        let sending = std::thread::spawn(move || {
            (0..64).for_each(|_| _ = client.send(vec![b'x'; 1 << 20]));
            client.answer()
        });
        let answer = sending.join().unwrap();
        assert_eq!((answer.status, answer.refusal()), (504, Some("http_response_timeout")), "{name}\n{answer:?}");
        drop(release);
    }
}

#[test]
fn a_body_that_stops_is_cut_off_and_the_backend_learns_of_it() {
    let (sender, events) = mpsc::channel();
    let backend = Streams::playing(move |mut asked| {
        let sender = sender.clone();
        async move {
            let mut sending = asked.begin(200, &[]);
            sending.send_data("half".into(), false).unwrap();
            sender.send(gone(&mut sending).await).unwrap();
        }
    });
    let gateway = in_front_of(&backend, "timeouts = { idle = \"600ms\" }");

    let mut exchange = Http2::connect(&gateway).begin_get("/");
    assert_eq!(exchange.head().unwrap().status, 200);
    assert!(exchange.rest().is_err());

    assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)));
    gateway.access(|line| line["reason"] == "stream_timeout");
}

#[test]
fn an_answer_that_has_begun_is_never_begun_again() {
    let (seen, wait) = mpsc::channel::<()>();
    let (wait, (sender, asked)) = (Mutex::new(wait), mpsc::channel());
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        while let Some((stream, _)) = peer.request() {
            sender.send(()).unwrap();
            peer.head(stream, 0, &[(":status", "200")]).send(frame(DATA, 0, stream, b"half"));
            wait.lock().unwrap().recv().unwrap();
            // Whatever a backend calls it by then.
            peer.send(frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()));
        }
    });
    let gateway = in_front_of(&backend, "");
    let mut exchange = Http2::connect(&gateway).begin_get("/");

    assert_eq!(exchange.head().unwrap().status, 200);
    seen.send(()).unwrap();
    assert!(exchange.rest().is_err());

    gateway.access(|line| line["reason"] == "backend_reset");
    assert_eq!(asked.try_iter().count(), 1);
}
