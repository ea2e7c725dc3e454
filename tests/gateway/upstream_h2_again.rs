//! What is sent again to backends of HTTP/2 and what never is: GOAWAY, refused streams, connections that die. A backend's ledger
//! says what it has processed.

use std::sync::mpsc;

use h2::Reason;

use crate::support::client::Client;
use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{CANCEL, DATA, GOAWAY, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, RST_STREAM, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;
use crate::support::streams::Streams;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Unused client connections end after 1.5 s, which is how tests let that long pass.
fn in_front_of(backend: &dyn std::fmt::Display) -> Gateway {
    let server = one_worker().replace("name = \"http\"\n", "name = \"http\"\ntimeouts = { keep_alive = \"1500ms\" }\n");
    Gateway::serving(&format!("{server}{}", route_to_h2(&[backend], "", "")))
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A GOAWAY that promises nothing of streams above `last`.
fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat())
}

/// A backend whose first connection is played by `first` and whose others answer everything with its body. What they processed
/// comes as the number of the connection and the body.
fn first_then_well(
    first: impl Fn(&mut Peer<'_>, &mut dyn FnMut(&str)) + Send + Sync + 'static,
) -> (Script, mpsc::Receiver<(usize, String)>) {
    let (ledger, processed) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let number = conversation.number;
        let mut peer = Peer::roomy(conversation);
        // The test may be over.
        let mut record = |body: &str| _ = ledger.send((number, body.to_owned()));
        if number == 0 {
            return first(&mut peer, &mut record);
        }
        while let Some((stream, body)) = peer.request() {
            record(&body);
            peer.answer(stream, &body);
        }
    });
    (backend, processed)
}

#[test]
fn a_goaway_sends_again_what_it_leaves_out_and_finishes_the_rest() {
    let (backend, processed) = first_then_well(|peer, record| {
        let requests = [(); 3].map(|()| peer.request().unwrap());
        peer.send(goaway(requests[0].0));
        record(&requests[0].1);
        peer.answer(requests[0].0, &requests[0].1).hold();
    });
    let gateway = in_front_of(&backend);
    let mut client = Http2::connect(&gateway);

    let bodies = ["first", "second", "third"];
    let exchanges = bodies.map(|body| {
        let mut exchange = client.post("/", &[]);
        exchange.send(body).finish();
        exchange
    });

    assert_eq!(exchanges.map(|exchange| exchange.rest().unwrap().text()), bodies);
    let mut ledger: Vec<_> = processed.try_iter().collect();
    ledger.sort();
    let connections: Vec<_> = ledger.iter().map(|(connection, _)| *connection).collect();
    let mut bodies_processed: Vec<_> = ledger.into_iter().map(|(_, body)| body).collect();
    bodies_processed.sort();
    assert_eq!((connections, bodies_processed), (vec![0, 1, 1], bodies.map(str::to_owned).to_vec()));
    let line = gateway.access(|line| line["status"] == 200);
    assert_eq!(line["retries"], 0, "a backend that leaves in time has not failed: {line}");
}

#[test]
fn a_goaway_in_the_middle_of_a_body_loses_none_of_it() {
    let (sender, half) = mpsc::channel();
    let (backend, processed) = first_then_well(move |peer, _| {
        peer.find(DATA);
        peer.send(goaway(0));
        sender.send(()).unwrap();
        peer.hold();
    });
    let gateway = in_front_of(&backend);
    let mut client = Http2::connect(&gateway);

    let mut exchange = client.post("/", &[]);
    exchange.send("half");
    half.recv().unwrap();
    exchange.send(" and half").finish();

    assert_eq!(exchange.rest().unwrap().text(), "half and half");
    assert_eq!(processed.try_iter().collect::<Vec<_>>(), [(1, "half and half".to_owned())]);
}

#[test]
fn a_refused_stream_is_sent_again_with_the_body_that_was_kept() {
    for length in [0, 1, 64 << 10] {
        let (backend, processed) = first_then_well(|peer, record| {
            let (stream, _) = peer.request().unwrap();
            peer.send(reset(stream, REFUSED_STREAM));
            let (stream, body) = peer.request().unwrap();
            record(&body);
            peer.answer(stream, "taken").hold();
        });
        let gateway = in_front_of(&backend);
        let body = "x".repeat(length);

        assert_eq!(gateway.client("http").ask(post(&body)).text(), "taken", "{length} bytes");

        assert_eq!(processed.try_iter().collect::<Vec<_>>(), [(0, body)], "{length} bytes");
    }
}

#[test]
fn a_refused_stream_whose_body_outgrew_what_is_kept_is_502() {
    let (backend, processed) = first_then_well(|peer, record| {
        let (stream, _) = peer.request().unwrap();
        peer.send(reset(stream, REFUSED_STREAM));
        while let Some((stream, body)) = peer.request() {
            record(&body);
            peer.answer(stream, "taken");
        }
    });
    let gateway = in_front_of(&backend);

    let answer = gateway.client("http").ask(post(&"x".repeat((64 << 10) + 1)));

    assert_eq!((answer.status, answer.refusal()), (502, Some("connection_terminated")), "{answer:?}");
    assert_eq!(gateway.client("http").ask(post("next")).text(), "taken", "the connection serves on");
    assert_eq!(processed.try_iter().collect::<Vec<_>>(), [(0, "next".to_owned())]);
}

