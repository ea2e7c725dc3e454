//! Backends that misbehave: what the client gets, what is asked again, and which connections are never used again.

use std::fmt::Display;

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::{Conversation, Script};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok";

fn in_front_of(backend: &dyn Display) -> Gateway {
    Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[backend])))
}

/// Answers on the first connection with `first` and goes on or not, on later ones as a good backend does.
fn first_then_well(first: impl Into<Vec<u8>>) -> Script {
    let first = first.into();
    Script::playing(move |conversation| {
        while conversation.request().is_some() {
            if conversation.number == 0 {
                conversation.send(&first);
            } else {
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
            }
        }
    })
}

#[test]
fn answers_that_are_no_http_are_502_and_asked_for_once() {
    let long = "x".repeat(70_000);
    let many = "X: y\r\n".repeat(300);
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
    let answers = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        "HTTP/1.1 2x0 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 099 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 999 OK\r\n\r\n".to_owned(),
        "HTTP/3.0 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\r b\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 {long}\r\nContent-Length: 2\r\n\r\nok"),
        format!("HTTP/1.1 200 OK\r\nX: {long}\r\nContent-Length: 2\r\n\r\nok"),
        format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nok"),
        format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ];
    for bad in answers {
        let shown = bad[..bad.len().min(200)].to_owned();
        let backend = first_then_well(bad);
        let gateway = in_front_of(&backend);
        let mut client = gateway.client("https");
        let answer = client.ask(GET);
        assert_eq!((answer.status, answer.refusal().is_some()), (502, true), "{shown:?}\n{answer:?}");
        backend.received();
        assert_eq!(backend.left(), 0, "not asked again after {shown:?}");
        assert_eq!(client.ask(POST).text(), "well", "the next request, after {shown:?}");
        assert_eq!(backend.received().connection, 1, "a bad connection is not used again: {shown:?}");
    }
}

#[test]
fn what_comes_behind_an_answer_is_never_the_next_clients() {
    let behind = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 43\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 43\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ] {
        let backend = first_then_well(format!("{answer}{behind}"));
        let gateway = in_front_of(&backend);
        let mut client = gateway.client("http");
        client.send(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let first = if method == "HEAD" { client.answer_to_head() } else { client.answer() };
        assert!(first.status < 400 && first.text().len() < 3, "{answer:?}\n{first:?}");
        if first.status == 204 {
            assert_eq!(first.field("content-length"), None, "RFC 9110 §8.6\n{first:?}");
        }
        assert_eq!(client.ask(GET).text(), "well", "after {answer:?}");
        assert_eq!(gateway.client("https").ask(GET).text(), "well", "after {answer:?}");
        let connections = [backend.received(), backend.received()].map(|received| received.connection);
        assert_eq!(connections, [0, 1], "after {answer:?}");
    }
}

#[test]
fn an_answer_that_came_too_early_costs_the_connection_only() {
    let backend = Script::playing(|conversation| {
        if conversation.number == 0 {
            conversation.head();
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
            return conversation.hold();
        }
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
        }
    });
    let gateway = in_front_of(&backend);
    let mut client = gateway.client("http");
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(client.answer().text(), "early");
    // The rest of the body is taken off the connection, which then goes on.
    client.send("123456");
    assert_eq!(client.ask(GET).text(), "well");
    assert_eq!(backend.received().connection, 1);

    // A body that is too large to be dropped ends the connection instead, and the answer says so.
    let backend = Script::playing(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        conversation.hold();
    });
    let gateway = in_front_of(&backend);
    let mut client = gateway.client("http");
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\nhalf");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("early", Some("close")), "{answer:?}");
    client.expect_closed();
}

