//! Opens a connection to an endpoint: the socket, then TLS where its URL says so, under one deadline. The log says it when an
//! endpoint begins to fail, and when it is good again.

use std::cell::Cell;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use super::connection::dial;
use crate::base::alarm::{Alarm, Moment};
use crate::proxy::balance::Endpoint;
use crate::proxy::fault::Fault;
use crate::proxy::io::Io;
use crate::proxy::tls::{self, Agreed, HandshakeFailure, Offer};

/// Why there is no connection: for the client, and for the log.
struct Failure {
    fault: Fault,
    detail: String,
}

/// Opens a connection before `due`. `offer` says which protocols a backend inside TLS may choose from.
pub(super) async fn open(endpoint: &Endpoint, offer: Offer, alarm: &Alarm, due: Moment) -> Result<(Io, Agreed), Fault> {
    let stage = Cell::new("no connection in time");
    let mut connecting = pin!(connect(endpoint, offer, &stage));
    let opened = std::future::poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => {
            alarm.poll(cx, due).map(|()| Err(Failure { fault: Fault::ConnectTimeout, detail: stage.get().to_owned() }))
        }
    });
    let backend = endpoint.url.text.as_str();
    match opened.await {
        Ok(opened) => {
            if endpoint.reach.opened() {
                tracing::info!(backend, "connections to a backend can be opened again");
            }
            Ok(opened)
        }
        Err(Failure { fault, detail }) => {
            if endpoint.reach.failed(fault.reason(), Instant::now()) {
                tracing::warn!(backend, reason = fault.reason(), detail, "no connection to a backend can be opened");
            }
            Err(fault)
        }
    }
}

async fn connect(endpoint: &Endpoint, offer: Offer, stage: &Cell<&'static str>) -> Result<(Io, Agreed), Failure> {
    let socket = dial(&endpoint.url.target)
        .await
        .map_err(|error| Failure { fault: Fault::ConnectFailed, detail: error.to_string() })?;
    let Some(peer) = &endpoint.peer else {
        if endpoint.url.secure {
            return Err(Failure { fault: Fault::Internal, detail: "nothing is known to verify it by".to_owned() });
        }
        return Ok((Io::Plain(socket), Agreed::Http1));
    };
    stage.set("no end of the TLS handshake in time");
    let (stream, agreed) = tls::connect(socket, peer, offer).await?;
    Ok((Io::Tls(Box::new(stream.into())), agreed))
}

impl From<HandshakeFailure> for Failure {
    fn from(failure: HandshakeFailure) -> Self {
        Self { fault: Fault::BackendTls(failure.fault), detail: failure.detail }
    }
}
