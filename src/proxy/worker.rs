//! One worker: a thread with its own runtime, connections, upstream pools, clock, buffers and counters.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::base::alarm::Alarms;
use crate::base::buffers::Buffers;
use crate::base::log::{Log, access};
use crate::base::metrics::{self, Label, Registry};
use crate::base::task::Tasks;
use crate::proxy::fault::Fault;
use crate::proxy::http::forwarded::RequestIds;
use crate::proxy::listen::Bind;
use crate::proxy::listen::accepting::Listening;
use crate::proxy::message::Spare;
use crate::proxy::snapshot::{Listener, Live, Snapshot};
use crate::proxy::socket::Detached;
use crate::proxy::upstream::Client;

/// What all workers and the control plane share.
pub struct Shared {
    /// Where the current snapshot is found.
    pub live: Live,
    /// Counters.
    pub registry: Registry,
    /// Logs.
    pub log: Log,
    /// Whether the whole gateway is draining: set before the workers are told, so that no answer misses it.
    pub draining: AtomicBool,
    /// One place per worker.
    pub places: Vec<Place>,
}

/// What the others see of a worker.
pub struct Place {
    /// Its connections and exchanges, to compare.
    pub load: Load,
    /// Where commands for it go.
    pub mailbox: UnboundedSender<Command>,
}

/// A worker's open connections and exchanges under way. Alone on its cache line: every exchange writes it.
#[derive(Default)]
#[repr(align(128))]
pub struct Load(AtomicUsize);

impl Load {
    /// The number.
    pub fn current(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// One more until what is returned is dropped, in whatever way that happens.
    pub fn count(&self) -> Counted<'_> {
        self.add();
        Counted(self)
    }
}

/// One in a load.
pub struct Counted<'a>(&'a Load);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.subtract();
    }
}

/// What a worker is told.
pub enum Command {
    /// To accept on a socket for a listener.
    Listen {
        /// The listener's name.
        listener: Arc<str>,
        /// The address as configured, which may have port 0.
        address: Bind,
        /// The worker's own descriptor of a socket for it.
        socket: Listening,
    },
    /// To stop accepting there. What the kernel has accepted already is still served. `drain` ends the listener's connections
    /// at their next chance.
    Close {
        /// The listener's name.
        listener: Arc<str>,
        /// The address as configured.
        address: Bind,
        /// Whether the listener itself is gone.
        drain: bool,
    },
    /// To serve a connection that another worker accepted and has less room for.
    Adopt {
        /// The listener's name.
        listener: Arc<str>,
        /// The listener as it was when it accepted: it may be gone when this arrives.
        then: Option<Arc<Listener>>,
        /// The connection.
        socket: Detached,
        /// Its other end.
        peer: SocketAddr,
    },
    /// To finish what is under way, to cut what is left after so long, and to end.
    Drain(Drain),
}

/// How long the end of a worker waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    /// For requests in flight.
    pub requests: Duration,
    /// For tunnels, and while there are any for requests as well.
    pub tunnels: Duration,
}

/// The worker's own, for everything that runs on it.
pub struct Worker {
    /// Which one it is, from 0.
    pub index: usize,
    /// What all share.
    pub shared: Arc<Shared>,
    /// Its coarse clock.
    pub alarms: Rc<Alarms>,
    /// Its buffers.
    pub buffers: Rc<Buffers>,
    /// Messages that no exchange uses.
    pub spare: Spare,
    /// Its connections to backends.
    pub upstream: Client,
    /// Its counters.
    pub metrics: metrics::Worker,
    /// Its end of the access log.
    pub access: access::Writer,
    /// Its request ids.
    pub ids: RefCell<RequestIds>,
    /// Its connections' tasks.
    pub tasks: Tasks,
    /// The tasks of copies that are mirrored. No drain waits for them.
    pub mirrors: Tasks,
    /// The tasks of requests of its own beside exchanges. No drain waits for them either.
    pub asides: Tasks,
    /// How many requests' bodies are kept for a copy while they are read.
    pub kept_bodies: Cell<usize>,
    /// How many tunnels it carries.
    pub tunnels: Cell<usize>,
    current: RefCell<Rc<Current>>,
    ports: RefCell<HashMap<Arc<str>, Rc<Port>>>,
}

/// The snapshot that a worker has taken up. Counted within the worker, so that an exchange that holds it touches nothing that
/// another worker's exchanges touch.
pub struct Current(Arc<Snapshot>);

