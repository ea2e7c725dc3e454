//! A well-behaved HTTP/2 client: the `h2` crate's.

use std::rc::Rc;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::PATIENCE;
use super::answer::Answer;
use super::client::trusting;
use super::gateway::Gateway;

/// One connection. A thread of its own moves its bytes, whatever the test waits for.
pub(crate) struct Http2 {
    runtime: Rc<Runtime>,
    requests: SendRequest<Bytes>,
}

impl Http2 {
    /// Connects with the crate's own settings.
    pub(crate) fn connect(gateway: &Gateway) -> Self {
        Self::connect_as(gateway, &Builder::new())
    }

    /// Connects.
    pub(crate) fn connect_as(gateway: &Gateway, settings: &Builder) -> Self {
        let config = Arc::new(trusting(&gateway.home().authority, b"h2"));
        let (address, settings) = (gateway.address("https"), settings.clone());
        let (sender, connected) = mpsc::channel();
        std::thread::spawn(move || {
            current_thread().block_on(async {
                let socket = TcpStream::connect(address).await.unwrap();
                socket.set_nodelay(true).unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await.unwrap();
                let (requests, connection) = settings.handshake(stream).await.unwrap();
                sender.send(requests).unwrap();
                // How it ends shows in its streams.
                drop(connection.await);
            });
        });
        let requests = connected.recv_timeout(PATIENCE).expect("a connection of HTTP/2");
        Self { runtime: Rc::new(current_thread()), requests }
    }

    /// Asks for `https://localhost` and a path.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer, h2::Error> {
        self.ask(Request::get(format!("https://localhost{path}")).body(()).unwrap(), None, None)
    }

    /// Asks for a WebSocket tunnel by extended CONNECT (RFC 8441).
    pub(crate) fn tunnel(&mut self, path: &str) -> Tunnel<'_> {
        let mut request = Request::new(());
        *request.method_mut() = http::Method::CONNECT;
        *request.uri_mut() = format!("https://localhost{path}").parse().unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
        let mut requests = self.requests.clone();
        let opening = async {
            // The gateway says in its first SETTINGS that it takes one.
            while !requests.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
            requests = requests.ready().await.unwrap();
            let (answer, sending) = requests.send_request(request, false).unwrap();
            let (head, receiving) = answer.await.unwrap().into_parts();
            (head.status.as_u16(), list(&head.headers), sending, receiving)
        };
        let opened = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, opening).await });
        let (status, fields, sending, receiving) = opened.expect("an answer in time");
        Tunnel { runtime: &self.runtime, status, fields, sending, receiving }
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) fn ask(
        &mut self,
        request: Request<()>,
        body: Option<&[u8]>,
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let bodyless = body.is_none() && trailers.is_none();
        let mut exchange = self.try_begin(request, bodyless)?;
        if !bodyless {
            exchange.sending.send_data(Bytes::copy_from_slice(body.unwrap_or_default()), trailers.is_none())?;
        }
        if let Some(trailers) = trailers {
            exchange.sending.send_trailers(trailers)?;
        }
        exchange.rest()
    }

    /// Begins a POST to a path with these fields; its body follows.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Exchange {
        let mut request = Request::post(format!("https://localhost{path}")).body(()).unwrap();
        *request.headers_mut() = fields_of(fields);
        self.try_begin(request, false).unwrap()
    }

    /// Begins a GET of a path.
    pub(crate) fn begin_get(&mut self, path: &str) -> Exchange {
        self.try_begin(Request::get(format!("https://localhost{path}")).body(()).unwrap(), true).unwrap()
    }

    fn try_begin(&mut self, request: Request<()>, bodyless: bool) -> Result<Exchange, h2::Error> {
        let ready = self.requests.clone().ready();
        let ready = async { tokio::time::timeout(PATIENCE, ready).await.expect("room for a stream in time") };
        let (response, sending) = self.runtime.block_on(ready)?.send_request(request, bodyless)?;
        Ok(Exchange { runtime: Rc::clone(&self.runtime), response, sending, body: None, answer: Answer::default() })
    }
}

/// One stream that has become a tunnel, or was refused.
pub(crate) struct Tunnel<'a> {
    runtime: &'a Runtime,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    sending: SendStream<Bytes>,
    receiving: RecvStream,
}

