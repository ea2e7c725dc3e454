//! THE SPINE, first half: from an accepted socket to requests. The folder `exchange` is the second.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use crate::base::alarm::{Alarm, Moment};
use crate::base::cidr::any_contains;
use crate::base::metrics::{Handshake, Label};
use crate::base::task::Share;
use crate::proxy::connection::{Connection, KEPT_HEAD};
use crate::proxy::exchange::{self, Caller};
use crate::proxy::fault::Fault;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h1::server::{Next, Rules, Server};
use crate::proxy::io::Io;
use crate::proxy::listen::Ends;
use crate::proxy::listen::limit::Permit;
use crate::proxy::listen::proxy_protocol::{self, HeaderError};
use crate::proxy::message::{Request, Response};
use crate::proxy::serve_h2;
use crate::proxy::snapshot::Listener;
use crate::proxy::socket::Socket;
use crate::proxy::tls::{self, HandshakeError};
use crate::proxy::worker::{Port, Worker};

/// Why a connection ended before there was HTTP on it.
#[derive(Debug, thiserror::Error)]
enum Hangup {
    #[error("the listener has as many connections as max_connections allows")]
    TooMany,
    #[error("the client has as many connections as max_connections_per_ip allows")]
    TooManyOfPeer,
    #[error("the listener is gone")]
    NoListener,
    #[error("the listener takes PROXY headers, and the peer is not in trusted_proxies")]
    Stranger,
    #[error(transparent)]
    NoHeader(#[from] HeaderError),
    #[error("the PROXY header took too long")]
    SlowHeader,
    #[error("the ACL denies the client everything")]
    Denied,
    #[error("the handshake took too long")]
    Slow,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Hangup {
    /// The label of `tls_handshake_failures_total`, where it was one.
    fn handshake_cause(&self) -> Option<&'static str> {
        match self {
            Self::Slow => Some("timeout"),
            Self::Handshake(error) => Some(error.cause()),
            _ => None,
        }
    }

    /// Why it was refused, where it was. A handshake that failed is counted as that.
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::TooMany => Some(Fault::TooManyConnections),
            Self::TooManyOfPeer => Some(Fault::TooManyOfPeer),
            Self::Handshake(HandshakeError::NotTls { http: true }) => Some(Fault::PlainHttp),
            Self::Stranger => Some(Fault::ProxyHeaderUntrusted),
            Self::NoHeader(HeaderError::Malformed(_) | HeaderError::Cut) => Some(Fault::ProxyHeaderMalformed),
            Self::SlowHeader => Some(Fault::ProxyHeaderTimeout),
            Self::Denied => Some(Fault::AclDenied),
            Self::NoHeader(HeaderError::Silent | HeaderError::Io(_))
            | Self::NoListener
            | Self::Slow
            | Self::Handshake(_)
            | Self::Io(_) => None,
        }
    }
}

/// Serves one accepted connection to its end.
pub async fn connection(worker: &Rc<Worker>, port: &Rc<Port>, socket: Socket, peer: SocketAddr) {
    let mut ends = Ends::new(peer);
    if let Err(hangup) = serve(worker, port, socket, &mut ends).await {
        let client = ends.peer.ip();
        if let Some(cause) = hangup.handshake_cause() {
            worker.metrics.handshake_failed(cause);
        }
        if let Some(fault) = hangup.fault() {
            let caller = Caller { client, listener: &port.listener, protocol: "-", tls: None };
            exchange::refused(worker, &caller, fault);
        }
        tracing::debug!(listener = %port.listener, %client, reason = %hangup, "hung up");
    }
}

async fn serve(worker: &Rc<Worker>, port: &Rc<Port>, socket: Socket, ends: &mut Ends) -> Result<(), Hangup> {
    let snapshot = worker.current();
    let listener = port.current(&snapshot).ok_or(Hangup::NoListener)?;
    let mut permit = listener.gauge.admit(listener.max_connections).ok_or(Hangup::TooMany)?;
    let _open = Open::begin(worker, &listener);
    ends.local = socket.local_address()?;
    if listener.proxy_protocol && !any_contains(&snapshot.trusted_proxies, ends.peer.ip()) {
        return Err(Hangup::Stranger);
    }
    drop(snapshot);
    let alarm = worker.alarms.alarm();
    // What a handshake takes is freed once it is over, and HTTP/2 takes more than HTTP/1.1: boxed, neither is part of what
    // every open connection costs.
    let (io, tls) = Box::pin(identify(worker, &listener, (socket, ends), &mut permit, &alarm)).await?;
    let h2 = tls.as_ref().is_some_and(|facts| facts.alpn_h2);
    let connection = Connection::new(worker, port, (*ends, tls), listener);
    if h2 {
        Box::pin(serve_h2::http2(&connection, io, &alarm)).await;
    } else {
        http1(&connection, io, &alarm).await;
    }
    Ok(())
}

