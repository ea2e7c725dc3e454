//! Certificates made on the spot and a loopback handshake, for this folder's tests.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::*;
use crate::base::place::{At, Place};
use crate::proxy::socket::Socket;

/// Some day in 2027.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Issues certificates that its clients trust.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        Self::like(|_| {})
    }

    /// One whose own certificate ends with the year before.
    pub(crate) fn until(year: i32) -> Self {
        Self::like(|params| params.not_after = rcgen::date_time_ymd(year, 1, 1))
    }

    /// One with a name of its own.
    pub(crate) fn named(name: &str) -> Self {
        Self::like(|params| params.distinguished_name.push(rcgen::DnType::CommonName, name))
    }

    fn like(edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        edit(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// The PEM of a certificate for `names` after `edit`, and of its key.
    pub(crate) fn pem(&self, names: &[&str], edit: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn pair(&self, names: &[&str]) -> Arc<Pair> {
        let (cert, key) = self.pem(names, |_| {});
        Arc::new(
            Pair::parse((Path::new("a.crt"), cert.as_bytes()), (Path::new("a.key"), key.as_bytes()), now()).unwrap(),
        )
    }

    pub(crate) fn slot(&self, name: &str, names: &[&str]) -> Arc<CertSlot> {
        Arc::new(CertSlot::new(name, self.pair(names)))
    }

    /// A client of these versions that trusts this issuer and offers both protocols.
    pub(crate) fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

pub(crate) fn at<T>(value: T) -> At<T> {
    At::new(value, Place::default())
}

pub(crate) fn host(name: &str, min_version: MinVersion) -> HostSettings {
    HostSettings { name: at(name.to_owned()), min_version: Some(min_version), hsts: None }
}

/// A frontend with default settings over these slots, none of them marked as default.
pub(crate) fn frontend(slots: &[&Arc<CertSlot>]) -> Arc<Frontend> {
    Frontend::build(&Settings::default(), &[], allowed(slots), None).unwrap()
}

pub(crate) fn allowed(slots: &[&Arc<CertSlot>]) -> Vec<Allowed> {
    slots.iter().map(|slot| Allowed { slot: Arc::clone(slot), default: false }).collect()
}

/// Both ends of a handshake.
pub(crate) type Ends = (Result<Accepted, HandshakeError>, std::io::Result<TlsStream<TcpStream>>);

/// A handshake over loopback with a client that asks for `name`: a host name, or an address and so no SNI.
pub(crate) async fn handshake(frontend: &Frontend, client: &Arc<ClientConfig>, name: &str) -> Ends {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    raw(frontend, async |stream| connector.connect(name, stream).await).await
}

/// A connection over loopback on which the client does `what`; the server does its handshake.
pub(crate) async fn raw<T>(
    frontend: &Frontend,
    what: impl AsyncFnOnce(TcpStream) -> T,
) -> (Result<Accepted, HandshakeError>, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async { accept(Socket::Tcp(listener.accept().await.unwrap().0), frontend, address.ip()).await };
    let client = async { what(TcpStream::connect(address).await.unwrap()).await };
    let both = async { tokio::join!(server, client) };
    tokio::time::timeout(Duration::from_secs(10), both).await.unwrap()
}

/// Both ends of a handshake that has to succeed, after one byte from the server, with which a ticket arrives.
pub(crate) async fn connected(
    frontend: &Frontend,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (Accepted, TlsStream<TcpStream>) {
    let (server, client) = handshake(frontend, client, name).await;
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    exchange(&mut server, &mut client).await;
    (server, client)
}

pub(crate) async fn exchange(server: &mut Accepted, client: &mut TlsStream<TcpStream>) {
    server.stream.write_all(b"!").await.unwrap();
    server.stream.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'!');
    client.write_all(b"?").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.stream.read_u8().await.unwrap(), b'?');
}