#[test]
fn an_empty_body_and_trailers_are_sent_again_too() {
    let refused_once = || {
        let first = std::sync::atomic::AtomicBool::new(true);
        Streams::playing(move |mut asked| {
            let refuses = first.swap(false, std::sync::atomic::Ordering::SeqCst);
            async move {
                asked.read().await;
                if refuses { asked.reset(Reason::REFUSED_STREAM) } else { asked.answer(200, &[], "taken") }
            }
        })
    };
    for (body, trailers) in [("", &[][..]), ("", &[("x-sum", "1")]), ("some", &[("x-sum", "2")])] {
        let backend = refused_once();
        let gateway = in_front_of(&backend);
        let mut exchange = Http2::connect(&gateway).post("/", &[]);
        exchange.send(body.to_owned());
        if trailers.is_empty() {
            exchange.finish()
        } else {
            exchange.finish_with(trailers)
        };
        assert_eq!(exchange.rest().unwrap().text(), "taken", "{body:?} {trailers:?}");
        let [first, second] = [backend.received(), backend.received()];
        assert_eq!((&first.body, &first.trailers), (&second.body, &second.trailers));
        assert_eq!(second.body, body.as_bytes());
        assert_eq!(second.trailers.len(), trailers.len());
    }
}

#[test]
fn a_backend_that_refuses_for_ever_is_given_up() {
    let (sender, refused) = mpsc::channel();
    let backend = Script::playing(move |conversation| {
        let mut peer = Peer::settled(conversation, &[]);
        while let Some((stream, _)) = peer.request() {
            sender.send(()).unwrap();
            peer.send(reset(stream, REFUSED_STREAM));
        }
    });
    let gateway = in_front_of(&backend);

    for request in [GET.to_owned(), post("body")] {
        let answer = gateway.client("http").ask(&request);
        assert_eq!((answer.status, answer.refusal()), (502, Some("connection_terminated")), "{answer:?}");
        assert_eq!(refused.try_iter().count(), 5, "the first, three that are not counted, and a retry");
    }
}

/// Asks once, and waits until the client's connection was closed as unused.
fn ask_and_idle(gateway: &Gateway) {
    let mut client: Client = gateway.client("http");
    assert_eq!(client.ask(post("before")).status, 200);
    client.expect_closed();
}

#[test]
fn a_connection_that_died_unused_costs_nobody_anything() {
    fn one_answer(peer: &mut Peer<'_>) -> u32 {
        let (stream, _) = peer.request().unwrap();
        peer.answer(stream, "before");
        stream
    }
    type Death = (&'static str, fn(&mut Peer<'_>));
    let deaths: [Death; 3] = [
        ("closed", |peer| _ = one_answer(peer)),
        ("told to go", |peer| {
            let stream = one_answer(peer);
            peer.send(goaway(stream)).hold();
        }),
        ("reset", |peer| {
            one_answer(peer);
            peer.conversation.reset();
        }),
    ];
    for (name, death) in deaths {
        for request in [GET.to_owned(), post("after")] {
            let (backend, processed) = first_then_well(move |peer, _| death(peer));
            let gateway = in_front_of(&backend);
            ask_and_idle(&gateway);
            assert_eq!(gateway.client("http").ask(&request).status, 200, "{name}");
            assert_eq!(processed.try_iter().count(), 1, "{name}");
            let line = gateway.access(|line| line["status"] == 200);
            assert_eq!(line["retries"], 0, "{line}");
        }
    }
}

#[test]
fn a_post_waits_for_a_sign_of_life_and_takes_another_connection_without_one() {
    let (backend, processed) = first_then_well(|peer, _| {
        let (stream, _) = peer.request().unwrap();
        peer.answer(stream, "before");
        // Deaf from here on, and open: whatever came here would be lost.
        peer.conversation.hold();
    });
    let gateway = in_front_of(&backend);
    ask_and_idle(&gateway);

    assert_eq!(gateway.client("http").ask(post("after")).text(), "after");

    assert_eq!(processed.try_iter().collect::<Vec<_>>(), [(1, "after".to_owned())]);
}

#[test]
fn a_connection_that_breaks_under_a_post_is_502_and_nothing_is_sent_twice() {
    type Death = (&'static str, fn(&mut Peer<'_>, u32));
    let deaths: [Death; 5] = [
        ("closed", |peer, _| peer.conversation.close()),
        ("reset", |peer, _| peer.conversation.reset()),
        ("a GOAWAY that covers it", |peer, stream| peer.send(goaway(stream)).conversation.close()),
        ("a stream error", |peer, stream| _ = peer.send(reset(stream, INTERNAL_ERROR))),
        ("a cancelled stream", |peer, stream| _ = peer.send(reset(stream, CANCEL))),
    ];
    for (name, death) in deaths {
        for (request, status) in [(post("once"), 502), (GET.to_owned(), 200)] {
            let (backend, processed) = first_then_well(move |peer, record| {
                let (stream, body) = peer.request().unwrap();
                record(&body);
                death(peer, stream);
                while let Some((stream, body)) = peer.request() {
                    record(&body);
                    peer.answer(stream, &body);
                }
            });
            let gateway = in_front_of(&backend);
            let answer = gateway.client("http").ask(&request);
            assert_eq!(answer.status, status, "{name}\n{answer:?}");
            if status == 502 {
                assert_eq!(answer.refusal(), Some("connection_terminated"), "{name}");
                gateway.access(|line| line["reason"] == "backend_reset");
                assert_eq!(processed.try_iter().collect::<Vec<_>>(), [(0, "once".to_owned())], "{name}");
            }
        }
    }
}
