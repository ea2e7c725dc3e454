//! gRPC from end to end, in its frames: statuses, streams, and refusals in its own terms.

use std::sync::mpsc;

use h2::Reason;

use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::configs::{HTTPS, one_worker, route_to, route_to_h2};
use crate::support::gateway::Gateway;
use crate::support::http2::{Exchange, Http2};
use crate::support::script::Script;
use crate::support::streams::{Streams, gone, trail};

const PATH: &str = "/echo.Echo/Call";
const CALL: [(&str, &str); 2] = [("content-type", "application/grpc+proto"), ("te", "trailers")];
const OK: [(&str, &str); 2] = [("grpc-status", "0"), ("grpc-message", "fine")];
const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];

fn in_front_of(backend: &dyn std::fmt::Display, route: &str) -> Gateway {
    Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[backend], route, "")))
}

fn call(client: &mut Http2, fields: &[(&str, &str)]) -> Exchange {
    client.post(PATH, &[&CALL, fields].concat())
}

/// A call that is refused: its only message, its status.
fn refused(client: &mut Http2, path: &str) -> Answer {
    let mut exchange = client.post(path, &CALL);
    exchange.send("message").finish();
    exchange.rest().unwrap()
}

/// A backend that sends every piece back at once and ends with a status.
fn echo() -> Streams {
    Streams::playing(|mut asked| async move {
        let mut sending = asked.begin(200, &GRPC);
        while let Some(piece) = asked.piece().await {
            sending.send_data(piece, false).unwrap();
        }
        trail(sending, &OK);
    })
}

#[test]
fn a_status_without_a_message_is_head_and_end_in_one() {
    let backend = Streams::playing(|mut asked| async move {
        asked.read().await;
        asked.answer(200, &[GRPC[0], ("grpc-status", "5"), ("grpc-message", "no such thing")], "");
    });
    let gateway = in_front_of(&backend, "");

    let answer = refused(&mut Http2::connect(&gateway), PATH);

    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("5")), "{answer:?}");
    assert_eq!((answer.field("grpc-message"), answer.field("content-length")), (Some("no such thing"), None));
    assert!(answer.body.is_empty() && answer.trailers.is_empty());
    let received = backend.received();
    assert_eq!(
        (received.field("te"), received.field("content-type")),
        (Some("trailers"), Some("application/grpc+proto"))
    );
    assert_eq!(received.line, format!("POST {PATH} HTTP/2"));
}

#[test]
fn a_status_after_messages_comes_in_trailers() {
    let gateway = in_front_of(&echo(), "");

    let answer = refused(&mut Http2::connect(&gateway), PATH);

    assert_eq!((answer.text().as_str(), answer.field("grpc-status")), ("message", None));
    assert_eq!(answer.trailers, OK.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn both_sides_stream_message_by_message() {
    let gateway = in_front_of(&echo(), "");
    let mut client = Http2::connect(&gateway);
    let mut calls = [call(&mut client, &[]), call(&mut client, &[])];

    for number in 0..100 {
        for (index, call) in calls.iter_mut().enumerate() {
            let message = format!("message {number} of {index}");
            call.send(message.clone());
            assert_eq!(call.piece().unwrap().unwrap(), message.as_bytes());
        }
    }

    for mut call in calls {
        call.finish();
        assert_eq!(call.rest().unwrap().trailers.len(), 2);
    }
}

#[test]
fn a_call_through_a_backend_of_http_1_keeps_its_trailers() {
    let backend = Script::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         grpc-status: 0\r\n\r\n",
    );
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    let answer = refused(&mut Http2::connect(&gateway), PATH);

    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("ok", 1), "{answer:?}");
}

#[test]
fn a_call_has_no_limit_of_its_body() {
    let gateway = in_front_of(&echo(), "body_limit = \"1 KiB\"");
    let mut client = Http2::connect(&gateway);

    let mut large = call(&mut client, &[]);
    large.send(vec![7; 100 << 10]).finish();
    assert_eq!(large.rest().unwrap().body.len(), 100 << 10);

    let mut plain = client.post(PATH, &[]);
    plain.send(vec![7; 100 << 10]).finish();
    assert_eq!(plain.rest().unwrap().status, 413);
}

#[test]
fn a_caller_that_leaves_cancels_its_call_only() {
    let (sender, events) = mpsc::channel();
    let backend = Streams::playing(move |mut asked| {
        let sender = sender.clone();
        async move {
            let mut sending = asked.begin(200, &GRPC);
            if asked.field("x-stays").is_none() {
                return sender.send(gone(&mut sending).await).unwrap();
            }
            sending.send_data(asked.piece().await.unwrap(), false).unwrap();
            trail(sending, &OK);
        }
    });
    let gateway = in_front_of(&backend, "");
    let mut client = Http2::connect(&gateway);
    let mut stays = call(&mut client, &[("x-stays", "1")]);
    stays.head().unwrap();

    let mut cancelled = call(&mut client, &[]);
    cancelled.head().unwrap();
    cancelled.cancel();
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)));
    let mut other = Http2::connect(&gateway);
    let mut dropped = call(&mut other, &[]);
    dropped.head().unwrap();
    drop((other, dropped));
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Some(Reason::CANCEL)));

    stays.send("stays").finish();
    assert_eq!(stays.rest().unwrap().text(), "stays");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn refusals_are_statuses_of_grpc() {
    let plain = Script::playing(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        conversation.hold();
    });
    let config = format!(
        "{}[[route]]\nname = \"down\"\npath = \"/down/*\"\npool = {{ backends = [\"{}\"], protocol = \"h2\", retry = false }}\n\
         [[route]]\npath = \"/h1/*\"\npool = {{ backends = [\"{plain}\"], protocol = \"h2\", retry = false }}\n",
        one_worker(),
        Script::dead()
    );
    let gateway = Gateway::serving(&config);
    let mut client = Http2::connect(&gateway);
    for (path, status, error, reason) in [
        ("/none/Call", "12", "destination_not_found", "no_route"),
        ("/down/Call", "14", "connection_refused", "connect_failed"),
        ("/h1/Call", "14", "http_protocol_error", "backend_malformed"),
        ("/down/a%2fb", "13", "http_request_error", "ambiguous_path"),
    ] {
        let answer = refused(&mut client, path);
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some(status)), "{path}\n{answer:?}");
        assert_eq!((answer.refusal(), answer.field("grpc-message")), (Some(error), Some(reason)), "{path}");
        assert_eq!((answer.field("content-type"), answer.body.len()), (Some("application/grpc"), 0), "{path}");
        let line = gateway.access(|line| line["reason"] == reason);
        assert_eq!(line["status"], 200, "{line}");
    }
    assert_eq!(gateway.metric("portcullis_refused_total{reason=\"no_route\",route=\"\"}"), 1);
    assert_eq!(gateway.metric("portcullis_refused_total{reason=\"connect_failed\",route=\"down\"}"), 1);

    let ordinary = client.get("/none/Call").unwrap();
    assert_eq!((ordinary.status, ordinary.field("grpc-status")), (404, None), "{ordinary:?}");
    let text = client.post("/none/Call", &[("content-type", "application/grpc-web")]);
    assert_eq!(text.rest().unwrap().status, 404, "gRPC-Web is plain HTTP to a proxy");
}
