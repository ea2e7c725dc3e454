//! Handshakes with backends over loopback: who is accepted, who is not and why.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::proxy::tls::pair_error::PairError;
use crate::proxy::tls::tests::support::{Ca, at, now};
use crate::proxy::tls::{Pair, Part};

/// Files in a directory of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

fn trusting(ca: &Ca) -> Arc<BackendTls> {
    let files = Files::new();
    let settings = BackendTlsSettings { ca: Some(at(files.write("ca.pem", ca.certificate()))), ..Default::default() };
    Arc::new(BackendTls::new(&BackendFiles::read(&settings, now()).unwrap(), &Roots::none()).unwrap())
}

fn peer(ca: &Ca, name: &str) -> Peer {
    Peer::new(&trusting(ca), name.parse().unwrap())
}

/// A server with a certificate for `names` that ends in `until`, and what it speaks.
fn server(ca: &Ca, names: &[&str], until: i32, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let (cert, key) = ca.pem(names, |params| params.not_after = rcgen::date_time_ymd(until, 1, 1));
    let long_ago: SystemTime = UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    let pair = Pair::parse((Path::new("a.crt"), cert.as_bytes()), (Path::new("a.key"), key.as_bytes()), long_ago);
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&pair.unwrap().certified)));
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A connection to a server that answers one byte, to whoever finishes the handshake. Which protocol, and whether it was resumed.
async fn meet(server: &Arc<ServerConfig>, peer: &Peer, offer: Offer) -> Result<(Agreed, bool), HandshakeFailure> {
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    against(peer, offer, async |stream| {
        if let Ok(mut stream) = acceptor.accept(stream).await {
            // The client may have refused in the meantime.
            let _written = stream.write_all(b"!").await;
            let _flushed = stream.flush().await;
            let _end = stream.read(&mut [0]).await;
        }
    })
    .await
}

async fn against(
    peer: &Peer,
    offer: Offer,
    serve: impl AsyncFnOnce(TcpStream),
) -> Result<(Agreed, bool), HandshakeFailure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let socket = Socket::Tcp(TcpStream::connect(address).await.unwrap());
        let (mut stream, agreed) = connect(socket, peer, offer).await?;
        assert_eq!(stream.read_u8().await.unwrap(), b'!');
        let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Ok((agreed, resumed))
    };
    let both = async { tokio::join!(async { serve(listener.accept().await.unwrap().0).await }, client) };
    tokio::time::timeout(Duration::from_secs(10), both).await.unwrap().1
}

#[tokio::test]
async fn a_backend_is_verified_by_ca_name_and_time() {
    let (ca, stranger, namesake) = (Ca::new(), Ca::named("Stranger"), Ca::new());
    let good = server(&ca, &["api.internal", "10.0.0.1", "2001:db8::1"], 2096, &[b"http/1.1"]);
    for name in ["api.internal", "10.0.0.1", "[2001:db8::1]"] {
        assert_eq!(meet(&good, &peer(&ca, name), Offer::Either).await, Ok((Agreed::Http1, false)), "{name}");
    }
    let expired = server(&ca, &["api.internal"], 2020, &[]);
    for (server, peer, fault, detail) in [
        (&good, peer(&ca, "other.internal"), TlsFault::WrongName, "other.internal"),
        (&good, peer(&ca, "10.0.0.2"), TlsFault::WrongName, "10.0.0.2"),
        (&good, peer(&stranger, "api.internal"), TlsFault::UnknownIssuer, "issued by `CN=rcgen self signed cert`"),
        (&good, peer(&namesake, "api.internal"), TlsFault::UnknownIssuer, "the key is another"),
        (&expired, peer(&ca, "api.internal"), TlsFault::CertificateExpired, "expired on 2020-01-01 00:00 UTC"),
    ] {
        let failure = meet(server, &peer, Offer::Http1).await.unwrap_err();
        assert!(failure.fault == fault && failure.detail.contains(detail), "{failure:?}");
    }
}

