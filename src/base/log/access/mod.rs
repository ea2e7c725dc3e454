//! The access log: one line a request.

mod line;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::queue::{Message, Queue};
use super::settings::{Format, Settings};
use super::stamp::Stamp;

/// Lines are handed to the log thread when this much has come together.
const BATCH: usize = 64 << 10;

/// What is written about one request. Client-chosen values may hold any bytes and be of any length.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When its first byte came.
    pub time: SystemTime,
    /// Whom it came from, after trusted proxies.
    pub client: IpAddr,
    /// Its method.
    pub method: &'a [u8],
    /// The host it asked for, with its port where there was one.
    pub host: &'a [u8],
    /// Raw path and query.
    pub target: &'a [u8],
    /// `HTTP/1.1` and the like.
    pub protocol: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Body bytes received.
    pub request_bytes: u64,
    /// Body bytes sent.
    pub response_bytes: u64,
    /// From its first byte to the last of the answer.
    pub duration: Duration,
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name; empty where none matched.
    pub route: &'a str,
    /// The backend that answered, or the last one tried.
    pub backend: Option<&'a str>,
    /// From sending the request to the head of the backend's answer.
    pub backend_duration: Option<Duration>,
    /// How often it was sent again.
    pub retries: u32,
    /// Why it was the last time, by the name of its fault.
    pub retry_reason: Option<&'static str>,
    /// The `X-Request-Id` that the backend got.
    pub request_id: &'a [u8],
    /// Why it was refused or failed, by the name of its fault.
    pub reason: Option<&'static str>,
    /// Why it would have been refused if every policy did more than observe, by the names of the faults.
    pub observed: &'a [&'static str],
    /// The TLS version, `TLSv1.3`; none on a plain listener.
    pub tls: Option<&'static str>,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
}

/// One worker's end of the access log; clones are the same one. Collects lines and never waits.
#[derive(Clone)]
pub struct Writer(Rc<RefCell<Batch>>);

struct Batch {
    queue: Arc<Queue>,
    version: u64,
    policy: Option<Policy>,
    bytes: Vec<u8>,
    lines: u64,
    stamp: Stamp,
}

#[derive(Clone, Copy)]
struct Policy {
    format: Format,
    sample: f64,
}

impl Policy {
    fn of(settings: &Settings) -> Option<Self> {
        settings.access.as_ref().map(|access| Self { format: settings.format, sample: access.sample })
    }
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        let (version, settings) = queue.settings();
        let policy = Policy::of(&settings);
        let batch = Batch { queue, version, policy, bytes: Vec::new(), lines: 0, stamp: Stamp::default() };
        Self(Rc::new(RefCell::new(batch)))
    }

    /// Writes `entry`, unless the access log is off or sampling leaves it out.
    pub fn write(&self, entry: &Entry<'_>) {
        let batch = &mut *self.0.borrow_mut();
        batch.refresh();
        let Some(policy) = batch.policy else { return };
        if entry.status < 500 && policy.sample < 1.0 && fastrand::f64() >= policy.sample {
            return;
        }
        match policy.format {
            Format::Text => line::text(entry, &mut batch.stamp, &mut batch.bytes),
            Format::Json => line::json(entry, &mut batch.stamp, &mut batch.bytes),
        }
        batch.lines += 1;
        if batch.bytes.len() >= BATCH {
            batch.hand_over();
        }
    }

    /// Hands over what has been collected. For the worker's tick, at least once a second, and before it ends.
    pub fn flush(&self) {
        self.0.borrow_mut().hand_over();
    }
}

impl Batch {
    /// Takes up a changed config: one relaxed load where nothing changed.
    fn refresh(&mut self) {
        if self.version != self.queue.version() {
            self.hand_over();
            let (version, settings) = self.queue.settings();
            self.version = version;
            self.policy = Policy::of(&settings);
        }
    }

    fn hand_over(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let next = Vec::with_capacity(if self.bytes.len() >= BATCH { BATCH + BATCH / 4 } else { 0 });
        let bytes = std::mem::replace(&mut self.bytes, next);
        self.queue.send(Message::Access(bytes), self.lines);
        self.lines = 0;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.hand_over();
    }
}
