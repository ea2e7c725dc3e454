//! Large bodies: every byte arrives, and the gateway holds next to none of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::configs::HTTPS;
use crate::support::gateway::Gateway;
use crate::support::script::Script;

const MIB: usize = 1 << 20;

/// How much is moved each way.
const LARGE: usize = 64 * MIB;

/// What the process may grow by while it moves that.
const GROWTH: usize = 16 * MIB;

/// What the kernels of both connections may hold beside the gateway: their buffers grow to a few MiB on loopback.
const KERNELS: usize = 16 * MIB;

/// A piece of a body, 1 MiB long: it tells its own number, so that one that is lost, doubled or moved shows.
fn piece(number: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=250u8).collect::<Vec<_>>().repeat(MIB / 251 + 1);
    bytes.truncate(MIB);
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Whether that is the whole body.
fn is_whole(body: &[u8]) -> bool {
    body.len() == LARGE && body.chunks(MIB).enumerate().all(|(number, bytes)| bytes == piece(number))
}

fn in_front_of(backend: &Script) -> Gateway {
    Gateway::serving(&format!(
        "[server]\nworkers = 1\n{HTTPS}\n[[route]]\nbody_limit = \"0\"\npool = [\"{backend}\"]\n"
    ))
}

#[test]
fn every_byte_goes_down_and_memory_stays_flat() {
    for head in ["Content-Length: 67108864\r\n\r\n", "\r\n"] {
        let backend = Script::playing(move |conversation| {
            conversation.request();
            conversation.send(format!("HTTP/1.1 200 OK\r\n{head}"));
            for number in 0..LARGE / MIB {
                conversation.send(piece(number));
            }
            conversation.close();
        });
        let gateway = in_front_of(&backend);
        let before = gateway.resident();
        let mut client = gateway.client("https");

        let answer = client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

        assert!(is_whole(&answer.body), "{} bytes, not as they were sent", answer.body.len());
        let grown = gateway.peak_resident().saturating_sub(before);
        assert!(grown < GROWTH, "grew by {grown} bytes");
    }
}

#[test]
fn every_byte_goes_up_and_memory_stays_flat() {
    for chunked in [false, true] {
        let (sender, same) = std::sync::mpsc::channel();
        let backend = Script::playing(move |conversation| {
            conversation.head();
            let arrived = if chunked { conversation.chunks() } else { conversation.bytes(LARGE) };
            sender.send(is_whole(&arrived)).unwrap();
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let gateway = in_front_of(&backend);
        let before = gateway.resident();
        let mut client = gateway.client("https");

        let framing =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {LARGE}") };
        client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"));
        for number in 0..LARGE / MIB {
            if chunked {
                client.send(format!("{MIB:x}\r\n"));
            }
            client.send(piece(number));
            if chunked {
                client.send("\r\n");
            }
        }
        if chunked {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.answer().status, 200);

        assert!(same.recv().unwrap(), "the bytes are not as they were sent");
        let grown = gateway.peak_resident().saturating_sub(before);
        assert!(grown < GROWTH, "grew by {grown} bytes");
    }
}

#[test]
fn a_slow_reader_holds_the_backend_back() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let backend = Script::playing(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        conversation.flood(&vec![b'x'; 64 << 10], 1 << 14, |pieces| counter.store(pieces << 16, Ordering::SeqCst));
    });
    let gateway = in_front_of(&backend);
    let before = gateway.resident();
    let mut client = gateway.client("https");
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    let mut read = 0;
    let end = Instant::now() + PATIENCE;
    while read < 32 * MIB {
        assert!(Instant::now() < end, "{read} bytes in all the time");
        let got = client.read_some(MIB).len();
        assert_eq!(got, MIB);
        read += got;
        let ahead = sent.load(Ordering::SeqCst).saturating_sub(read);
        assert!(ahead < KERNELS, "the backend is {ahead} bytes ahead");
    }

    let grown = gateway.peak_resident().saturating_sub(before);
    assert!(grown < 4 * MIB, "grew by {grown} bytes");
}
