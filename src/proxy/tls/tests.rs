//! Whole handshakes over loopback, with a client that is not ours.

pub(super) mod support;

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::support::*;
use super::*;
use crate::proxy::socket::Socket;

fn alert<T>(result: std::io::Result<T>) -> AlertDescription {
    let error = result.err().expect("a failed handshake");
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        _ => panic!("no alert but {error:?}"),
    }
}

fn cause<T>(result: Result<T, HandshakeError>) -> &'static str {
    result.err().expect("a failed handshake").cause()
}

fn both(ca: &Ca) -> Arc<ClientConfig> {
    Arc::new(ca.client(&[&TLS13, &TLS12]))
}

#[tokio::test]
async fn a_modern_client_gets_the_best_of_everything() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    let (server, _client) = connected(&frontend, &both(&ca), "Example.com").await;
    let facts = server.facts;
    assert_eq!(facts.server_name.as_deref(), Some("example.com"));
    assert_eq!(&*facts.identity.name, "main");
    assert_eq!((facts.version, facts.cipher, facts.group), ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519MLKEM768"));
    assert!(facts.alpn_h2 && !facts.resumed);
}

#[tokio::test]
async fn an_older_client_is_served_with_tls_1_2() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    let mut client = ca.client(&[&TLS12]);
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (server, _client) = connected(&frontend, &Arc::new(client), "example.com").await;
    let facts = server.facts;
    assert_eq!((facts.version, facts.cipher), ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    assert!(!facts.alpn_h2 && !facts.resumed);
}

#[tokio::test]
async fn sessions_are_resumed_also_after_a_reload() {
    let ca = Ca::new();
    let slot = ca.slot("main", &["example.com"]);
    for version in [&TLS13, &TLS12] {
        let first = frontend(&[&slot]);
        let reloaded = Frontend::build(&Settings::default(), &[], allowed(&[&slot]), Some(&first)).unwrap();
        let stranger = frontend(&[&slot]);
        let client = Arc::new(ca.client(&[version]));
        for (server, resumed) in [(&first, false), (&first, true), (&reloaded, true), (&stranger, false)] {
            let (server, _client) = connected(server, &client, "example.com").await;
            assert_eq!(server.facts.resumed, resumed);
            assert_ne!(server.facts.group, "other");
        }
    }
}

#[tokio::test]
async fn the_name_decides_the_certificate() {
    let ca = Ca::new();
    let slots = [
        ca.slot("wild", &["*.example.com", "example.com"]),
        ca.slot("exact", &["a.example.com"]),
        ca.slot("late", &["example.com", "b.example.com"]),
    ];
    let frontend = frontend(&slots.each_ref());
    for (name, certificate) in
        [("example.com", "wild"), ("a.example.com", "exact"), ("b.example.com", "late"), ("c.example.com", "wild")]
    {
        let (server, _client) = connected(&frontend, &both(&ca), name).await;
        assert_eq!(&*server.facts.identity.name, certificate, "{name}");
    }
}

#[tokio::test]
async fn an_unknown_name_is_refused() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    for version in [&TLS13, &TLS12] {
        for name in ["example.org", "a.example.com"] {
            let (server, client) = handshake(&frontend, &Arc::new(ca.client(&[version])), name).await;
            assert_eq!((cause(server), alert(client)), ("unknown_name", AlertDescription::UnrecognisedName));
        }
    }
}

