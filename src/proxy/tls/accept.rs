//! The handshake: from an accepted socket to a TLS stream and what is known of it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::HandshakeKind;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::directory::Identity;
use super::failure::HandshakeError;
use super::frontend::{Choice, Frontend, Hosts};
use super::names;
use super::policy;
use super::settings::MinVersion;
use crate::proxy::fault;
use crate::proxy::socket::Socket;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Accepted {
    /// Plain bytes in and out.
    pub stream: TlsStream<Socket>,
    /// What the handshake settled.
    pub facts: Facts,
}

/// What the handshake settled; it holds for as long as the connection does, whatever is reloaded meanwhile.
pub struct Facts {
    /// The name that the client asked for, lower case.
    pub server_name: Option<Box<str>>,
    /// The certificate it got.
    pub identity: Arc<Identity>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher: &'static str,
    /// The key exchange group: `X25519MLKEM768`, `X25519`, `secp256r1`, `secp384r1`, or `none` where a TLS 1.2 session was resumed.
    pub group: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether HTTP/2 was agreed on; HTTP/1.1 otherwise.
    pub alpn_h2: bool,
    negotiated: MinVersion,
    hosts: Arc<Hosts>,
}

impl Facts {
    /// Whether a request for `host` may travel on this connection; 421 where not. `host` is a name or an IP literal, any case, no
    /// port. The certificate has to cover it, and the version has to be what the host asks for: else a client could reach a
    /// strict host by the name of another. A client that sent no name may ask for an IP literal or `localhost` as well.
    pub fn covers(&self, host: &str) -> bool {
        let covered = match self.server_name.as_deref() {
            Some(name) if name.eq_ignore_ascii_case(host) => return true,
            Some(_) => false,
            None => names::address(host).is_some() || host.eq_ignore_ascii_case("localhost"),
        };
        (covered || self.identity.pair.names.covers(host))
            && self.hosts.find(host).is_none_or(|minimum| *minimum <= self.negotiated)
    }

    /// What a client of today would settle.
    pub(super) fn foreseen(server_name: Option<Box<str>>, identity: Arc<Identity>, hosts: Arc<Hosts>) -> Self {
        Self {
            server_name,
            identity,
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            group: "X25519MLKEM768",
            resumed: false,
            alpn_h2: true,
            negotiated: MinVersion::Tls13,
            hosts,
        }
    }

    fn new(stream: &TlsStream<Socket>, server_name: Option<Box<str>>, choice: (Arc<Identity>, Arc<Hosts>)) -> Self {
        let (_, session) = stream.get_ref();
        let negotiated = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => MinVersion::Tls13,
            _ => MinVersion::Tls12,
        };
        Self {
            server_name,
            identity: choice.0,
            version: match negotiated {
                MinVersion::Tls12 => "TLSv1.2",
                MinVersion::Tls13 => "TLSv1.3",
            },
            cipher: session.negotiated_cipher_suite().map_or("other", |suite| policy::suite_name(suite.suite())),
            group: session
                .negotiated_key_exchange_group()
                .map_or("none", |group| group.name().as_str().unwrap_or("other")),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            alpn_h2: session.alpn_protocol() == Some(b"h2"),
            negotiated,
            hosts: choice.1,
        }
    }
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("server_name", &self.server_name)
            .field("certificate", &self.identity.name)
            .field("version", &self.version)
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}

/// Does the whole handshake on a socket that was accepted on the address `local`.
///
/// It keeps no deadline: the caller puts ONE over all of it. Dropping the future closes the socket and leaves nothing behind.
/// A client that cannot be served gets the alert that says why; one that speaks plain HTTP gets a 400 in plain HTTP.
///
/// # Errors
/// Why there is no connection; the socket is closed.
pub async fn accept(stream: Socket, frontend: &Frontend, local: IpAddr) -> Result<Accepted, HandshakeError> {
    let hello = read_hello(stream).await?;
    let server_name: Option<Box<str>> = hello.client_hello().server_name().map(Box::from);
    let Some(choice) = frontend.choose(server_name.as_deref(), local) else {
        return Err(refuse(hello.io, server_name).await);
    };
    let Choice { identity, config, hosts } = choice;
    let stream = hello.into_stream_with(config, |session| session.set_buffer_limit(Some(SEND_BUFFER))).await?;
    let facts = Facts::new(&stream, server_name, (identity, hosts));
    Ok(Accepted { stream, facts })
}

