//! The listener itself: accepts, bounds, asks the gate, finds the page.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::answer::Answer;
use super::gate::Names;
use super::stall::Stall;
use super::{Sources, Token, pages};
use crate::base::task::Tasks;

/// Connections open at once; the next ones wait in the kernel.
const MOST_CONNECTIONS: usize = 64;
/// For the head of a request, and between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// While the client takes nothing of an answer.
const WRITE_IDLE: Duration = Duration::from_secs(10);
/// After a failed accept, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The admin listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin API: {error}; set admin.listen to a free address, or to false")]
pub struct BindError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// The admin listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    room: Rc<Room>,
}

/// What every connection needs.
struct Room {
    names: Names,
    token: Token,
    sources: Sources,
}

impl Server {
    /// Listens on `address`; port 0 takes any. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where the address is taken, not ours, or not allowed.
    pub async fn bind(address: SocketAddr, token: Token, sources: Sources) -> Result<Self, BindError> {
        let failed = |error| BindError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, room: Rc::new(Room { names: Names::of(address), token, sources }) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `until` is over, then closes the listener. Needs a `LocalSet`; open connections end with it.
    pub async fn serve(self, until: impl Future<Output = ()>) {
        tracing::info!(address = %self.address, "admin listening");
        tokio::select! {
            () = until => {}
            () = self.accept() => {}
        }
    }

    async fn accept(&self) {
        let (places, tasks) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), Tasks::default());
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let room = Rc::clone(&self.room);
            let serving = async move {
                let _place = place;
                connection(room, stream).await;
            };
            tasks.start(serving, |panic| tracing::error!(panic, "a request to the admin API panicked"));
        }
    }
}

async fn connection(room: Rc<Room>, stream: TcpStream) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = room.answer(&request, local.ip());
        async move { Ok::<Answer, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(64).max_buf_size(32 << 10);
    let stream = TokioIo::new(Stall::new(stream, WRITE_IDLE));
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!(%error, "a connection to the admin API ended early");
    }
}

impl Room {
    fn answer(&self, request: &Request<Incoming>, local: IpAddr) -> Answer {
        match self.names.check(request.uri(), request.headers(), local) {
            Ok(()) => {
                let path = request.uri().path();
                let asked = (path, request.uri().query().unwrap_or_default());
                pages::answer(request.method(), asked, request.headers(), &self.token, &self.sources)
            }
            Err(refused) => *refused,
        }
    }
}

#[cfg(test)]
mod tests;
