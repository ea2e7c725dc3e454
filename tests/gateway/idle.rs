//! Many connections and tunnels that say nothing: what each costs the gateway, and that a reload loses none.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::Request;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::PATIENCE;
use crate::support::client::trusting;
use crate::support::gateway::Gateway;

/// How many there are, unless the environment says more: `tests/full/idle` does.
const COUNT: usize = 300;
/// Where it says so.
const COUNT_VARIABLE: &str = "PORTCULLIS_IDLE_COUNT";
/// How many are opened or asked at a time.
const WAVE: usize = 50;
/// How many streams a connection has at once.
const STREAMS: usize = 100;
/// Descriptors for everything else.
const SPARE: usize = 200;
/// What the gateway may take for each, where buffers are given back by those that have nothing to say.
const EACH: usize = 48 << 10;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// A text frame that says `ping`, its mask all zeros.
const FRAME: &[u8] = b"\x81\x84\0\0\0\0ping";

#[test]
fn idle_connections_cost_little_and_outlive_a_reload() {
    let crowd = Crowd::new(1);
    let (connector, address) = (crowd.connector(b"http/1.1"), crowd.gateway.address("https"));
    let streams = crowd.open(crowd.count, || open(connector.clone(), address, GET, b"ok"));
    crowd.reload_and_ask(streams, |stream| ask(stream, GET.as_bytes(), b"ok"));
}

#[test]
fn idle_tunnels_cost_little_and_outlive_a_reload() {
    let crowd = Crowd::new(2);
    let (connector, address) = (crowd.connector(b"http/1.1"), crowd.gateway.address("https"));
    let streams = crowd.open(crowd.count, || open(connector.clone(), address, UPGRADE, b"\r\n\r\n"));
    crowd.reload_and_ask(streams, |stream| ask(stream, FRAME, FRAME));
}

#[test]
fn idle_tunnels_on_http2_streams_cost_little_and_outlive_a_reload() {
    let crowd = Crowd::new(1);
    let (connector, address) = (crowd.connector(b"h2"), crowd.gateway.address("https"));
    let connections = crowd.wave((0..crowd.count.div_ceil(STREAMS) + 1).map(|_| connect(connector.clone(), address)));
    let mut turns = connections.iter().cycle();
    let tunnels = crowd.open(crowd.count, || Tunnel::open(turns.next().unwrap().clone()));
    crowd.reload_and_ask(tunnels, Tunnel::ask);
}

/// Everybody of such a test: the gateway, the backend, and the clients, all of which are tasks of this process.
struct Crowd {
    runtime: Runtime,
    gateway: Gateway,
    backend: SocketAddr,
    count: usize,
}

impl Crowd {
    /// Each of the crowd will need so many descriptors in the gateway and so many here; where those do not suffice, fewer come.
    #[expect(
        clippy::disallowed_methods,
        reason = "the rule is for the gateway; here it is tests/full/idle that asks for more"
    )]
    fn new(descriptors: usize) -> Self {
        let wanted = std::env::var(COUNT_VARIABLE).map_or(COUNT, |count| count.parse().unwrap());
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let room = limit.maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
        let count = wanted.min((room - SPARE) / descriptors);
        if count < wanted {
            println!("{room} descriptors let {count} of {wanted} in");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let backend = runtime.block_on(backend());
        let gateway = Gateway::serving(&config(backend, 1));
        Self { runtime, gateway, backend, count }
    }

    fn connector(&self, protocol: &[u8]) -> TlsConnector {
        Arc::new(trusting(&self.gateway.home().authority, protocol)).into()
    }

    /// Opens so many; says what they cost.
    fn open<T, F>(&self, count: usize, mut one: impl FnMut() -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        // The first ones fill what is there once, whatever the number.
        let mut opened = self.wave((0..WAVE).map(|_| one()));
        let before = self.gateway.resident();
        while opened.len() < count {
            opened.extend(self.wave((0..WAVE).map(|_| one())));
        }
        let grown = self.gateway.resident().saturating_sub(before);
        let each = grown / (opened.len() - WAVE);
        println!("{} opened; {each} bytes each", opened.len());
        assert!(each <= EACH, "{each} bytes each");
        opened
    }

    /// Puts another config in force; then each must still be there and answer.
    fn reload_and_ask<T, F>(&self, crowd: Vec<T>, ask: impl Fn(T) -> F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.gateway.save(&config(self.backend, 2));
        let count = crowd.len();
        let (mut crowd, mut answered) = (crowd.into_iter(), Vec::new());
        while answered.len() < count {
            answered.extend(self.wave(crowd.by_ref().take(WAVE).map(&ask)));
        }
        println!("{} of {count} answered after a reload", answered.len());
    }

    /// Does these at the same time.
    fn wave<T: Send + 'static>(&self, work: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
        self.runtime.block_on(async {
            let tasks: JoinSet<T> = work.collect();
            tokio::time::timeout(PATIENCE, tasks.join_all()).await.expect("a wave in time")
        })
    }
}

