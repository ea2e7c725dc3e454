//! A client's connection, as all of its exchanges see it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::proxy::listen::Ends;
use crate::proxy::snapshot::Listener;
use crate::proxy::tls;
use crate::proxy::worker::{Port, Worker};

/// How much memory of a message a connection keeps between requests: bytes, and fields.
pub const KEPT_HEAD: (usize, usize) = (4 << 10, 64);

/// A client's connection, once it is known who calls and how.
pub struct Connection {
    /// The worker it lives on.
    pub worker: Rc<Worker>,
    /// The listener as this worker serves it.
    pub port: Rc<Port>,
    /// Its two ends.
    pub ends: Ends,
    /// What the handshake agreed on; none without TLS.
    pub tls: Option<tls::Facts>,
    listener: RefCell<Arc<Listener>>,
}

impl Connection {
    /// A connection of `listener`, as it was when the client was accepted.
    pub fn new(
        worker: &Rc<Worker>,
        port: &Rc<Port>,
        (ends, tls): (Ends, Option<tls::Facts>),
        listener: Arc<Listener>,
    ) -> Self {
        Self { worker: Rc::clone(worker), port: Rc::clone(port), ends, tls, listener: RefCell::new(listener) }
    }

    /// The listener as the current snapshot has it; as the last one had it, where it is gone.
    pub fn listener(&self) -> Arc<Listener> {
        let snapshot = self.worker.current();
        let mut listener = self.listener.borrow_mut();
        if let Some(current) = snapshot.listener(&self.port.listener) {
            *listener = Arc::clone(current);
        }
        Arc::clone(&listener)
    }
}
