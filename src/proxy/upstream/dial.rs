//! Opens a connection to an endpoint: the socket, the PROXY header where its pool sends one, then TLS where its URL says so, under
//! one deadline. The log says it when an endpoint begins to fail, and when it is good again.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::base::alarm::{Alarm, Moment};
use crate::proxy::balance::{Address, Endpoint, Protocol};
use crate::proxy::fault::Fault;
use crate::proxy::io::Io;
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::socket::Socket;
use crate::proxy::tls::{self, Agreed, HandshakeFailure, Offer, Peer};

/// Why there is no connection.
#[derive(Debug)]
pub struct Failure {
    /// For the client.
    pub fault: Fault,
    /// For the log.
    pub detail: String,
}

/// Opens a connection before `due`, and says what is spoken on it: inside TLS what was agreed on, else what `protocol` says.
pub(super) async fn dial(
    endpoint: &Endpoint,
    (protocol, header): (Protocol, Option<Header>),
    alarm: &Alarm,
    due: Moment,
) -> Result<(Io, Agreed), Fault> {
    let stage = Cell::new("no connection");
    let mut connecting =
        pin!(connect(endpoint, (&endpoint.address, endpoint.peer.as_ref()), (protocol, header), &stage));
    let opened = std::future::poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => alarm
            .poll(cx, due)
            .map(|()| Err(Failure { fault: Fault::ConnectTimeout, detail: format!("{} in time", stage.get()) })),
    });
    let (backend, address) = (endpoint.url.text.as_str(), &endpoint.address);
    match opened.await {
        Ok(opened) => {
            if endpoint.reach.opened() {
                tracing::info!(backend, %address, "connections to a backend can be opened again");
            }
            Ok(opened)
        }
        Err(Failure { fault, detail }) => {
            if endpoint.reach.failed(fault.reason(), Instant::now()) {
                tracing::warn!(backend, %address, reason = fault.reason(), detail, "no connection to a backend can be opened");
            }
            Err(fault)
        }
    }
}

/// Opens a connection to `address`, which is the endpoint's or one beside it, and verifies it as `peer`. `stage` says what is not
/// done yet.
pub(super) async fn connect(
    endpoint: &Endpoint,
    (address, peer): (&Address, Option<&Peer>),
    (protocol, header): (Protocol, Option<Header>),
    stage: &Cell<&'static str>,
) -> Result<(Io, Agreed), Failure> {
    let mut socket = reach(address).await?;
    if let Some(header) = header {
        // Not with the first bytes of the request: before the handshake, where there is one.
        socket.write_all(&header.to_v2()).await?;
    }
    let Some(peer) = peer else {
        if endpoint.url.secure {
            return Err(Failure { fault: Fault::Internal, detail: "nothing is known to verify it by".to_owned() });
        }
        let agreed = if protocol == Protocol::Http2 { Agreed::Http2 } else { Agreed::Http1 };
        return Ok((Io::Plain(socket), agreed));
    };
    let offer = match protocol {
        Protocol::Auto => Offer::Either,
        Protocol::Http1 => Offer::Http1,
        Protocol::Http2 => Offer::Http2,
    };
    stage.set("no end of the TLS handshake");
    let (stream, agreed) = tls::connect(socket, peer, offer).await?;
    Ok((Io::Tls(Box::new(stream.into())), agreed))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { fault: Fault::ConnectFailed, detail: error.to_string() }
    }
}

impl From<HandshakeFailure> for Failure {
    fn from(failure: HandshakeFailure) -> Self {
        Self { fault: Fault::BackendTls(failure.fault), detail: failure.detail }
    }
}

/// Connects a socket.
async fn reach(address: &Address) -> io::Result<Socket> {
    let stream = match address {
        Address::Tcp(address) => TcpStream::connect(*address).await?,
        Address::Unix(path) => return UnixStream::connect(path).await.map(Socket::Unix),
    };
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}
