//! Clients that take their answer late, and get it whole.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;

use crate::support::gateway::Gateway;
use crate::support::script::Script;

/// A listener on a Unix socket, whose buffers do not grow, and one where unused connections end after 2.5 s, which is how these
/// tests let that long pass: more than any deadline here.
fn in_front_of(backend: &Script) -> Gateway {
    Gateway::serving(&format!(
        "[[listener]]\nname = \"local\"\nbind = \"unix:local.sock\"\ntimeouts = {{ body_idle = \"500ms\" }}\n\
         [[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\ntimeouts = {{ keep_alive = \"2500ms\" }}\n\
         [[route]]\npath = \"/now\"\nrespond = {{ status = 204 }}\n[[route]]\npool = [\"{backend}\"]\n"
    ))
}

fn let_time_pass(gateway: &Gateway) {
    let mut client = gateway.client("http");
    assert_eq!(client.ask("GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 204);
    client.expect_closed();
}

/// How much a Unix socket takes that nobody reads.
fn capacity() -> usize {
    let (mut one, _other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let mut all = 0;
    loop {
        match one.write(&[0; 64 << 10]) {
            Ok(count) => all += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

fn answer(length: usize) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), &vec![b'x'; length]].concat()
}

#[test]
fn a_client_that_closed_its_sending_side_may_take_long_over_its_answer() {
    // More than the gateway holds, so that the backend is waited for as well, and less, so that it is not.
    for length in [1 << 20, capacity() + (64 << 10)] {
        let backend = Script::answering(answer(length));
        let gateway = in_front_of(&backend);
        let mut client = gateway.connect_unix("local.sock");
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").finish_sending();
        let_time_pass(&gateway);
        assert_eq!(client.answer().body.len(), length);
        assert_eq!(gateway.access(|line| line["path"] == "/")["status"], 200);
    }
}

#[test]
fn an_early_answer_is_delivered_whole_though_the_request_stands_still() {
    let length = capacity() + (64 << 10);
    let backend = Script::playing(move |conversation| {
        conversation.head();
        conversation.send(answer(length));
        conversation.hold();
    });
    let gateway = in_front_of(&backend);
    let mut client = gateway.connect_unix("local.sock");
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\nhalf");
    let_time_pass(&gateway);
    assert_eq!(client.answer().body.len(), length);
}
