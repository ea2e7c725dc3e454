//! One backend of one pool, as all workers share it. It outlives a reload that leaves its URL in its pool,
//! and the way it is spoken to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{BackendUrl, Reach};
use crate::base::metrics::Label;
use crate::proxy::tls::Peer;

/// One backend of one pool.
#[derive(Debug)]
pub struct Endpoint {
    /// Tells endpoints apart for as long as the process lives; the key of the workers' connection pools.
    pub id: u64,
    /// The URL as written in the config.
    pub url: BackendUrl,
    /// The URL as a metrics label.
    pub label: Label,
    /// How it is verified inside TLS; nothing where its URL says plain.
    pub peer: Option<Peer>,
    /// Whether connections to it can be opened.
    pub reach: Reach,
    active: AtomicU32,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Endpoint {
    /// A new endpoint that serves nothing yet.
    pub fn new(url: BackendUrl, label: Label, peer: Option<Peer>) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, url, label, peer, reach: Reach::default(), active: AtomicU32::new(0) }
    }

    /// Requests in flight, over all workers.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts one request in flight until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active { endpoint: Arc::clone(self) }
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
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
    }
}
