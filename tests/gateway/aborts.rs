//! Clients that leave at any moment: the backend learns of it, nothing leaks, and the next client gets its own answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

/// How many clients leave.
const CUTS: usize = 200;

/// The seed of the moments at which they leave. Any other must pass as well.
const SEED: u64 = 20_261_121;

/// A backend that answers each request with its line and body, 100 KiB of dots between them, and counts open connections.
fn echo(open: &Arc<AtomicUsize>) -> Script {
    let open = Arc::clone(open);
    Script::playing(move |conversation| {
        open.fetch_add(1, Ordering::SeqCst);
        while let Some(request) = conversation.request() {
            let body = format!("{}{}{}", request.line, ".".repeat(100 << 10), String::from_utf8_lossy(&request.body));
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
        open.fetch_sub(1, Ordering::SeqCst);
    })
}

/// Sends some of a request, reads some of the answer, and leaves.
fn leave(random: &mut fastrand::Rng, mut client: Client, number: usize) {
    let body = "b".repeat(random.usize(0..50_000));
    let head = format!("POST /{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    let whole = head + &body;
    let sent = if random.bool() { whole.len() } else { random.usize(0..whole.len()) };
    client.send(&whole.as_bytes()[..sent]);
    if sent == whole.len() {
        client.read_some(random.usize(0..100_000));
    }
    match random.u8(0..3) {
        0 => client.reset(),
        1 => client.finish_sending(),
        _ => drop(client),
    }
}

/// What the admin listener says.
fn status(gateway: &Gateway) -> Value {
    let token = gateway.token();
    let ask = format!(
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    serde_json::from_slice(&Client::tcp(gateway.admin()).ask(ask).body).unwrap()
}

/// The sum of all numbers of that name, wherever they stand.
fn sum(value: &Value, name: &str) -> u64 {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| if key == name { value.as_u64().unwrap_or(0) } else { sum(value, name) })
            .sum(),
        Value::Array(items) => items.iter().map(|item| sum(item, name)).sum(),
        _ => 0,
    }
}

#[test]
fn clients_that_leave_at_any_moment_leave_nothing_behind() {
    let open = Arc::new(AtomicUsize::new(0));
    let backend = echo(&open);
    let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
    let mut random = fastrand::Rng::with_seed(SEED);

    for number in 0..CUTS {
        leave(&mut random, gateway.client(["http", "https"][number % 2]), number);
        if number % 10 == 9 {
            let answer =
                gateway.client("https").ask(format!("GET /canary/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let line = format!("GET /canary/{number} HTTP/1.1.");
            assert!(answer.text().starts_with(&line), "seed {SEED}, cut {number}\n{answer:?}");
        }
    }

    let end = Instant::now() + PATIENCE;
    let mut last = status(&gateway);
    assert!(last.to_string().contains("connections_open") && last.to_string().contains("active_requests"), "{last}");
    while sum(&last, "connections_open") + sum(&last, "active_requests") > 0 {
        assert!(Instant::now() < end, "something was left behind\n{last:#}");
        last = status(&gateway);
    }
    assert!(open.load(Ordering::SeqCst) <= 4, "only unused connections are kept: {open:?}");
}

#[test]
fn a_backend_learns_that_its_client_has_left() {
    let moments = [
        ("before the answer", ""),
        ("within a body of known length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        ("within chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ];
    for (moment, begun) in moments {
        let (sender, released) = std::sync::mpsc::channel();
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(begun);
            conversation.hold();
            sender.send(()).unwrap();
        });
        let gateway = Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend])));
        for listener in ["http", "https"] {
            for resets in [true, false] {
                let mut client = gateway.client(listener);
                client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
                backend.received();
                client.read_some(if begun.is_empty() { 0 } else { 40 });
                let start = Instant::now();
                if resets {
                    client.reset()
                } else {
                    drop(client)
                }
                released.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{moment}: still held"));
                assert!(start.elapsed() < Duration::from_secs(3), "{moment} took {:?}", start.elapsed());
            }
        }
    }
}
