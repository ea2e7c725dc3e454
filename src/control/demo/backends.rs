//! Three small HTTP servers of different weight, on a thread of their own.

mod answer;

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::thread::JoinHandle;

use futures_util::future;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use answer::answer;

/// Names and weights: of nine requests five, three and one.
const CAST: [(&str, u16); 3] = [("alpha", 5), ("beta", 3), ("gamma", 1)];

/// One of the backends, as the config names it.
pub(super) struct Backend {
    /// What it calls itself in its answers.
    pub(super) name: &'static str,
    /// Its share.
    pub(super) weight: u16,
    /// Where it listens: loopback, a port from the system.
    pub(super) address: SocketAddr,
}

/// All of them. They stop when this is dropped.
pub(super) struct Backends {
    list: Vec<Backend>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backends {
    /// Binds all, then serves them.
    pub(super) fn start() -> io::Result<Self> {
        let mut list = Vec::new();
        let mut sockets = Vec::new();
        for (name, weight) in CAST {
            let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            list.push(Backend { name, weight, address: socket.local_addr()? });
            sockets.push((name, weight, socket));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("demo-backends".to_owned()).spawn(move || {
            runtime.block_on(async {
                let all =
                    future::try_join_all(sockets.into_iter().map(|(name, weight, socket)| serve(name, weight, socket)));
                tokio::select! {
                    failed = all => if let Err(error) = failed { tracing::error!(%error, "demo backends stopped") },
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { list, stop: Some(stop), thread: Some(thread) })
    }

    /// The backends, heaviest first.
    pub(super) fn list(&self) -> &[Backend] {
        &self.list
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        // The channel hangs up, which the thread takes for the word to stop.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A backend that panicked has said so on standard error already.
            let _ = thread.join();
        }
    }
}

/// What one backend knows of itself.
struct Role {
    name: &'static str,
    weight: u16,
    /// Requests answered so far.
    requests: Cell<u64>,
}

/// Accepts for ever. All connections of a backend live in this one future: a demo needs no tasks.
async fn serve(name: &'static str, weight: u16, socket: std::net::TcpListener) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(socket)?;
    let role = Rc::new(Role { name, weight, requests: Cell::new(0) });
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => connections.push(connection(Rc::clone(&role), accepted?.0)),
            Some(()) = connections.next() => {}
        }
    }
}

async fn connection(role: Rc<Role>, stream: TcpStream) {
    let service = service_fn(|request| {
        let role = Rc::clone(&role);
        async move { Ok::<_, Infallible>(answer(&role, request).await) }
    });
    // A gateway that closes a kept connection is no event worth telling.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn each_says_who_it_is_and_what_it_saw() {
        let backends = Backends::start().unwrap();
        for backend in backends.list() {
            let answer =
                ask(backend.address, "GET /a/b?c HTTP/1.1\r\nhost: x\r\nx-seen: yes\r\nconnection: close\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(&format!("backend   {} (weight {})\n", backend.name, backend.weight)), "{answer}");
            assert!(answer.contains("request   GET /a/b?c, number 1 here\n"), "{answer}");
            assert!(answer.contains("  x-seen: yes\n"), "{answer}");
        }
    }

    #[test]
    fn bodies_come_as_long_as_asked_for_and_posts_come_back() {
        let backends = Backends::start().unwrap();
        let address = backends.list()[0].address;
        let answer = ask(address, "GET /bytes/200000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(answer.contains("content-length: 200000\r\n"), "{}", &answer[..200]);
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 200_000);
        let answer = ask(address, "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nping");
        assert!(answer.ends_with("\r\n\r\nping"), "{answer}");
        let answer = ask(address, "GET /bytes/many HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}
