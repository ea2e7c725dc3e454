//! A well-behaved HTTP/2 client: the `h2` crate's.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::PATIENCE;
use super::answer::Answer;
use super::client::trusting;
use super::gateway::Gateway;

/// One connection.
pub(crate) struct Http2 {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
}

impl Http2 {
    /// Connects with the crate's own settings.
    pub(crate) fn connect(gateway: &Gateway) -> Self {
        Self::connect_as(gateway, &Builder::new())
    }

    /// Connects.
    pub(crate) fn connect_as(gateway: &Gateway, settings: &Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = Arc::new(trusting(&gateway.home().authority, b"h2"));
        let address: SocketAddr = gateway.address("https");
        let requests = runtime.block_on(async {
            let socket = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await.unwrap();
            let (requests, connection) = settings.handshake(stream).await.unwrap();
            // How it ends shows in its streams.
            tokio::spawn(async move { drop(connection.await) });
            requests
        });
        Self { runtime, requests }
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
        request.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
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
        let mut requests = self.requests.clone();
        let exchange = async {
            requests = requests.ready().await?;
            let bodyless = body.is_none() && trailers.is_none();
            let (answer, mut sending) = requests.send_request(request, bodyless)?;
            if !bodyless {
                sending.send_data(Bytes::copy_from_slice(body.unwrap_or_default()), trailers.is_none())?;
            }
            if let Some(trailers) = trailers {
                sending.send_trailers(trailers)?;
            }
            read(answer.await?).await
        };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time") })
    }
}

/// One stream that has become a tunnel, or was refused.
pub(crate) struct Tunnel<'a> {
    runtime: &'a Runtime,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    sending: h2::SendStream<Bytes>,
    receiving: h2::RecvStream,
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

async fn read(answer: http::Response<h2::RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut body) = answer.into_parts();
    let mut answer = Answer {
        version: format!("{:?}", head.version),
        status: head.status.as_u16(),
        fields: list(&head.headers),
        ..Answer::default()
    };
    while let Some(data) = body.data().await {
        let data = data?;
        answer.body.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    answer.trailers = body.trailers().await?.as_ref().map(list).unwrap_or_default();
    Ok(answer)
}

fn list(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
