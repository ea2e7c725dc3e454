//! Connections to backends that are used again: which are, for how long, and what happens when they turn out to be closed.

use std::sync::{Mutex, mpsc};

use crate::support::PATIENCE;
use crate::support::configs::{one_worker, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok";

/// One worker, so that there is one pool of connections; unused client connections end after 1.5 s, which is how these tests
/// let that long pass.
fn in_front_of(backend: &Script) -> Gateway {
    Gateway::serving(&format!(
        "[server]\nworkers = 1\n[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\n\
         timeouts = {{ keep_alive = \"1500ms\" }}\n[[route]]\npool = [\"{backend}\"]\n"
    ))
}

/// Asks, then waits for the end of the client's connection. Which connection of the backend was used.
fn ask_and_idle(gateway: &Gateway, backend: &Script, request: &str) -> usize {
    let mut client = gateway.client("http");
    assert_eq!(client.ask(request).status, 200);
    client.expect_closed();
    backend.received().connection
}

#[test]
fn a_request_that_cannot_be_repeated_takes_no_connection_that_was_unused_for_over_a_second() {
    let backend = Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let gateway = in_front_of(&backend);
    assert_eq!(ask_and_idle(&gateway, &backend, GET), 0);
    assert_eq!(ask_and_idle(&gateway, &backend, GET), 0, "a GET takes it");
    assert_eq!(ask_and_idle(&gateway, &backend, POST), 1, "a POST does not");

    let mut client = gateway.client("http");
    let used: Vec<_> = [GET, POST, POST]
        .iter()
        .map(|request| {
            assert_eq!(client.ask(request).status, 200);
            backend.received().connection
        })
        .collect();
    assert_eq!(used, [1; 3], "within the second it does");
}

#[test]
fn a_request_that_cannot_be_repeated_costs_the_others_one_connection_at_most() {
    let (go, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let backend = Script::playing(move |conversation| {
        while let Some(request) = conversation.request() {
            if request.line.contains("/held") {
                held.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let gateway = in_front_of(&backend);
    let held = |request: &str| {
        let mut client = gateway.client("http");
        client.send(request.replace(" / ", " /held "));
        (client, backend.received().connection)
    };
    let (mut first, mut second) = (held(GET), held(GET));
    assert_eq!((first.1, second.1), (0, 1));
    for _ in 0..2 {
        go.send(()).unwrap();
    }
    for client in [&mut first.0, &mut second.0] {
        assert_eq!(client.answer().status, 200);
        client.expect_closed();
    }

    // Two that have been unused for longer than a second.
    let (mut poster, fresh) = held(POST);
    assert_eq!(fresh, 2);
    assert_eq!(gateway.client("http").ask(GET).status, 200);
    assert!(backend.received().connection < 2, "a GET still takes one of them");
    go.send(()).unwrap();
    assert_eq!(poster.answer().status, 200);
}

#[test]
fn a_connection_that_went_stale_says_nothing_of_those_to_another_backend() {
    let breaking = Script::playing(|conversation| {
        conversation.request();
        if conversation.number == 0 {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            conversation.request();
        }
        conversation.close();
    });
    let good = Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let gateway = Gateway::serving(&format!("{}{}", one_worker(), route_to(&[&breaking, &good])));
    let mut client = gateway.client("http");
    for _ in 0..4 {
        assert_eq!(client.ask(GET).status, 200);
    }
    assert!(breaking.left() >= 3, "the second request, and once more on a new connection");
    for _ in 0..3 {
        assert_eq!(good.received().connection, 0);
    }
}

#[test]
fn a_connection_is_kept_for_less_than_its_backend_says() {
    for (timeout, connections) in [("timeout=2, max=100", [0, 1]), ("timeout=1", [0, 1]), ("timeout=60", [0, 0])] {
        let backend =
            Script::answering(format!("HTTP/1.1 200 OK\r\nKeep-Alive: {timeout}\r\nContent-Length: 0\r\n\r\n"));
        let gateway = in_front_of(&backend);
        let used = [(); 2].map(|()| ask_and_idle(&gateway, &backend, GET));
        assert_eq!(used, connections, "{timeout}");
    }
}

#[test]
fn a_connection_that_the_backend_gives_up_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let backend = Script::answering(answer);
        let gateway = in_front_of(&backend);
        let mut client = gateway.client("http");
        for number in 0..3 {
            assert_eq!(client.ask(GET).status, 200);
            assert_eq!(backend.received().connection, number, "{answer:?}");
        }
    }
}

#[test]
fn a_connection_that_breaks_when_it_is_used_again_fails_no_get_and_doubles_no_post() {
    for (request, status, times) in [(GET, 200, 2), (POST, 502, 1)] {
        for reset in [true, false] {
            // Every connection answers once and breaks with the second request.
            let backend = Script::playing(move |conversation| {
                conversation.request();
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                conversation.request();
                if reset { conversation.reset() } else { conversation.close() }
            });
            let gateway = Gateway::serving(&format!(
                "[server]\nworkers = 1\n[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:0\"\n\
                 [[route]]\npool = {{ backends = [\"{backend}\"], retry = false }}\n"
            ));
            let mut client = gateway.client("http");
            assert_eq!(client.ask(GET).status, 200);
            backend.received();
            assert_eq!(client.ask(request).status, status, "{request:?}");
            backend.received();
            assert_eq!(1 + backend.left(), times, "{request:?}");
        }
    }
}
