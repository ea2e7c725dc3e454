//! Connections for tests.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::UnixStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::channel::Channel;
use crate::base::buffers::Buffers;
use crate::proxy::io::Io;
use crate::proxy::socket::Socket;

/// What polls, and is not woken.
pub(crate) fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A channel over a plain connection, and its other end.
pub(crate) fn plain() -> (Channel, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Channel::new(Io::Plain(Socket::Unix(ours)), Rc::default()), theirs)
}

/// A channel inside TLS after the handshake, and its other end.
pub(crate) async fn secure() -> (Channel, TlsStream<UnixStream>) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(client.with_no_client_auth()));
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![pair.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));

    let (ours, theirs) = UnixStream::pair().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let (ours, theirs) = tokio::join!(connector.connect(name, Socket::Unix(ours)), acceptor.accept(theirs));
    let io = Io::Tls(Box::new(ours.unwrap().into()));
    (Channel::new(io, Rc::new(Buffers::default())), theirs.unwrap().into())
}
