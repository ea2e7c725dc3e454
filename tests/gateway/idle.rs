//! Many connections and tunnels that say nothing: what each costs the gateway, and that a reload loses none.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;
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
/// What the gateway may take for each, where buffers are given back by those that have nothing to say.
const EACH: usize = 48 << 10;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The example of RFC 6455 §1.3.
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// A text frame that says `ping`, its mask all zeros.
const FRAME: &[u8] = b"\x81\x84\0\0\0\0ping";

#[test]
fn idle_connections_cost_little_and_outlive_a_reload() {
    let crowd = Crowd::new();
    let streams = crowd.open(GET, b"ok");
    crowd.reload_and_ask(streams, GET.as_bytes(), b"ok");
}

#[test]
fn idle_tunnels_cost_little_and_outlive_a_reload() {
    let crowd = Crowd::new();
    let streams = crowd.open(UPGRADE, b"\r\n\r\n");
    crowd.reload_and_ask(streams, FRAME, FRAME);
}

/// Everybody of such a test: the gateway, the backend, and the clients, all of which are tasks of this process.
struct Crowd {
    runtime: Runtime,
    gateway: Gateway,
    backend: SocketAddr,
    connector: TlsConnector,
    count: usize,
}

type Streams = Vec<TlsStream<TcpStream>>;

impl Crowd {
    #[expect(
        clippy::disallowed_methods,
        reason = "the rule is for the gateway; here it is tests/full/idle that asks for more"
    )]
    fn new() -> Self {
        let count = std::env::var(COUNT_VARIABLE).map_or(COUNT, |count| count.parse().unwrap());
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let backend = runtime.block_on(backend());
        let gateway = Gateway::serving(&config(backend, 1));
        let client: Arc<ClientConfig> = Arc::new(trusting(&gateway.home().authority, b"http/1.1"));
        Self { runtime, gateway, backend, connector: client.into(), count }
    }

    /// Opens them all, each with this request and an answer that ends like this; says what they cost.
    fn open(&self, request: &'static str, end: &'static [u8]) -> Streams {
        let address = self.gateway.address("https");
        // The first ones fill what is there once, whatever the number.
        let warm = self.wave((0..WAVE).map(|_| open(self.connector.clone(), address, request, end)));
        let before = self.gateway.resident();
        let mut streams = warm;
        while streams.len() < self.count + WAVE {
            streams.extend(self.wave((0..WAVE).map(|_| open(self.connector.clone(), address, request, end))));
        }
        let grown = self.gateway.resident().saturating_sub(before);
        let each = grown / (streams.len() - WAVE);
        println!("{} opened; {} bytes each", streams.len(), each);
        assert!(each <= EACH, "{each} bytes each");
        streams
    }

    /// Puts another config in force; then each must still be there and get this for that.
    fn reload_and_ask(&self, streams: Streams, say: &'static [u8], hear: &'static [u8]) {
        self.gateway.save(&config(self.backend, 2));
        let count = streams.len();
        let mut streams = streams.into_iter();
        let mut answered = 0;
        while answered < count {
            let wave = streams.by_ref().take(WAVE);
            answered += self.wave(wave.map(|stream| ask(stream, say, hear))).len();
        }
        println!("{answered} of {count} answered after a reload");
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
        let upgrade = came.windows(9).any(|window| window.eq_ignore_ascii_case(b"websocket"));
        let answer = if upgrade { SWITCH } else { ANSWER };
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        if upgrade {
            let mut buffer = [0; 64];
            while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                if socket.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            return;
        }
        came.clear();
    }
}
