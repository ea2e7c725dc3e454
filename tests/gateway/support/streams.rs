//! A backend of HTTP/2 without TLS (RFC 9113 §3.3) that does with each request what a test tells it to: the `h2` crate's.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, request};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use super::PATIENCE;
use super::http2::{fields_of, list};
use super::script::Received;

/// The backend. All of it runs on one thread, so what a test plays must not block: it waits for a `Semaphore` or a `Barrier`.
pub(crate) struct Streams {
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
    ended: mpsc::Receiver<usize>,
    connections: Arc<AtomicUsize>,
}

impl Streams {
    /// Plays `act` for each request.
    pub(crate) fn playing<F>(act: impl Fn(Asked) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::settled(&Builder::new(), act)
    }

    /// Plays `act` for each request on connections with these settings.
    pub(crate) fn settled<F>(settings: &Builder, act: impl Fn(Asked) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let ((sender, received), (end, ended)) = (mpsc::channel(), mpsc::channel());
        let (counted, settings) = (Arc::clone(&connections), settings.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let act = std::rc::Rc::new(act);
            LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::from_std(socket).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let number = counted.fetch_add(1, Ordering::SeqCst);
                    let (act, settings, sender, end) = (act.clone(), settings.clone(), sender.clone(), end.clone());
                    spawn_local(async move {
                        serve(stream, &settings, (number, sender), &*act).await;
                        // The test may be over.
                        let _ = end.send(number);
                    });
                }
            });
        });
        Self { address, received, ended, connections }
    }

    /// Reads every request and answers it with this text.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::playing(move |mut asked| async move {
            if asked.read().await.is_some() {
                asked.answer(200, &[], name);
            }
        })
    }

    /// The next request that was read to its end.
    pub(crate) fn received(&self) -> Received {
        self.received.recv_timeout(PATIENCE).expect("a request at the backend")
    }

    /// Requests that were read and not looked at; does not wait.
    pub(crate) fn left(&self) -> usize {
        self.received.try_iter().count()
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for the next connection to end. Which one it was.
    pub(crate) fn ended(&self) -> usize {
        self.ended.recv_timeout(PATIENCE).expect("the end of a connection")
    }
}

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

async fn serve<F: Future<Output = ()> + 'static>(
    stream: TcpStream,
    settings: &Builder,
    (connection, received): (usize, mpsc::Sender<Received>),
    act: &impl Fn(Asked) -> F,
) {
    stream.set_nodelay(true).unwrap();
    let Ok(mut server) = settings.handshake::<_, Bytes>(stream).await else { return };
    // What breaks the connection shows at the gateway.
    while let Some(Ok((head, respond))) = server.accept().await {
        let (parts, body) = head.into_parts();
        spawn_local(act(Asked { connection, parts, body, respond, received: received.clone() }));
    }
}

/// A request, and the way to answer it.
pub(crate) struct Asked {
    /// Which connection of the backend it came on, from 0.
    pub(crate) connection: usize,
    parts: request::Parts,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    received: mpsc::Sender<Received>,
}

impl Asked {
    /// The path and the query.
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path_and_query().map_or("", |path| path.as_str())
    }

    /// The value of the first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The request as far as it has been read: nothing of its body.
    pub(crate) fn head(&self) -> Received {
        let mut fields = list(&self.parts.headers);
        let authority = self.parts.uri.authority().map(|host| ("host".to_owned(), host.to_string()));
        fields.extend(authority);
        let line = format!("{} {} HTTP/2", self.parts.method, self.path());
        Received { connection: self.connection, line, fields, body: Vec::new(), trailers: Vec::new() }
    }

    /// The next piece of the body; nothing at its end, or where it breaks off.
    pub(crate) async fn piece(&mut self) -> Option<Bytes> {
        let piece = self.body.data().await?.ok()?;
        // The stream may be over.
        let _ = self.body.flow_control().release_capacity(piece.len());
        Some(piece)
    }

    /// Reads the request to its end and records it. Nothing where it breaks off.
    pub(crate) async fn read(&mut self) -> Option<Received> {
        let mut request = self.head();
        while let Some(piece) = self.body.data().await {
            let piece = piece.ok()?;
            let _ = self.body.flow_control().release_capacity(piece.len());
            request.body.extend_from_slice(&piece);
        }
        request.trailers = self.body.trailers().await.ok()?.as_ref().map(list).unwrap_or_default();
        let _ = self.received.send(request.clone());
        Some(request)
    }

    /// Sends an interim answer.
    pub(crate) fn interim(&mut self, status: u16, fields: &[(&str, &str)]) {
        // The gateway may have gone; the test sees that from its own side.
        let _ = self.respond.send_informational(head(status, fields));
    }

    /// Sends a whole answer.
    pub(crate) fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: impl Into<Bytes>) {
        let body = body.into();
        let empty = body.is_empty();
        if let Ok(mut sending) = self.respond.send_response(head(status, fields), empty)
            && !empty
        {
            let _ = sending.send_data(body, true);
        }
    }

    /// Begins an answer.
    pub(crate) fn begin(&mut self, status: u16, fields: &[(&str, &str)]) -> SendStream<Bytes> {
        self.respond.send_response(head(status, fields), false).unwrap()
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Waits for the gateway to reset the stream before it was answered; nothing where the connection broke.
    pub(crate) async fn gone(&mut self) -> Option<Reason> {
        std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await.ok()
    }
}

/// Waits for the gateway to reset a stream whose answer has begun; nothing where the connection broke.
pub(crate) async fn gone(sending: &mut SendStream<Bytes>) -> Option<Reason> {
    std::future::poll_fn(|cx| sending.poll_reset(cx)).await.ok()
}

fn head(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let mut head = Response::builder().status(status).body(()).unwrap();
    *head.headers_mut() = fields_of(fields);
    head
}

/// Ends an answer with trailers.
pub(crate) fn trail(mut sending: SendStream<Bytes>, fields: &[(&str, &str)]) {
    let trailers: HeaderMap = fields_of(fields);
    let _ = sending.send_trailers(trailers);
}
