//! A connection that is opened for a probe, and one exchange on it. It is none of the workers': it meets what a new one of theirs
//! would meet, and nothing of it is kept.
//!
//! Here is no clock: whoever asks says how long it may take, and drops what takes longer.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::backend::Backend;
use super::client::Key;
use super::connection::Connection;
use super::dial::{Failure, connect};
use crate::base::alarm::{Alarms, Moment};
use crate::base::buffers::Buffers;
use crate::proxy::balance::{Address, Endpoint, Protocol, SendProxy};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Length, Progress};
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h1::stream;
use crate::proxy::http::h2::client::{self, Asking, Stream};
use crate::proxy::io::Io;
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::message::{Fields, Request, Response};
use crate::proxy::tls::{Agreed, Peer};

/// How many interim answers (1xx) are passed over.
const MOST_INTERIM: usize = 16;

/// How much of an answer that nobody wants is read, so that the backend does not see it cut.
const MOST_UNWANTED: usize = 64 << 10;

/// Where a probe goes and how.
pub struct Way<'a> {
    /// Whose health is asked for.
    pub endpoint: &'a Arc<Endpoint>,
    /// Another port of its address, where it is not the endpoint's own.
    pub port: Option<u16>,
    /// What is spoken.
    pub protocol: Protocol,
    /// What the connection begins with: here in nobody's name.
    pub send_proxy: SendProxy,
}

/// An open connection on which nothing was said yet.
pub struct Opened {
    io: Io,
    agreed: Agreed,
    endpoint: Arc<Endpoint>,
}

/// A request that was begun, and its answer.
pub struct Exchange {
    backend: Backend,
    /// The task of a connection of HTTP/2, while it runs.
    driving: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Way<'_> {
    /// Opens a connection. `stage` says what is not done yet.
    ///
    /// # Errors
    /// Whatever keeps requests from getting one.
    pub async fn open(&self, stage: &Cell<&'static str>) -> Result<Opened, Failure> {
        let mut address = self.endpoint.address.clone();
        if let (Address::Tcp(address), Some(port)) = (&mut address, self.port) {
            address.set_port(port);
        }
        // A worker's sessions are not taken from it, and a certificate that is no longer good is noticed.
        let peer = self.endpoint.peer.as_ref().map(Peer::without_sessions);
        let header = (self.send_proxy == SendProxy::V2).then_some(Header::Local);
        let (io, agreed) = connect(self.endpoint, (&address, peer.as_ref()), (self.protocol, header), stage).await?;
        Ok(Opened { io, agreed, endpoint: Arc::clone(self.endpoint) })
    }
}

impl Opened {
    /// Whether HTTP/2 is spoken on it.
    pub fn is_h2(&self) -> bool {
        self.agreed == Agreed::Http2
    }

    /// Closes it in good order, as far as that is done at once.
    pub async fn close(mut self) {
        std::future::poll_fn(|cx| {
            let _ = self.io.poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Begins a request with this body.
    ///
    /// # Errors
    /// A backend that speaks something else, or nothing.
    pub async fn begin(self, request: &Request, body: &[u8], buffers: &Rc<Buffers>) -> Result<Exchange, Fault> {
        let length = if body.is_empty() { Length::Empty } else { Length::Known(body.len() as u64) };
        let (alarms, channel) = (Alarms::start(), Channel::new(self.io, Rc::clone(buffers)));
        let (mut backend, driving) = match self.agreed {
            Agreed::Http1 => {
                let key = Key { endpoint: self.endpoint.id, header: None };
                let stream = stream::Stream::new(channel);
                let mut connection = Box::new(Connection::new(stream, key, &self.endpoint, (0, alarms.now())));
                connection.begin(request, length);
                (Backend::H1(connection), None)
            }
            Agreed::Http2 => {
                let (handle, connection) = client::open(channel, (&alarms, buffers), Moment::NEVER).await?;
                let asking = Asking { request, length, secure: self.endpoint.url.secure };
                let stream = Stream::open(&handle, asking).map_err(|broken| broken.fault)?;
                let driving: Pin<Box<dyn Future<Output = ()>>> = Box::pin(connection.drive());
                (Backend::H2(Box::new(stream)), Some(driving))
            }
        };
        if !body.is_empty() {
            backend.room().extend_from_slice(body);
            if !(backend.appended(body.len()) && backend.finish(None)) {
                return Err(Fault::Internal);
            }
        }
        Ok(Exchange { backend, driving })
    }
}

impl Exchange {
    /// The head that begins the answer.
    ///
    /// # Errors
    /// What breaks the connection, or is no answer.
    pub async fn head(&mut self) -> Result<Response, Fault> {
        let mut response = Response::default();
        for _ in 0..=MOST_INTERIM {
            let head = |backend: &mut Backend, cx: &mut Context<'_>| {
                // What a backend does not take may not keep it from answering.
                let _ = backend.poll_flush(cx);
                backend.poll_head(cx, &mut response)
            };
            self.step(head).await.map_err(|broken| broken.fault)?;
            if !matches!(response.status, 100 | 102..=199) {
                if let Backend::H1(connection) = &mut self.backend {
                    connection.begin_answer(false, &response)?;
                }
                return Ok(response);
            }
            response.clear();
        }
        Err(Fault::BackendMalformed)
    }

    /// The whole body of the answer.
    ///
    /// # Errors
    /// What breaks off, and what has `most` bytes or more.
    pub async fn body(&mut self, most: usize) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while body.len() < most {
            let limit = most - body.len();
            match self.step(|backend, cx| backend.poll_body(cx, &mut body, limit)).await? {
                Progress::Data(_) => {}
                Progress::End => return Ok(body),
            }
        }
        Err(Fault::BackendMalformed)
    }

    /// The answer's trailers, once its body was read.
    pub fn trailers(&self) -> Option<&Fields> {
        self.backend.trailers()
    }

    /// Reads what is left, if it is not too much, and closes the connection in good order.
    pub async fn end(mut self) {
        // Nobody wants to know what it is.
        let _ = self.body(MOST_UNWANTED).await;
        match self.backend {
            Backend::H1(mut connection) => {
                let _ = std::future::poll_fn(|cx| connection.stream.channel.poll_shutdown(cx)).await;
            }
            Backend::H2(stream) => {
                drop(stream);
                if let Some(driving) = self.driving {
                    driving.await;
                }
            }
        }
    }

    /// Waits for `ready`, while the connection's task runs beside it.
    async fn step<T>(&mut self, mut ready: impl FnMut(&mut Backend, &mut Context<'_>) -> Poll<T>) -> T {
        std::future::poll_fn(|cx| {
            let done = ready(&mut self.backend, cx);
            if done.is_pending()
                && let Some(driving) = &mut self.driving
                && driving.as_mut().poll(cx).is_ready()
            {
                // What came before the end is still there, and so is the news of it.
                self.driving = None;
                cx.waker().wake_by_ref();
            }
            done
        })
        .await
    }
}