#[tokio::test]
async fn a_client_without_sni_gets_the_certificate_of_the_address_or_the_default() {
    let ca = Ca::new();
    let (one, two) = (ca.slot("one", &["one.example"]), ca.slot("two", &["two.example", "127.0.0.1"]));
    let (three, four) = (ca.slot("three", &["three.example"]), ca.slot("four", &["four.example"]));
    let named = Settings { default_certificate: Some(at("four".to_owned())), ..Settings::default() };
    let plain = Settings::default();
    let marked = |slots: &[&Arc<CertSlot>], marked: &str| {
        let allowed = slots.iter().map(|slot| Allowed { slot: Arc::clone(slot), default: &**slot.name() == marked });
        allowed.collect::<Vec<_>>()
    };
    for (settings, allowed, expected) in [
        (&named, marked(&[&one, &two, &three, &four], "three"), Some("two")),
        (&named, marked(&[&one, &three, &four], "three"), Some("four")),
        (&plain, marked(&[&one, &three, &four], "three"), Some("three")),
        (&plain, marked(&[&one], ""), Some("one")),
        (&plain, marked(&[&one, &three], ""), None),
    ] {
        let frontend = Frontend::build(settings, &[], allowed, None).unwrap();
        let (server, client) = handshake(&frontend, &both(&ca), "127.0.0.1").await;
        match expected {
            Some(name) => {
                let server = match server {
                    Ok(server) => server.facts.identity,
                    // The client refuses a certificate without its address; the server had chosen all the same.
                    Err(HandshakeError::AlertReceived(_)) => {
                        Arc::clone(frontend.directory().by_address([127, 0, 0, 1].into()).unwrap())
                    }
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(&*server.name, name);
            }
            None => assert_eq!((cause(server), alert(client)), ("no_name", AlertDescription::MissingExtension)),
        }
    }
}

#[tokio::test]
async fn the_stricter_minimum_version_holds() {
    let ca = Ca::new();
    let slot = ca.slot("main", &["strict.example", "mild.example"]);
    let hosts = [host("strict.example", MinVersion::Tls13), host("mild.example", MinVersion::Tls12)];
    let lax = Frontend::build(&Settings::default(), &hosts, allowed(&[&slot]), None).unwrap();
    let settings = Settings { min_version: MinVersion::Tls13, ..Settings::default() };
    let strict = Frontend::build(&settings, &hosts, allowed(&[&slot]), None).unwrap();
    for (frontend, name, served) in
        [(&lax, "mild.example", true), (&lax, "strict.example", false), (&strict, "mild.example", false)]
    {
        let (server, client) = handshake(frontend, &Arc::new(ca.client(&[&TLS12])), name).await;
        if served {
            assert!(server.unwrap().facts.covers("mild.example"));
        } else {
            assert_eq!((cause(server), alert(client)), ("no_shared_version", AlertDescription::ProtocolVersion));
        }
        connected(frontend, &Arc::new(ca.client(&[&TLS13])), name).await;
    }
}

#[tokio::test]
async fn a_request_stays_within_its_connection() {
    let ca = Ca::new();
    let slot = ca.slot("main", &["a.example", "strict.example", "*.w.example", "127.0.0.1"]);
    let hosts = [host("strict.example", MinVersion::Tls13)];
    let frontend = Frontend::build(&Settings::default(), &hosts, allowed(&[&slot]), None).unwrap();
    let facts = async |versions: &[&'static rustls::SupportedProtocolVersion], name| {
        connected(&frontend, &Arc::new(ca.client(versions)), name).await.0.facts
    };
    let old = facts(&[&TLS12], "a.example").await;
    let new = facts(&[&TLS13], "a.example").await;
    for (host, on_old, on_new) in [
        ("a.example", true, true),
        ("A.EXAMPLE", true, true),
        ("x.w.example", true, true),
        ("strict.example", false, true),
        ("STRICT.example.", false, true),
        ("b.example", false, false),
        ("localhost", false, false),
        ("127.0.0.1", true, true),
        ("10.0.0.1", false, false),
    ] {
        assert_eq!((old.covers(host), new.covers(host)), (on_old, on_new), "{host}");
    }
    let nameless = facts(&[&TLS12], "127.0.0.1").await;
    for (host, covered) in [
        ("a.example", true),
        ("localhost", true),
        ("10.0.0.1", true),
        ("[2001:db8::1]", true),
        ("b.example", false),
        ("strict.example", false),
    ] {
        assert_eq!(nameless.covers(host), covered, "{host}");
    }
}

#[tokio::test]
async fn only_the_listed_suites_are_spoken() {
    let ca = Ca::new();
    let suites = [
        rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384,
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    let cipher_suites = suites.map(|suite| at(CipherSuite(suite))).to_vec();
    let settings = Settings { cipher_suites, ..Settings::default() };
    let slot = ca.slot("main", &["example.com"]);
    let frontend = Frontend::build(&settings, &[], allowed(&[&slot]), None).unwrap();
    let (server, _client) = connected(&frontend, &both(&ca), "example.com").await;
    assert_eq!(server.facts.cipher, "TLS_CHACHA20_POLY1305_SHA256");
    let (server, client) = handshake(&frontend, &Arc::new(ca.client(&[&TLS12])), "example.com").await;
    assert_eq!((cause(server), alert(client)), ("no_shared_cipher", AlertDescription::HandshakeFailure));
}

#[tokio::test]
async fn a_swap_reaches_the_next_connection_and_leaves_the_open_one() {
    let ca = Ca::new();
    let (slot, other) = (ca.slot("main", &["a.example"]), ca.slot("other", &["b.example"]));
    let frontend = frontend(&[&slot, &other]);
    let untouched = Arc::clone(&frontend.directory().identities()[1]);
    let client = Arc::new(ca.client(&[&TLS13]));
    let (mut server, mut open) = connected(&frontend, &client, "a.example").await;

    let before = slot.current();
    assert_eq!(slot.replace(ca.pair(&["a.example", "c.example"])), Swap::Replaced);

    exchange(&mut server, &mut open).await;
    assert!(Arc::ptr_eq(&server.facts.identity.pair, &before));
    assert!(!server.facts.covers("c.example"));
    let (server, fresh) = connected(&frontend, &both(&ca), "c.example").await;
    assert!(Arc::ptr_eq(&server.facts.identity.pair, &slot.current()));
    assert_eq!(fresh.get_ref().1.peer_certificates().unwrap()[0], slot.current().certified.cert[0]);
    assert!(Arc::ptr_eq(&frontend.directory().identities()[1], &untouched));
    let serves = |name: &str| frontend.directory().by_name(name).is_some();
    assert!(serves("c.example") && !serves("d.example"));
}

#[tokio::test]
async fn a_client_hello_may_come_byte_by_byte() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("other", &["other.example"]), &ca.slot("main", &["example.com"])]);
    let mut hello = Vec::new();
    let name = rustls::pki_types::ServerName::try_from("example.com").unwrap();
    let mut session = rustls::ClientConnection::new(both(&ca), name).unwrap();
    session.write_tls(&mut hello).unwrap();
    let (server, ()) = raw(&frontend, async |mut stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        for byte in hello {
            stream.write_u8(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        // The server's flight, whole: it ends where the client has something to say.
        let (mut reader, mut writer) = stream.into_split();
        while !session.wants_write() {
            let mut bytes = vec![0; 16 << 10];
            let count = reader.read(&mut bytes).await.unwrap();
            session.read_tls(&mut &bytes[..count]).unwrap();
            session.process_new_packets().unwrap();
        }
        let mut finished = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut finished).unwrap();
        }
        writer.write_all(&finished).await.unwrap();
        let _until_the_server_is_done = reader.read(&mut [0; 1024]).await;
    })
    .await;
    assert_eq!(&*server.unwrap().facts.identity.name, "main");
}