/// Room for all of them, for longer than the test takes; the number makes it another config.
fn config(backend: SocketAddr, number: usize) -> String {
    format!(
        r#"
        [[listener]]
        name = "https"
        bind = "127.0.0.1:0"
        tls = true
        max_connections = 100000
        max_connections_per_ip = 100000
        timeouts = {{ keep_alive = "1h" }}
        [[certificate]]
        cert = "localhost.crt"
        key = "localhost.key"
        [[route]]
        path = "/number"
        respond = {{ status = 200, body = "{number}" }}
        [[route]]
        name = "all"
        pool = ["http://{backend}"]
        "#
    )
}

async fn open(
    connector: TlsConnector,
    address: SocketAddr,
    request: &'static str,
    end: &'static [u8],
) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, socket).await.unwrap();
    ask(stream, request.as_bytes(), end).await
}

/// Sends something and reads up to what must come.
async fn ask(mut stream: TlsStream<TcpStream>, say: &'static [u8], hear: &'static [u8]) -> TlsStream<TcpStream> {
    stream.write_all(say).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(hear) {
        let count = stream.read_buf(&mut heard).await.unwrap();
        assert!(count > 0, "the end after {:?}", String::from_utf8_lossy(&heard));
    }
    stream
}

/// An HTTP/2 connection to the gateway.
async fn connect(connector: TlsConnector, address: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    let (requests, mut connection) = h2::client::handshake(stream).await.unwrap();
    // Whether the gateway takes tunnels on streams stands in its first frame.
    let settled = poll_fn(|turn| {
        let ended = connection.poll_unpin(turn);
        if requests.is_extended_connect_protocol_enabled() { Poll::Ready(None) } else { ended.map(Some) }
    });
    assert!(settled.await.is_none(), "the connection ended");
    tokio::spawn(connection);
    requests
}

/// A tunnel on a stream, by extended CONNECT (RFC 8441).
struct Tunnel {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
}

impl Tunnel {
    async fn open(requests: SendRequest<Bytes>) -> Self {
        let request = Request::connect("https://localhost/").header("sec-websocket-version", "13");
        let request = request.extension(Protocol::from_static("websocket")).body(()).unwrap();
        let (answer, sending) = requests.ready().await.unwrap().send_request(request, false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { sending, receiving: answer.into_body() }
    }

    /// Says something and waits for it to come back.
    async fn ask(mut self) -> Self {
        self.sending.send_data(Bytes::from_static(FRAME), false).unwrap();
        let mut heard = Vec::new();
        while heard != FRAME {
            let piece = self.receiving.data().await.expect("no end of the tunnel").unwrap();
            self.receiving.flow_control().release_capacity(piece.len()).unwrap();
            heard.extend_from_slice(&piece);
        }
        self
    }
}

/// A backend that answers requests, and after an upgrade sends back what comes.
async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(socket));
        }
    });
    address
}

async fn serve(mut socket: TcpStream) {
    let mut came = Vec::with_capacity(1024);
    // A gateway that hangs up ends this one only.
    while let Ok(1..) = socket.read_buf(&mut came).await {
        if !came.ends_with(b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8(std::mem::take(&mut came)).unwrap();
        let key =
            head.lines().find_map(|line| line.to_lowercase().starts_with("sec-websocket-key:").then(|| &line[18..]));
        let answer = key.map_or_else(|| ANSWER.to_owned(), |key| switch(key.trim()));
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        if key.is_some() {
            let mut buffer = [0; 64];
            while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                if socket.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            return;
        }
    }
}

/// The answer that takes an upgrade, with the proof that goes with the key (RFC 6455 §4.2.2).
fn switch(key: &str) -> String {
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = BASE64_STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
    )
}