impl std::ops::Deref for Current {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// A listener as this worker serves it.
pub struct Port {
    /// The listener's name.
    pub listener: Arc<str>,
    /// Whether its connections are to end at their next chance.
    pub draining: Cell<bool>,
    /// What it was when it was last looked up: what the kernel accepted before it was removed is served like that.
    last: RefCell<Option<Arc<Listener>>>,
}

impl Port {
    /// The listener as `snapshot` has it, or as it was last, where it is gone.
    pub fn current(&self, snapshot: &Snapshot) -> Option<Arc<Listener>> {
        let mut last = self.last.borrow_mut();
        if let Some(current) = snapshot.listener(&self.listener) {
            *last = Some(Arc::clone(current));
        }
        last.clone()
    }

    /// The listener as it was when it was last looked up.
    pub fn last(&self) -> Option<Arc<Listener>> {
        self.last.borrow().clone()
    }

    /// Says what the listener was, where this worker does not know.
    pub fn remember(&self, then: Option<Arc<Listener>>) {
        let mut last = self.last.borrow_mut();
        *last = last.take().or(then);
    }
}

impl Worker {
    /// Worker `index`, on its own thread.
    pub fn new(index: usize, shared: Arc<Shared>) -> Rc<Self> {
        let alarms = Alarms::start();
        let buffers = Rc::new(Buffers::default());
        Rc::new(Self {
            index,
            alarms: Rc::clone(&alarms),
            buffers: Rc::clone(&buffers),
            spare: Spare::default(),
            upstream: Client::new(alarms, buffers),
            metrics: shared.registry.worker(),
            access: shared.log.access_writer(),
            ids: RefCell::new(RequestIds::new(fastrand::Rng::new())),
            tasks: Tasks::default(),
            mirrors: Tasks::default(),
            asides: Tasks::default(),
            kept_bodies: Cell::new(0),
            tunnels: Cell::new(0),
            current: RefCell::new(Rc::new(Current(shared.live.load()))),
            ports: RefCell::default(),
            shared,
        })
    }

    /// The current snapshot. Costs one plain load where it has not changed.
    pub fn current(&self) -> Rc<Current> {
        let mut current = self.current.borrow_mut();
        if current.generation != self.shared.live.generation() {
            *current = Rc::new(Current(self.shared.live.load()));
        }
        Rc::clone(&current)
    }

    /// This worker's load.
    pub fn load(&self) -> &Load {
        &self.shared.places[self.index].load
    }

    /// Counts what was refused. The one place that does, so that every reason is one of [`Fault`]'s.
    pub fn refused(&self, fault: Fault, route: Label) {
        self.metrics.refused(fault.reason(), route);
    }

    /// Counts what went on although a policy that only observes objects to it.
    pub fn observed(&self, fault: Fault, route: Label) {
        self.metrics.observed(fault.reason(), route);
    }

    /// The worker that is clearly less loaded than this one, where there is one.
    pub fn less_loaded(&self) -> Option<&Place> {
        let (_, place) =
            self.shared.places.iter().map(|place| (place.load.current(), place)).min_by_key(|(load, _)| *load)?;
        (place.load.current() + 1 < self.load().current()).then_some(place)
    }

    /// The listener of that name as this worker serves it. One that is gone drains, and is forgotten with its last connection.
    pub fn port(&self, listener: &Arc<str>) -> Rc<Port> {
        let mut ports = self.ports.borrow_mut();
        if let Some(port) = ports.get(listener) {
            return Rc::clone(port);
        }
        let gone = self.current().listener(listener).is_none();
        let draining = Cell::new(gone || self.is_draining());
        let port = Rc::new(Port { listener: Arc::clone(listener), draining, last: RefCell::default() });
        if !gone {
            ports.insert(Arc::clone(listener), Rc::clone(&port));
        }
        port
    }

    /// Ends the connections of a listener at their next chance.
    pub fn close_port(&self, listener: &Arc<str>) {
        if let Some(port) = self.ports.borrow_mut().remove(listener) {
            port.draining.set(true);
        }
        self.alarms.wake_all();
    }

    /// Whether the whole gateway is draining.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Ends all connections at their next chance.
    pub fn begin_drain(&self) {
        for port in self.ports.borrow().values() {
            port.draining.set(true);
        }
        self.alarms.wake_all();
    }
}