/// Encrypted bytes that wait for the socket, per connection: one gather of bulk data.
pub(super) const SEND_BUFFER: usize = 256 << 10;

/// The content type of a handshake record (RFC 8446 §5.1): how every TLS connection begins.
const HANDSHAKE: u8 = 22;

/// Reads up to the end of the `ClientHello`, however it is split.
async fn read_hello(mut stream: Socket) -> Result<StartHandshake<Socket>, HandshakeError> {
    let mut acceptor = Acceptor::default();
    let mut first = None;
    loop {
        let count = std::future::poll_fn(|task| {
            let mut reader = Reader { stream: &mut stream, task, first: &mut first };
            match acceptor.read_tls(&mut reader) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                done => Poll::Ready(done),
            }
        })
        .await?;
        if count == 0 {
            return Err(HandshakeError::ClientGone);
        }
        if let Some(byte) = first.filter(|byte| *byte != HANDSHAKE) {
            let http = byte.is_ascii_uppercase();
            if http {
                answer_plain_http(stream).await;
            }
            return Err(HandshakeError::NotTls { http });
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(StartHandshake::from_parts(accepted, stream)),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                if alert.write_all(&mut bytes).is_ok() {
                    farewell(&mut stream, &bytes).await;
                }
                return Err(HandshakeError::from(&error));
            }
        }
    }
}

/// The socket as rustls reads it: without blocking, keeping the first byte there was.
struct Reader<'a, 'b> {
    stream: &'a mut Socket,
    task: &'a mut Context<'b>,
    first: &'a mut Option<u8>,
}

impl io::Read for Reader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(self.task, &mut filled) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(done) => {
                done?;
                *self.first = self.first.or(filled.filled().first().copied());
                Ok(filled.filled().len())
            }
        }
    }
}

/// Tells the client that there is nothing for its name.
async fn refuse(mut stream: Socket, name: Option<Box<str>>) -> HandshakeError {
    // RFC 6066 §3 and RFC 8446 §9.2.
    const UNRECOGNIZED_NAME: u8 = 112;
    const MISSING_EXTENSION: u8 = 109;
    let alert = if name.is_some() { UNRECOGNIZED_NAME } else { MISSING_EXTENSION };
    // A record of type alert, in the version that every client reads, two bytes long, fatal.
    farewell(&mut stream, &[21, 3, 3, 0, 2, 2, alert]).await;
    unserved(name)
}

/// Why there is nothing for a client that asks for `name`, or for none.
pub(super) fn unserved(name: Option<Box<str>>) -> HandshakeError {
    name.map_or(HandshakeError::NoName, |name| HandshakeError::UnknownName { name })
}

/// The last bytes of a connection. Whether they arrive changes nothing.
async fn farewell(stream: &mut Socket, bytes: &[u8]) {
    if stream.write_all(bytes).await.is_ok() {
        let _closed = stream.shutdown().await;
    }
}

/// Answers a request in plain HTTP, then waits, within bounds, until the client has read it: closing a socket with unread bytes
/// resets it, and the client would lose the answer.
async fn answer_plain_http(mut stream: Socket) {
    const TEXT: &str = "This port speaks HTTPS only; use an https:// URL.\n";
    const MOST_UNREAD: u64 = 64 << 10;
    // Less than a handshake may take by default, so that what is told of it is this and not that it was slow.
    const PATIENCE: Duration = Duration::from_secs(2);
    let fault::Facts { reason, proxy_status, .. } = fault::Fault::PlainHttp.facts();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Proxy-Status: portcullis; error={proxy_status}; details=\"{reason}\"\r\nConnection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    let leaving = async {
        farewell(&mut stream, answer.as_bytes()).await;
        tokio::io::copy(&mut stream.take(MOST_UNREAD), &mut tokio::io::sink()).await
    };
    let _over = tokio::time::timeout(PATIENCE, leaving).await;
}