/// Learns who the client is, and who the server is to be: the PROXY header and the handshake, where there are such, under one
/// deadline from accept.
async fn identify(
    worker: &Worker,
    listener: &Listener,
    (mut socket, ends): (Socket, &mut Ends),
    permit: &mut Permit,
    alarm: &Alarm,
) -> Result<(Io, Option<tls::Facts>), Hangup> {
    socket.set_nodelay()?;
    let due = worker.alarms.after(Some(listener.timeouts.handshake.0));
    if listener.proxy_protocol {
        let header = before(due, alarm, proxy_protocol::read(&mut socket)).await.ok_or(Hangup::SlowHeader)??;
        ends.learn(header);
    }
    // Where there is no handshake to save, it gets an answer that says so.
    if listener.tls.is_some() && worker.current().turns_away(ends.peer.ip()) {
        return Err(Hangup::Denied);
    }
    if ends.counted().is_some_and(|client| !permit.count(client, listener.max_connections_per_ip)) {
        return Err(Hangup::TooManyOfPeer);
    }
    let Some(frontend) = &listener.tls else { return Ok((Io::Plain(socket), None)) };
    let accepting = tls::accept(socket, frontend, ends.local_ip());
    let tls::Accepted { stream, facts } = before(due, alarm, accepting).await.ok_or(Hangup::Slow)??;
    worker.metrics.handshake(Handshake {
        version: facts.version,
        cipher: facts.cipher,
        group: facts.group,
        resumed: facts.resumed,
    });
    Ok((Io::Tls(Box::new(stream.into())), Some(facts)))
}

/// What becomes of `doing` before `due`; nothing where it takes longer.
async fn before<T>(due: Moment, alarm: &Alarm, doing: impl Future<Output = T>) -> Option<T> {
    let mut doing = std::pin::pin!(doing);
    std::future::poll_fn(|cx| match doing.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => alarm.poll(cx, due).map(|()| None),
    })
    .await
}

/// Serves HTTP/1.1 requests one after the other.
async fn http1(connection: &Connection, io: Io, alarm: &Alarm) {
    let worker = &connection.worker;
    let mut server = Server::new(Channel::new(io, Rc::clone(&worker.buffers)));
    let (mut request, mut response) = (Request::default(), Response::default());
    let mut share = Share::default();
    loop {
        let listener = connection.listener();
        let rules = Rules {
            limits: listener.limits,
            headers: listener.timeouts.headers.0,
            keep_alive: listener.timeouts.keep_alive.0,
            alarm,
            draining: &connection.port.draining,
        };
        request.clear();
        response.clear();
        let arrived = match server.next_request(&mut request, &rules).await {
            Next::Request => Ok(()),
            Next::Refused(fault) => Err(fault),
            Next::Closed => return server.leave().await,
        };
        // A reload may have changed it while the client was silent.
        let listener = connection.listener();
        let messages = exchange::Messages { request: &mut request, response: &mut response };
        exchange::exchange(connection, &listener, &mut server, messages, (alarm, arrived)).await;
        if arrived.is_err() || !server.settle(alarm).await {
            return server.close(alarm).await;
        }
        request.fields.shrink(KEPT_HEAD.0, KEPT_HEAD.1);
        response.fields.shrink(KEPT_HEAD.0, KEPT_HEAD.1);
        // Requests that were sent ahead are answered without a wait, as many as there are.
        share.taken().await;
    }
}

/// An open connection in the counters.
struct Open<'a> {
    worker: &'a Worker,
    listener: Label,
}

impl<'a> Open<'a> {
    fn begin(worker: &'a Worker, listener: &Listener) -> Self {
        worker.metrics.connection_opened(listener.label);
        Self { worker, listener: listener.label }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.worker.metrics.connection_closed(self.listener);
    }
}