#[test]
fn a_backend_that_breaks_before_its_answer_is_asked_again_where_that_is_safe() {
    let asked = |request: &str, reset: bool, head: &'static str| {
        let backend = Script::playing(move |conversation| {
            while conversation.request().is_some() {
                if conversation.number == 0 {
                    conversation.send(head);
                    if reset {
                        conversation.reset()
                    } else {
                        conversation.close()
                    }
                    return;
                }
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
            }
        });
        let answer = in_front_of(&backend).client("http").ask(request);
        backend.received();
        (answer.status, 1 + backend.left())
    };
    let get_with_body = GET.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok");
    for reset in [true, false] {
        for head in ["", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 100 Continue\r\n\r\n"] {
            assert_eq!(asked(GET, reset, head), (200, 2), "{head:?}");
            assert_eq!(asked(POST, reset, head), (502, 1), "{head:?}");
            for method in ["PUT", "DELETE", "PATCH"] {
                assert_eq!(asked(&POST.replace("POST", method), reset, head), (502, 1), "{method} {head:?}");
            }
            assert_eq!(asked("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", reset, head), (502, 1), "{head:?}");
            assert_eq!(asked(&get_with_body, reset, head), (502, 1), "{head:?}");
        }
    }
}

#[test]
fn what_was_read_of_a_request_that_failed_is_told_in_the_log() {
    let breaking = Script::playing(|conversation| {
        conversation.request();
        conversation.close();
    });
    let silent = Script::playing(Conversation::hold);
    for (backend, status) in [(&breaking, 502), (&silent, 504)] {
        let impatient = "timeouts = { response = \"200ms\" }\n";
        let gateway = Gateway::serving(&format!("{HTTP}{}{impatient}", route_to(&[backend])));
        assert_eq!(gateway.client("http").ask(POST).status, status);
        assert_eq!(gateway.access(|line| line["status"] == status)["request_bytes"], 2);
    }
}

#[test]
fn a_backend_that_breaks_within_its_body_leaves_it_visibly_cut_or_refused() {
    let last = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (body, left) in [
        ("Content-Length: 10\r\n\r\nhalf", "half"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", "4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nno size\r\n", "4\r\nhalf\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n2\nok\r\n", "4\r\nhalf\r\n"),
    ] {
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(format!("HTTP/1.1 200 OK\r\n{body}"));
            conversation.close();
            conversation.hold();
        });
        let gateway = in_front_of(&backend);
        for listener in ["http", "https"] {
            let got = gateway.client(listener).send(last).read_some(1000);
            let got = String::from_utf8_lossy(&got);
            // Where the break is seen before anything was passed on, the client gets a clean refusal instead.
            let refused = got.starts_with("HTTP/1.1 502 ");
            assert!(refused || got.starts_with("HTTP/1.1 200 OK") && got.ends_with(left), "{body:?}\n{got}");
        }
    }
}

#[test]
fn a_body_that_only_the_end_delimits_reaches_old_and_new_clients() {
    for head in
        ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"]
    {
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(format!("{head}until the end"));
            conversation.close();
            conversation.hold();
        });
        let gateway = in_front_of(&backend);
        for listener in ["http", "https"] {
            let mut new = gateway.client(listener);
            for _ in 0..2 {
                let answer = new.ask(GET);
                assert_eq!(answer.text(), "until the end", "{answer:?}");
                assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
            }
            let mut old = gateway.client(listener);
            let answer = old.ask("GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
            assert_eq!((answer.text().as_str(), answer.field("connection")), ("until the end", Some("close")));
            old.expect_closed();
        }
    }
}

#[test]
fn a_connection_that_the_backend_closed_is_noticed_by_no_client() {
    let backend = Script::playing(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // Closed without a word, as on an idle timeout, right when the next request may be on its way.
        conversation.close();
    });
    let gateway = in_front_of(&backend);
    let mut client = gateway.client("http");
    for number in 0..100 {
        assert_eq!(client.ask(GET).status, 200, "{number}");
    }
}

#[test]
fn a_connect_failure_is_repeated_whatever_the_method() {
    let alive = Backend::named("alive");
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&Script::dead(), &alive])));
    for request in [GET, POST, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        for _ in 0..2 {
            assert_eq!(gateway.client("http").ask(request).text(), "alive");
        }
    }
    assert_eq!(alive.count(), 6);
    let alone = in_front_of(&Script::dead()).client("http").ask(POST);
    assert_eq!((alone.status, alone.refusal()), (502, Some("connection_refused")), "{alone:?}");
}