impl Tunnel<'_> {
    /// Sends these bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.sending.send_data(Bytes::copy_from_slice(bytes), false).unwrap();
    }

    /// Ends this side.
    pub(crate) fn finish(&mut self) {
        self.sending.send_data(Bytes::new(), true).unwrap();
    }

    /// So many bytes, or fewer where the other side ends first.
    pub(crate) fn exactly(&mut self, count: usize) -> Result<Vec<u8>, h2::Error> {
        let reading = async {
            let mut all = Vec::new();
            while all.len() < count {
                let Some(data) = self.receiving.data().await else { break };
                let data = data?;
                self.receiving.flow_control().release_capacity(data.len())?;
                all.extend_from_slice(&data);
            }
            Ok(all)
        };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, reading).await.expect("bytes in time") })
    }
}

/// A request under way.
pub(crate) struct Exchange {
    runtime: Rc<Runtime>,
    response: ResponseFuture,
    sending: SendStream<Bytes>,
    body: Option<RecvStream>,
    answer: Answer,
}

impl Exchange {
    /// Sends a piece of the body.
    pub(crate) fn send(&mut self, piece: impl Into<Bytes>) -> &mut Self {
        // A stream that is over says so when its answer is read.
        let _ = self.sending.send_data(piece.into(), false);
        self
    }

    /// Ends the body.
    pub(crate) fn finish(&mut self) -> &mut Self {
        let _ = self.sending.send_data(Bytes::new(), true);
        self
    }

    /// Ends the body with trailers.
    pub(crate) fn finish_with(&mut self, trailers: &[(&str, &str)]) -> &mut Self {
        let _ = self.sending.send_trailers(fields_of(trailers));
        self
    }

    /// Gives up.
    pub(crate) fn cancel(mut self) {
        self.sending.send_reset(Reason::CANCEL);
    }

    /// The next interim answer; nothing where the answer itself comes first.
    pub(crate) fn interim(&mut self) -> Option<Answer> {
        let response = &mut self.response;
        let next = std::future::poll_fn(|cx| response.poll_informational(cx));
        in_time(&self.runtime, next).map(|interim| head(&interim.unwrap()))
    }

    /// Waits for the head of the answer.
    pub(crate) fn head(&mut self) -> Result<Answer, h2::Error> {
        if self.body.is_none() {
            let (parts, body) = in_time(&self.runtime, &mut self.response)?.into_parts();
            self.answer = head(&Response::from_parts(parts, ()));
            self.body = Some(body);
        }
        Ok(self.answer.clone())
    }

    /// The next piece of the answer's body, which makes room for another; nothing at its end.
    pub(crate) fn piece(&mut self) -> Result<Option<Bytes>, h2::Error> {
        self.head()?;
        let Some(body) = &mut self.body else { return Ok(None) };
        let Some(piece) = in_time(&self.runtime, body.data()).transpose()? else { return Ok(None) };
        body.flow_control().release_capacity(piece.len())?;
        Ok(Some(piece))
    }

    /// Reads the answer to its end.
    pub(crate) fn rest(mut self) -> Result<Answer, h2::Error> {
        let mut answer = self.head()?;
        while let Some(piece) = self.piece()? {
            answer.body.extend_from_slice(&piece);
        }
        let Some(body) = &mut self.body else { return Ok(answer) };
        answer.trailers = in_time(&self.runtime, body.trailers())?.as_ref().map(list).unwrap_or_default();
        Ok(answer)
    }
}

fn current_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn in_time<T>(runtime: &Runtime, event: impl Future<Output = T>) -> T {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, event).await.expect("an answer in time") })
}

fn head(response: &Response<()>) -> Answer {
    Answer {
        version: format!("{:?}", response.version()),
        status: response.status().as_u16(),
        fields: list(response.headers()),
        ..Answer::default()
    }
}

/// Fields as text.
pub(super) fn list(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Text as fields.
pub(super) fn fields_of(fields: &[(&str, &str)]) -> HeaderMap {
    let parsed = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    let mut map = HeaderMap::new();
    fields.iter().map(parsed).for_each(|(name, value): (_, HeaderValue)| _ = map.append(name, value));
    map
}
