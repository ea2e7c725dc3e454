//! Accepting connections, and giving them to the worker that has room.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::base::alarm::TICK;
use crate::base::task::Share;
use crate::proxy::listen::Bind;
use crate::proxy::listen::accepting::{Accepting, Listening};
use crate::proxy::serve;
use crate::proxy::socket::{Detached, Socket};
use crate::proxy::worker::{Command, Port, Worker};

/// The sockets that a worker accepts on.
#[derive(Default)]
pub struct Acceptors(HashMap<(Arc<str>, Bind), Rc<Notify>>);

impl Acceptors {
    /// Accepts on `socket` until it is closed.
    pub fn open(&mut self, worker: &Rc<Worker>, listener: &Arc<str>, address: Bind, socket: Listening) {
        let socket = match socket.attach() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(listener = %listener, %address, %error, "cannot accept on this socket; restart the gateway");
                return;
            }
        };
        let stop = Rc::new(Notify::new());
        self.0.insert((Arc::clone(listener), address), Rc::clone(&stop));
        let (worker, port) = (Rc::clone(worker), worker.port(listener));
        // Known from now on, so that a connection that is accepted when it is gone again is served all the same.
        port.current(&worker.current());
        worker
            .tasks
            .clone()
            .start(accept_all(worker, port, socket, stop), |said| tracing::error!(said, "panicked while accepting"));
    }

    /// Stops accepting on one address.
    pub fn close(&mut self, listener: &Arc<str>, address: Bind) {
        if let Some(stop) = self.0.remove(&(Arc::clone(listener), address)) {
            stop.notify_one();
        }
    }

    /// Stops accepting.
    pub fn close_all(&mut self) {
        for (_, stop) in self.0.drain() {
            stop.notify_one();
        }
    }
}

async fn accept_all(worker: Rc<Worker>, port: Rc<Port>, socket: Accepting, stop: Rc<Notify>) {
    let mut share = Share::default();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.notified() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                place(&worker, &port, stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: what is open goes on, and what waits in the kernel's queue is for later.
                // Told once, for as long as it lasts: it is tried again and again.
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(listener = %port.listener, %error, "cannot accept; raise the limit of open files");
                }
                let alarm = worker.alarms.alarm();
                alarm.wait(worker.alarms.after(Some(TICK))).await;
            }
        }
        // Where many come at once, the first are served before the last are accepted.
        share.taken().await;
    }
    serve_waiting(&worker, &port, socket, share).await;
}

/// Closing a socket resets what the kernel has accepted for it, so that is served first; here, since another worker may have
/// forgotten the listener already. The kernel is asked itself: the runtime knows of connections only since its last turn.
async fn serve_waiting(worker: &Rc<Worker>, port: &Rc<Port>, socket: Accepting, mut share: Share) {
    let Ok(socket) = socket.detach() else { return };
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                if let Ok(stream) = stream.attach() {
                    start(worker, port, stream, peer, true);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => return,
        }
        share.taken().await;
    }
}

/// Errors that `accept` reports for a connection that failed before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Serves a connection here, or hands it to a worker that is clearly less loaded: the kernel spreads them blindly.
fn place(worker: &Rc<Worker>, port: &Rc<Port>, stream: Socket, peer: SocketAddr) {
    let Some(other) = worker.less_loaded() else { return start(worker, port, stream, peer, true) };
    let Ok(socket) = stream.detach() else { return };
    other.load.add();
    let listener = Arc::clone(&port.listener);
    if let Err(refused) = other.mailbox.send(Command::Adopt { listener, then: port.last(), socket, peer }) {
        other.load.subtract();
        if let Command::Adopt { socket, .. } = refused.0
            && let Ok(stream) = socket.attach()
        {
            start(worker, port, stream, peer, true);
        }
    }
}

/// Serves a connection that another worker accepted; it is in this one's load already.
pub fn adopt(worker: &Rc<Worker>, port: &Rc<Port>, socket: Detached, peer: SocketAddr) {
    match socket.attach() {
        Ok(stream) => start(worker, port, stream, peer, false),
        Err(_) => worker.load().subtract(),
    }
}

fn start(worker: &Rc<Worker>, port: &Rc<Port>, stream: Socket, peer: SocketAddr, counted: bool) {
    if counted {
        worker.load().add();
    }
    let (here, port) = (Rc::clone(worker), Rc::clone(port));
    let panicked = Rc::clone(worker);
    let serving = async move {
        let _loaded = Loaded(Rc::clone(&here));
        serve::connection(&here, &port, stream, peer).await;
    };
    worker.tasks.start(serving, move |said| {
        panicked.metrics.panicked();
        tracing::error!(said, "panicked; this is a bug, and it has cost one connection");
    });
}

/// A connection in its worker's load.
struct Loaded(Rc<Worker>);

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.load().subtract();
    }
}
