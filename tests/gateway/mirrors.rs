//! Requests that are copied to another pool.

use crate::support::configs::HTTP;
use crate::support::gateway::Gateway;
use crate::support::script::Script;
use crate::support::served::Served;

fn answering(text: &'static str) -> Script {
    Script::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
}

fn config(real: &Script, shadow: &dyn std::fmt::Display, percent: u32) -> String {
    format!(
        "{HTTP}[[route]]\npool = \"real\"\nmirror = {{ pool = \"shadow\", percent = {percent} }}\n\
         [pool.real]\nbackends = [\"{real}\"]\n[pool.shadow]\nbackends = [\"{shadow}\"]\n"
    )
}

#[test]
fn a_part_of_the_requests_is_copied() {
    let (real, shadow) = (answering("real"), answering("shadow"));
    let gateway = Gateway::serving(&config(&real, &shadow, 100));
    let mut client = gateway.connect("http");
    let asks = "POST /a?b HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(client.ask(asks).text(), "real");
    let (sent, copied) = (real.received(), shadow.received());
    assert_eq!((&copied.line, &copied.body), (&sent.line, &sent.body));
    assert_eq!(copied.fields, sent.fields, "the same request, by its id too");
    gateway.wait_for_metric("portcullis_mirrored_total{pool=\"shadow\",outcome=\"answered\"}", 1);

    let chunked = "PUT /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).text(), "real");
    assert_eq!(shadow.received().body, b"abc");

    gateway.save(&config(&real, &shadow, 25));
    for _ in 0..8 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").text(), "real");
    }
    gateway.wait_for_metric("portcullis_mirrored_total{pool=\"shadow\",outcome=\"answered\"}", 2 + 3);
    assert_eq!([(); 3].map(|()| shadow.received().line), ["GET / HTTP/1.1"; 3]);
    assert_eq!(shadow.left(), 0);
}

#[test]
fn nobody_notices_what_becomes_of_a_copy() {
    let real = answering("real");
    let silent = Script::playing(|conversation| {
        conversation.request();
        conversation.hold();
    });
    for shadow in [Script::dead(), silent.to_string()] {
        let gateway = Gateway::serving(&config(&real, &shadow, 100));
        let mut client = gateway.connect("http");
        for _ in 0..3 {
            assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").text(), "real");
        }
        assert_eq!(gateway.access(|line| line["status"] == 200)["retries"], 0);
    }
}

#[test]
fn large_bodies_are_not_copied_and_are_counted() {
    let (real, shadow) = (answering("real"), answering("shadow"));
    let gateway = Gateway::serving(&config(&real, &shadow, 100));
    let mut client = gateway.connect("http");
    let body = "x".repeat((64 << 10) + 1);
    let length = body.len();
    assert_eq!(
        client.ask(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")).text(),
        "real"
    );
    let chunked = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(format!("{chunked}{length:x}\r\n{body}\r\n0\r\n\r\n")).text(), "real");
    gateway.wait_for_metric("portcullis_mirrored_total{pool=\"shadow\",outcome=\"dropped\"}", 2);
    assert_eq!(shadow.left(), 0);
}

#[test]
fn bodies_that_come_slowly_are_kept_for_a_bounded_number_of_copies() {
    let (real, shadow) = (answering("real"), answering("shadow"));
    let gateway = Gateway::serving(&format!("[server]\nworkers = 1\n{}", config(&real, &shadow, 100)));
    let begun = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n1";
    let mut slow: Vec<_> = (0..128)
        .map(|_| {
            let mut client = gateway.connect("http");
            client.send(begun);
            client
        })
        .collect();
    let active = format!("portcullis_backend_active_requests{{pool=\"real\",backend=\"{real}\"}}");
    gateway.wait_for_metric(&active, 128);

    assert_eq!(gateway.connect("http").ask(format!("{begun}2")).text(), "real");
    gateway.wait_for_metric("portcullis_mirrored_total{pool=\"shadow\",outcome=\"dropped\"}", 1);

    for client in &mut slow {
        client.send("2");
        assert_eq!(client.answer().text(), "real");
    }
    gateway.wait_for_metric("portcullis_mirrored_total{pool=\"shadow\",outcome=\"answered\"}", 128);
}

#[test]
fn the_readme_shows_a_mirror() {
    let served = Served::example("**A mirror.**");
    for _ in 0..20 {
        assert_eq!(served.get("mirrored.example.com", "/"), "10.0.10.1:8080");
    }
    assert_eq!(served.received("10.0.10.2:8080"), "GET / HTTP/1.1");
}
