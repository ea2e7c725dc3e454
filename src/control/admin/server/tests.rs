//! The listener, asked over a real connection.

use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::status::Status;
use super::*;
use crate::base::metrics::Registry;
use crate::proxy::explain::{Question, Unaskable};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running listener; ends when it is dropped.
struct Running {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    Token::load_or_create(&path).unwrap();
    std::fs::write(&path, TOKEN).unwrap();
    let token = Token::load(&path).unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let is_ready = Arc::clone(&ready);
    let sources = Sources {
        registry: Registry::new(),
        is_ready: Arc::new(move || is_ready.load(Ordering::Relaxed)),
        weights: Arc::new(|| [(("p".into(), "http://a:80".into()), 0.5)].into()),
        up: Arc::new(|| [(("p".into(), "http://a:80".into()), 1.0)].into()),
        breakers: Arc::new(|| [(("p".into(), "http://a:80".into()), 2)].into()),
        status: Arc::new(|| Status { version: "1.2.3".into(), ..Status::default() }),
        explain: Arc::new(|question: &Question| Err(Unaskable { error: question.url.clone(), advice: "ask".into() })),
    };
    let (tell, address) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let server = Server::bind("127.0.0.1:0".parse().unwrap(), token, sources).await.unwrap();
            tell.send(server.address()).unwrap();
            server.serve(async { drop(stopped.await) }).await;
        });
    });
    Running { address: address.recv().unwrap(), ready, stop: Some(stop), thread: Some(thread), _folder: folder }
}

impl Running {
    fn ask(&self, request: &str) -> String {
        let mut client = Client::connect(self.address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A request for `path` with further fields, each ending its line.
    fn get(&self, path: &str, fields: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"))
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn health_is_open_and_readiness_tells_of_a_drain() {
    let server = start();
    assert!(server.get("/healthz", "").ends_with("\r\n\r\nok\n"));
    assert_eq!(status(&server.get("/readyz", "")), "200");
    server.ready.store(false, Ordering::Relaxed);
    assert_eq!(status(&server.get("/readyz", "")), "503");
    assert_eq!(status(&server.get("/healthz", "")), "200");
}

#[test]
fn metrics_and_status_want_the_token() {
    let server = start();
    for path in ["/metrics", "/api/v1/status", "/unknown"] {
        let same = format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n");
        for fields in
            ["", "Authorization: Bearer wrong\r\n", "Authorization: Bearer \r\n", "Authorization: Basic x\r\n", &same]
        {
            let answer = server.get(path, fields);
            assert_eq!(status(&answer), "401", "{path} {fields}");
            assert!(answer.to_ascii_lowercase().contains("\r\nwww-authenticate: bearer\r\n"), "{answer}");
        }
    }
    let token = format!("Authorization: bearer {TOKEN}\r\n");
    let metrics = server.get("/metrics", &token);
    assert!(metrics.contains("text/plain; version=0.0.4") && metrics.contains("portcullis_config_generation 0"));
    assert!(metrics.contains("portcullis_backend_weight{pool=\"p\",backend=\"http://a:80\"} 0.5\n"), "{metrics}");
    assert!(metrics.contains("portcullis_breaker_state{pool=\"p\",backend=\"http://a:80\"} 2\n"), "{metrics}");
    let shown = server.get("/api/v1/status", &token);
    let body = shown.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(serde_json::from_str::<Status>(body).unwrap().version, "1.2.3");
}

#[test]
fn what_is_not_there_says_what_is() {
    let server = start();
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let missing = server.get("/nothing", &token);
    assert!(status(&missing) == "404" && missing.contains("\"advice\":\"there are /healthz, /readyz"), "{missing}");
    let posted =
        server.ask("POST /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(status(&posted) == "405" && posted.contains("\"error\":\"wrong method\""), "{posted}");
    assert!(posted.to_ascii_lowercase().contains("\r\nallow: get\r\n"));
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let server = start();
    let address = server.address;
    for (fields, expected) in [
        (format!("Host: {address}\r\n"), "200"),
        (format!("Host: {}\r\n", address.ip()), "200"),
        (format!("Host: {address}\r\nOrigin: http://{address}\r\n"), "200"),
        (format!("Host: {address}\r\nOrigin: http://evil.example\r\n"), "403"),
        (format!("Host: evil.example:{}\r\n", address.port()), "403"),
        ("Host: localhost\r\nHost: localhost\r\n".into(), "400"),
        (String::new(), "400"),
    ] {
        let answer = server.ask(&format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"));
        assert_eq!(status(&answer), expected, "{fields}");
    }
}

#[test]
fn a_taken_address_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = Token::load_or_create(&folder.path().join("t")).unwrap();
    let sources = Sources {
        registry: Registry::new(),
        is_ready: Arc::new(|| true),
        weights: Arc::new(Default::default),
        up: Arc::new(Default::default),
        breakers: Arc::new(Default::default),
        status: Arc::new(Status::default),
        explain: Arc::new(|_: &Question| Ok(Default::default())),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(Server::bind(address, token, sources)).err().unwrap().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("admin.listen"), "{error}");
}
