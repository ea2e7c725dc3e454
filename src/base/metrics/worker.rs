//! What a worker counts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::cell::{Counter, Histogram};
use super::family::Local;
use super::label::Label;
use super::registry::Registry;

/// The counters of one worker thread; clones are the same counters. Nothing here locks or allocates after the first use
/// of a set of labels. `&'static str` labels (reasons, outcomes, causes) are names from the code, never a client's value.
#[derive(Clone)]
pub struct Worker(Rc<Locals>);

struct Locals {
    registry: Registry,
    names: RefCell<HashMap<(usize, usize), Label, foldhash::fast::FixedState>>,
    requests: Local<Counter, 3>,
    request_durations: Local<Histogram, 1>,
    refused: Local<Counter, 2>,
    observed: Local<Counter, 2>,
    retries: Local<Counter, 2>,
    queued: Local<Counter, 1>,
    mirrored: Local<Counter, 2>,
    connections_open: Local<Counter, 1>,
    connections: Local<Counter, 1>,
    handshakes: Local<Counter, 4>,
    handshake_failures: Local<Counter, 1>,
    backend_active: Local<Counter, 2>,
    backend_requests: Local<Counter, 3>,
    backend_responses: Local<Histogram, 2>,
    probes: Local<Counter, 3>,
    panics: Local<Counter, 0>,
}

/// What a finished TLS handshake agreed on. The names are rustls's.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The IANA name of the cipher suite.
    pub cipher: &'static str,
    /// The key exchange group; `none` where a resumption had none.
    pub group: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

impl Worker {
    pub(super) fn new(registry: Registry) -> Self {
        Self(Rc::new(Locals {
            registry,
            names: RefCell::default(),
            requests: Local::default(),
            request_durations: Local::default(),
            refused: Local::default(),
            observed: Local::default(),
            retries: Local::default(),
            queued: Local::default(),
            mirrored: Local::default(),
            connections_open: Local::default(),
            connections: Local::default(),
            handshakes: Local::default(),
            handshake_failures: Local::default(),
            backend_active: Local::default(),
            backend_requests: Local::default(),
            backend_responses: Local::default(),
            probes: Local::default(),
            panics: Local::default(),
        }))
    }

    /// A request was answered with `status` after `duration`, from its first byte to the last of the answer.
    /// `route` is [`Label::NONE`] where none matched.
    pub fn request(&self, listener: Label, route: Label, status: u16, duration: Duration) {
        let families = self.0.registry.families();
        self.0.requests.with(&families.requests, [listener, route, Label::status(status)], |cell| cell.add(1));
        self.0.request_durations.with(&families.request_durations, [route], |cell| cell.observe(duration));
    }

    /// A request was refused or failed for `reason`.
    pub fn refused(&self, reason: &'static str, route: Label) {
        let key = [self.name(reason), route];
        self.0.refused.with(&self.0.registry.families().refused, key, |cell| cell.add(1));
    }

    /// A request went on that a policy would refuse for `reason` if it did more than observe.
    pub fn observed(&self, reason: &'static str, route: Label) {
        let key = [self.name(reason), route];
        self.0.observed.with(&self.0.registry.families().observed, key, |cell| cell.add(1));
    }

    /// A request was sent again; `outcome` says what came of it or why it was not.
    pub fn retried(&self, pool: Label, outcome: &'static str) {
        let key = [pool, self.name(outcome)];
        self.0.retries.with(&self.0.registry.families().retries, key, |cell| cell.add(1));
    }

    /// A request waits for a backend of the pool with room. Exactly one [`Self::left_queue`] follows.
    pub fn queued(&self, pool: Label) {
        self.0.queued.with(&self.0.registry.families().queued, [pool], |cell| cell.add(1));
    }

    /// A request counted by [`Self::queued`] waits no more.
    pub fn left_queue(&self, pool: Label) {
        self.0.queued.with(&self.0.registry.families().queued, [pool], Counter::subtract_one);
    }

    /// A request was to be copied to a pool; `outcome` says what came of it.
    pub fn mirrored(&self, pool: Label, outcome: &'static str) {
        let key = [pool, self.name(outcome)];
        self.0.mirrored.with(&self.0.registry.families().mirrored, key, |cell| cell.add(1));
    }

    /// A client connected.
    pub fn connection_opened(&self, listener: Label) {
        let families = self.0.registry.families();
        self.0.connections.with(&families.connections, [listener], |cell| cell.add(1));
        self.0.connections_open.with(&families.connections_open, [listener], |cell| cell.add(1));
    }

    /// A connection counted by [`Self::connection_opened`] is gone. Another worker than the one that opened it may say so.
    pub fn connection_closed(&self, listener: Label) {
        self.0.connections_open.with(&self.0.registry.families().connections_open, [listener], Counter::subtract_one);
    }

    /// A TLS handshake was finished.
    pub fn handshake(&self, agreed: Handshake) {
        let resumed = if agreed.resumed { "true" } else { "false" };
        let key = [self.name(agreed.version), self.name(agreed.cipher), self.name(agreed.group), self.name(resumed)];
        self.0.handshakes.with(&self.0.registry.families().handshakes, key, |cell| cell.add(1));
    }

    /// A TLS handshake failed for `cause`.
    pub fn handshake_failed(&self, cause: &'static str) {
        let key = [self.name(cause)];
        self.0.handshake_failures.with(&self.0.registry.families().handshake_failures, key, |cell| cell.add(1));
    }

    /// A request goes to a backend. Exactly one [`Self::backend_finished`] follows.
    pub fn backend_started(&self, pool: Label, backend: Label) {
        self.0.backend_active.with(&self.0.registry.families().backend_active, [pool, backend], |cell| cell.add(1));
    }

    /// A request counted by [`Self::backend_started`] ended. `response` is the time from sending it to the head of the
    /// answer; nothing where none came.
    pub fn backend_finished(&self, pool: Label, backend: Label, outcome: &'static str, response: Option<Duration>) {
        let families = self.0.registry.families();
        self.0.backend_active.with(&families.backend_active, [pool, backend], Counter::subtract_one);
        let key = [pool, backend, self.name(outcome)];
        self.0.backend_requests.with(&families.backend_requests, key, |cell| cell.add(1));
        if let Some(response) = response {
            self.0.backend_responses.with(&families.backend_responses, [pool, backend], |cell| cell.observe(response));
        }
    }

    /// A probe of a backend ended; `outcome` says how.
    pub fn probed(&self, pool: Label, backend: Label, outcome: &'static str) {
        let key = [pool, backend, self.name(outcome)];
        self.0.probes.with(&self.0.registry.families().probes, key, |cell| cell.add(1));
    }

    /// A panic was caught; it cost its connection.
    pub fn panicked(&self) {
        self.0.panics.with(&self.0.registry.families().panics, [], |cell| cell.add(1));
    }

    /// The label of a name from the code, found by where the name lies in memory. The same name twice in memory costs
    /// two entries of the same label.
    fn name(&self, name: &'static str) -> Label {
        let place = (name.as_ptr().addr(), name.len());
        if let Some(label) = self.0.names.borrow().get(&place) {
            return *label;
        }
        let label = self.0.registry.label(name);
        self.0.names.borrow_mut().insert(place, label);
        label
    }
}
