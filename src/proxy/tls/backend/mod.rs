//! TLS to backends: whom a pool trusts, what it shows of itself, and the handshake as a client.
//!
//! A backend is verified or not spoken to: no setting turns the check off.

mod failure;
mod files;
mod settings;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::SingleCertAndKey;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::accept::SEND_BUFFER;
use super::policy::{self, PolicyError};
use super::settings::{MinVersion, Settings};
use crate::proxy::fault::TlsFault;
use crate::proxy::socket::Socket;

pub use failure::HandshakeFailure;
pub use files::BackendFiles;
pub use settings::{BackendTlsSettings, ClientPair, PeerName};
pub use trust::{Roots, RootsError, Source};

/// How one pool speaks TLS to its backends: TLS 1.2 and 1.3, the suites and groups of a listener's defaults, whom it trusts and the
/// certificate it shows. Shared by all workers and never changed: other files are another one.
pub struct BackendTls {
    template: ClientConfig,
    digest: [u8; 32],
}

/// How one endpoint is spoken to over TLS. Its sessions are its own, because another endpoint could make nothing of them.
pub struct Peer {
    tls: Arc<BackendTls>,
    name: PeerName,
    /// One for each [`Offer`].
    configs: [Arc<ClientConfig>; 3],
}

/// Which protocols are offered by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone: a backend without it is refused.
    Http2,
    /// HTTP/2, else HTTP/1.1.
    Either,
}

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// HTTP/1.1; also where the backend knows no ALPN.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Sessions kept for one endpoint: about one for each worker. A ticket of TLS 1.3 is used once.
const SESSIONS: usize = 8;

impl BackendTls {
    /// Trusts what `files` name as CA, and `system` where they name none.
    ///
    /// # Errors
    /// Where the cryptography cannot be set up.
    pub fn new(files: &BackendFiles, system: &Roots) -> Result<Self, PolicyError> {
        let setup = |error: &dyn fmt::Display| PolicyError::Setup { reason: error.to_string() };
        let provider = policy::provider(&Settings::default())?;
        let roots = files.roots.as_ref().unwrap_or(system);
        let verifier = roots.verifier(&provider).map_err(|error| setup(&error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(MinVersion::Tls12.and_above())
            .map_err(|error| setup(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let template = match &files.pair {
            Some(pair) => {
                let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(Arc::clone(&pair.certified)));
                builder.with_client_cert_resolver(shown)
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { template, digest: files.digest })
    }

    /// Tells files apart: the same digest is the same files.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Without the key.
impl fmt::Debug for BackendTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendTls").finish_non_exhaustive()
    }
}

impl Peer {
    /// An endpoint whose certificate has to be good for `name`.
    pub fn new(tls: &Arc<BackendTls>, name: PeerName) -> Self {
        let mut template = tls.template.clone();
        template.resumption = Resumption::in_memory_sessions(SESSIONS);
        let with = |protocols: &[&[u8]]| {
            let mut config = template.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        // In the order of `Offer`.
        let configs = [with(&[b"http/1.1"]), with(&[b"h2"]), with(&[b"h2", b"http/1.1"])];
        Self { tls: Arc::clone(tls), name, configs }
    }

    /// The same for one who resumes no session and leaves none: its handshakes are whole ones, which see the certificate as it is.
    pub fn without_sessions(&self) -> Self {
        let whole = |config: &Arc<ClientConfig>| {
            let mut config = ClientConfig::clone(config);
            config.resumption = Resumption::disabled();
            Arc::new(config)
        };
        Self { tls: Arc::clone(&self.tls), name: self.name.clone(), configs: self.configs.each_ref().map(whole) }
    }

    /// Whether a connection made for this one would have been made for that one as well.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tls, &other.tls) && self.name == other.name
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Does the whole handshake on a connected socket and verifies the backend.
///
/// It keeps no deadline: the caller puts ONE over the connection and this. Dropping the future closes the socket. Nothing but the
/// handshake has been written when it fails.
///
/// # Errors
/// Why there is no connection; the socket is closed.
pub async fn connect(
    socket: Socket,
    peer: &Peer,
    offer: Offer,
) -> Result<(TlsStream<Socket>, Agreed), HandshakeFailure> {
    let connector = TlsConnector::from(Arc::clone(&peer.configs[offer as usize]));
    let name = peer.name.server_name().clone();
    let stream = connector.connect_with(name, socket, |session| session.set_buffer_limit(Some(SEND_BUFFER))).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok((stream, Agreed::Http2)),
        _ if offer == Offer::Http2 => {
            Err(HandshakeFailure::new(TlsFault::NoSharedProtocol, "the backend did not take HTTP/2"))
        }
        _ => Ok((stream, Agreed::Http1)),
    }
}
