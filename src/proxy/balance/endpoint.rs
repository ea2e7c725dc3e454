//! One address of one backend of one pool, as all workers share it. It outlives a reload or a look-up that leaves its URL, its
//! address and the way it is spoken to in its pool.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::standing::Changes;
use super::{BackendUrl, Health, Load, Queue, Reach, Standing};
use crate::base::metrics::Label;
use crate::proxy::tls::Peer;

/// Where connections to an endpoint go. Names have been looked up by then: a worker never asks DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address of one backend of one pool.
#[derive(Debug)]
pub struct Endpoint {
    /// Tells endpoints apart for as long as the process lives; the key of the workers' connection pools.
    pub id: u64,
    /// The URL as written in the config.
    pub url: BackendUrl,
    /// Where it is.
    pub address: Address,
    /// The URL as a metrics label. All addresses of one URL have the same.
    pub label: Label,
    /// How it is verified inside TLS; nothing where its URL says plain.
    pub peer: Option<Peer>,
    /// Whether connections to it can be opened.
    pub reach: Reach,
    /// Whether it gets requests.
    pub standing: Standing,
    /// What its probes have found.
    pub health: Health,
    /// What it bears and how it answers.
    pub load: Load,
    /// Who waits for room in its pool.
    queue: Arc<Queue>,
    removed: AtomicBool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Endpoint {
    /// A new endpoint that serves nothing yet, of a pool whose changes and whose queue these are.
    pub fn new(
        (url, address): (BackendUrl, Address),
        label: Label,
        peer: Option<Peer>,
        (changes, queue): (&Arc<Changes>, &Arc<Queue>),
    ) -> Self {
        let now = Instant::now();
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            url,
            address,
            label,
            peer,
            reach: Reach::default(),
            standing: Standing::new(now, Arc::clone(changes)),
            health: Health::default(),
            load: Load::new(now),
            queue: Arc::clone(queue),
            removed: AtomicBool::new(false),
        }
    }

    /// No snapshot to come has it: its requests are finished, its unused connections are closed and no more are kept.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    /// Whether it is no longer in the live snapshot.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// Counts one request in flight until the guard is dropped. None where there are `most` of them already.
    pub fn begin(self: &Arc<Self>, most: Option<u32>) -> Option<Active> {
        let before = self.load.add();
        let active = Active { endpoint: Arc::clone(self) };
        // Where two come at once for the last place, one of them gets it.
        most.is_none_or(|most| before < most).then_some(active)
    }
}

/// One request in flight.
#[derive(Debug)]
pub struct Active {
    /// Where to.
    pub endpoint: Arc<Endpoint>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.endpoint.load.subtract();
        self.endpoint.queue.made_room();
    }
}