#[tokio::test]
async fn what_is_no_tls_is_told_so() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    let (server, answer) = raw(&frontend, async |mut stream: TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
    .await;
    assert_eq!(cause(server), "not_tls");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains(&format!("Content-Length: {}\r\n", body.len())));
    for (bytes, expected) in [
        (&b"\0\x01\x02garbage"[..], "not_tls"),
        (b"\x16\x03\x01\xff\xffgarbage", "malformed"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "malformed"),
        (b"\x16\x03", "client_gone"),
        (b"", "client_gone"),
    ] {
        let (server, ()) = raw(&frontend, async |mut stream: TcpStream| {
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let _closed = stream.read(&mut [0; 64]).await;
        })
        .await;
        assert_eq!(cause(server), expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_client_that_speaks_only_acme_is_refused() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    let mut client = ca.client(&[&TLS13]);
    client.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let (server, client) = handshake(&frontend, &Arc::new(client), "example.com").await;
    assert_eq!((cause(server), alert(client)), ("no_shared_protocol", AlertDescription::NoApplicationProtocol));
}

#[tokio::test]
async fn a_client_that_trusts_another_issuer_says_so() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    let (server, client) = handshake(&frontend, &both(&Ca::new()), "example.com").await;
    assert!(client.is_err());
    assert_eq!(cause(server), "alert_received");
}

#[tokio::test]
async fn openssl_agrees() {
    let ca = Ca::new();
    let frontend = frontend(&[&ca.slot("main", &["example.com"])]);
    for (version, expected) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = tokio::task::spawn_blocking(move || {
            std::process::Command::new("openssl")
                .args([
                    "s_client",
                    "-connect",
                    &address.to_string(),
                    "-servername",
                    "example.com",
                    "-alpn",
                    "http/1.1",
                    version,
                ])
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap()
        });
        let server = accept(Socket::Tcp(listener.accept().await.unwrap().0), &frontend, address.ip()).await.unwrap();
        assert_eq!(server.facts.version, expected);
        drop(server);
        let said = String::from_utf8_lossy(&client.await.unwrap().stdout).into_owned();
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    }
}

#[test]
fn a_thousand_certificates_are_told_apart() {
    let ca = Ca::new();
    let slots: Vec<_> = (0..1000).map(|i| ca.slot(&format!("c{i}"), &[&format!("*.h{i}.example")])).collect();
    let frontend = frontend(&slots.iter().collect::<Vec<_>>());
    let directory = frontend.directory();
    for i in [0, 500, 999] {
        assert_eq!(*directory.by_name(&format!("x.H{i}.example")).unwrap().name, *format!("c{i}"));
    }
    assert!(directory.by_name("x.h1000.example").is_none());
}
