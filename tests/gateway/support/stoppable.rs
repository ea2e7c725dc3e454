//! A backend that stops and comes back on the same port.

use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::JoinHandle;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::script::Conversation;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers everything, records what came, and can be stopped and started.
pub(crate) struct Stoppable {
    address: SocketAddr,
    /// Keeps the port while nobody listens: bound, so that no one else gets it, and not listening, so that it refuses.
    _kept: Socket,
    running: Option<Running>,
    /// The request lines that came.
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

struct Running {
    listener: Arc<TcpListener>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Stoppable {
    /// A backend that runs.
    pub(crate) fn running() -> Self {
        let kept = bound("127.0.0.1:0".parse().unwrap());
        let address = kept.local_addr().unwrap().as_socket().unwrap();
        let mut backend = Self { address, _kept: kept, running: None, lines: Arc::default() };
        backend.start();
        backend
    }

    /// Listens again.
    pub(crate) fn start(&mut self) {
        let listener = bound(self.address);
        listener.listen(1024).unwrap();
        let listener = Arc::new(TcpListener::from(listener));
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (accepting, kept, lines) = (Arc::clone(&listener), Arc::clone(&open), Arc::clone(&self.lines));
        let accepting = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                let lines = Arc::clone(&lines);
                std::thread::spawn(move || answer(stream, &lines));
            }
        });
        self.running = Some(Running { listener, open, accepting });
    }

    /// Closes the listener and ends every connection, wherever its exchange is.
    pub(crate) fn stop(&mut self) {
        let Running { listener, open, accepting } = self.running.take().expect("a backend that runs");
        rustix::net::shutdown(&*listener, rustix::net::Shutdown::Both).unwrap();
        accepting.join().unwrap();
        drop(listener);
        for stream in open.lock().unwrap().drain(..) {
            // The gateway may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until it got so many more requests.
    pub(crate) fn wait_for_more(&self, requests: usize) {
        let (lines, more) = &*self.lines;
        let lines = lines.lock().unwrap();
        let wanted = lines.len() + requests;
        let (lines, _) = more.wait_timeout_while(lines, PATIENCE, |lines| lines.len() < wanted).unwrap();
        assert!(lines.len() >= wanted, "{} requests of {wanted}", lines.len());
    }

    /// The request lines that came and begin like this.
    pub(crate) fn received(&self, start: &str) -> Vec<String> {
        self.lines.0.lock().unwrap().iter().filter(|line| line.starts_with(start)).cloned().collect()
    }
}

impl fmt::Display for Stoppable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn answer(stream: TcpStream, lines: &(Mutex<Vec<String>>, Condvar)) {
    // What it received is kept here instead.
    let mut conversation = Conversation::new(0, stream, mpsc::channel().0);
    while let Some(request) = conversation.request() {
        lines.0.lock().unwrap().push(request.line);
        lines.1.notify_all();
        conversation.send(ANSWER);
    }
}