#[tokio::test]
async fn the_protocol_is_what_both_speak() {
    let ca = Ca::new();
    let peer = peer(&ca, "a.example");
    let speaks = |protocols: &[&[u8]]| server(&ca, &["a.example"], 2096, protocols);
    let (both, old, new, silent) =
        (speaks(&[b"h2", b"http/1.1"]), speaks(&[b"http/1.1"]), speaks(&[b"h2"]), speaks(&[]));
    for (server, offer, agreed) in [
        (&both, Offer::Either, Some(Agreed::Http2)),
        (&both, Offer::Http1, Some(Agreed::Http1)),
        (&both, Offer::Http2, Some(Agreed::Http2)),
        (&old, Offer::Either, Some(Agreed::Http1)),
        (&old, Offer::Http2, None),
        (&new, Offer::Http1, None),
        (&silent, Offer::Either, Some(Agreed::Http1)),
        (&silent, Offer::Http2, None),
    ] {
        let got = meet(server, &peer, offer).await;
        match agreed {
            Some(agreed) => assert_eq!(got.unwrap().0, agreed, "{offer:?}"),
            None => assert_eq!(got.unwrap_err().fault, TlsFault::NoSharedProtocol, "{offer:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_its_own_endpoint_only() {
    let ca = Ca::new();
    let server = server(&ca, &["a.example"], 2096, &[b"http/1.1"]);
    let tls = trusting(&ca);
    let peer = || Peer::new(&tls, "a.example".parse().unwrap());
    let (one, other) = (peer(), peer());
    assert!(one.is_same(&other));
    assert!(!meet(&server, &one, Offer::Http1).await.unwrap().1);
    assert!(meet(&server, &one, Offer::Either).await.unwrap().1);
    assert!(!meet(&server, &other, Offer::Http1).await.unwrap().1);
    assert!(!one.is_same(&Peer::new(&tls, "b.example".parse().unwrap())));
    assert!(!one.is_same(&Peer::new(&trusting(&ca), "a.example".parse().unwrap())));
}

#[tokio::test]
async fn what_is_no_tls_is_told_apart() {
    let peer = peer(&Ca::new(), "a.example");
    let answers = |bytes: &'static [u8]| {
        against(&peer, Offer::Http1, async move |mut stream: TcpStream| {
            stream.read_u8().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap_or_default();
        })
    };
    let plain = answers(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap_err();
    assert!(plain.fault == TlsFault::Protocol && plain.detail.contains("plain HTTP"), "{plain:?}");
    // Fatal alerts: a version that is too old, and a certificate that is wanted.
    let refused = answers(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap_err();
    assert!(refused.fault == TlsFault::AlertReceived && refused.detail.contains("ProtocolVersion"), "{refused:?}");
    assert_eq!(answers(b"").await.unwrap_err().fault, TlsFault::Closed);
}

#[test]
fn files_are_read_as_a_whole_and_told_apart() {
    let (ca, files) = (Ca::new(), Files::new());
    // A client's certificate needs no name.
    let (cert, key) = ca.pem(&[], |_| {});
    let pem = files.write("ca.pem", ca.certificate() + &Ca::new().certificate());
    let pair = ClientPair { cert: at(files.write("me.crt", cert)), key: at(files.write("me.key", key)) };
    let settings = BackendTlsSettings { ca: Some(at(pem)), pair: Some(pair), ..Default::default() };
    let read = || BackendFiles::read(&settings, now());
    let first = read().unwrap();
    assert!(!first.trusts_system() && first.pair.is_some());
    assert_eq!(settings.files().count(), 3);
    assert_eq!(first.digest, read().unwrap().digest);
    files.write("ca.pem", ca.certificate());
    assert_ne!(first.digest, read().unwrap().digest);
    let none = BackendFiles::read(&BackendTlsSettings::default(), now()).unwrap();
    assert!(none.trusts_system() && none.pair.is_none());

    files.write("ca.pem", "nothing");
    assert!(matches!(read(), Err(PairError::Nothing { part: Part::Certificate, .. })));
    files.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(matches!(read(), Err(PairError::Broken { .. })));
    fs::remove_file(files.path("ca.pem")).unwrap();
    assert!(matches!(read(), Err(PairError::Missing { .. })));
}

#[test]
fn a_ca_that_has_expired_is_not_trusted() {
    let (expired, files) = (Ca::until(2020), Files::new());
    let settings = BackendTlsSettings { ca: Some(at(files.path("ca.pem"))), ..Default::default() };
    files.write("ca.pem", expired.certificate());
    let error = BackendFiles::read(&settings, now()).err().unwrap();
    assert!(error.to_string().contains("expired since 2020-01-01"), "{error}");
    files.write("ca.pem", expired.certificate() + &Ca::new().certificate());
    let mixed = BackendFiles::read(&settings, now()).unwrap();
    assert!(
        mixed.warnings.len() == 1 && mixed.warnings[0].contains("is not trusted; remove it"),
        "{:?}",
        mixed.warnings
    );
}

#[test]
fn the_system_has_roots_or_the_built_in_ones_stand_in() {
    let (roots, source) = Roots::system().unwrap();
    let count = format!("{roots:?}");
    assert!(count != format!("{:?}", Roots::none()), "{source:?}");
    let files = BackendFiles::read(&BackendTlsSettings::default(), now()).unwrap();
    assert!(BackendTls::new(&files, &roots).is_ok());
    assert!(BackendTls::new(&files, &Roots::none()).is_err(), "nobody to trust");
}
