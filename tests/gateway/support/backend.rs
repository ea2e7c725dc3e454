//! A well-behaved HTTP/1.1 backend that says who it is and counts.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use super::PATIENCE;
use super::script::{Received, Script};

/// Answers every request with its name.
pub(crate) struct Backend {
    script: Script,
    count: Arc<AtomicUsize>,
    ended: mpsc::Receiver<()>,
}

impl Backend {
    /// A backend of that name.
    pub(crate) fn named(name: &str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), name)
    }

    /// A backend at each of these addresses, named by it, all on one port, which comes first.
    pub(crate) fn at<const N: usize>(addresses: [&str; N]) -> (u16, [Self; N]) {
        let listen = |port| -> io::Result<Vec<TcpListener>> {
            let first = TcpListener::bind((addresses[0], port))?;
            let port = first.local_addr()?.port();
            let others = addresses[1..].iter().map(|address| TcpListener::bind((*address, port)));
            [Ok(first)].into_iter().chain(others).collect()
        };
        let listeners = (0..100).find_map(|_| listen(0).ok()).expect("a port that is free at every address");
        let port = listeners[0].local_addr().unwrap().port();
        let mut listeners = listeners.into_iter();
        (port, addresses.map(|address| Self::on(listeners.next().unwrap(), address)))
    }

    fn on(listener: TcpListener, name: &str) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", name.len());
        let whole = format!("{head}{name}");
        let (sender, ended) = mpsc::channel();
        let script = Script::playing_on(listener, move |conversation| {
            while let Some(request) = conversation.request() {
                counted.fetch_add(1, Ordering::SeqCst);
                conversation.send(if request.line.starts_with("HEAD ") { &head } else { &whole });
            }
            // The test may be over.
            let _ = sender.send(());
        });
        Self { script, count, ended }
    }

    /// Waits until a connection has ended.
    pub(crate) fn wait_until_closed(&self) {
        self.ended.recv_timeout(PATIENCE).expect("the end of a connection");
    }

    /// How many requests it has answered.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The next request it got.
    pub(crate) fn received(&self) -> Received {
        self.script.received()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}
