//! A worker's connections to backends: HTTP/1.1 ones that are unused, HTTP/2 ones that are shared.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::backend::{Backend, Broken};
use super::connection::{Connection, Limits};
use super::forward::Call;
use super::opening::{self, Opening};
use crate::base::alarm::{Alarms, Moment};
use crate::base::buffers::Buffers;
use crate::base::task::Tasks;
use crate::proxy::balance::{Endpoint, Protocol};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::Length;
use crate::proxy::http::h2::client::{Asking, Handle, Health, Probe, Stream};
use crate::proxy::listen::proxy_protocol::Header;

/// How many unused connections are kept per endpoint and worker.
const MOST_IDLE: usize = 512;

/// How many kinds of connections there may be before one client's own is not kept.
const MOST_KEYS: usize = 1024;

/// A request that cannot be sent again takes no connection that has been unused for longer: the backend may be closing it. One
/// second on the coarse clock, which may be a tick behind.
const FRESH: Duration = Duration::from_millis(900);

/// How many connections one attempt waits for: some are over, or full, as soon as they are open.
const MOST_OPENINGS: u32 = 3;

/// The connections of one worker. The one that was used last is used first, so that a quiet time sheds the rest.
pub struct Client(Rc<Room>);

/// What the client shares with the tasks of its connections.
pub(super) struct Room {
    pub(super) alarms: Rc<Alarms>,
    pub(super) buffers: Rc<Buffers>,
    /// The tasks of HTTP/2 connections. No drain waits for them: they end with their last stream.
    tasks: Tasks,
    pub(super) kept: RefCell<HashMap<Key, Kept, RandomState>>,
    serial: Cell<u64>,
}

/// Which connections may carry a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) endpoint: u64,
    /// The PROXY header that they began with.
    pub(super) header: Option<Header>,
}

/// The connections of one key.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) idle: Vec<Idle>,
    pub(super) shared: Vec<Shared>,
    pub(super) openings: Vec<Rc<Opening>>,
    /// When the backend last chose HTTP/1.1 where it could have chosen HTTP/2.
    pub(super) chose_h1: Option<Moment>,
}

/// An unused connection of HTTP/1.1.
pub(super) struct Idle {
    pub(super) connection: Box<Connection>,
    pub(super) until: Moment,
}

/// A connection of HTTP/2.
pub(super) struct Shared {
    pub(super) handle: Handle,
    /// What it leads to.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) serial: u64,
    /// How long it may be without a stream, and in all.
    pub(super) limits: Limits,
}

/// What is asked of a connection.
pub(super) struct Wanted<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) endpoint: &'a Arc<Endpoint>,
    /// How long the request's body is.
    pub(super) length: Length,
    /// Whether the request can be sent again.
    pub(super) replayable: bool,
    /// Only a connection opened since then will do.
    pub(super) since: u64,
}

impl Wanted<'_> {
    /// Whether it is to go over HTTP/2 where there is such a connection. Few backends take a WebSocket there: one that could have
    /// chosen HTTP/1.1 gets it over that.
    fn may_use(&self, shared: &Shared) -> bool {
        let chosen = self.call.pool.protocol == Protocol::Auto;
        !(chosen && self.call.request.tunnel) || shared.handle.takes_tunnels()
    }
}

/// What there is of connections.
enum Found {
    H1(Box<Connection>),
    H2(Box<Stream>),
    Broken(Broken),
    /// One that may be dead.
    Doubtful(Probe),
    Nothing,
}

impl Client {
    /// No connections yet.
    pub fn new(alarms: Rc<Alarms>, buffers: Rc<Buffers>) -> Self {
        let (tasks, kept) = (Tasks::default(), RefCell::default());
        Self(Rc::new(Room { alarms, buffers, tasks, kept, serial: Cell::new(0) }))
    }

    /// A mark: connections opened later are told from those opened before.
    pub(super) fn mark(&self) -> u64 {
        self.0.serial.get() + 1
    }

    /// Begins a request on a connection that is still good, or on a new one.
    pub(super) async fn begin(&self, wanted: &Wanted<'_>) -> Result<Backend, Broken> {
        let call = wanted.call;
        let key = Key { endpoint: wanted.endpoint.id, header: call.header };
        let due = self.0.alarms.after(call.timeouts.connect).min(call.total);
        let unseen = |fault| Broken { fault: opening::late(call, fault), unseen: true, stale: false };
        let mut left = MOST_OPENINGS;
        loop {
            match self.find(key, wanted) {
                Found::H1(mut connection) => {
                    connection.begin(call.request, wanted.length);
                    return Ok(Backend::H1(connection));
                }
                Found::H2(stream) => return Ok(Backend::H2(stream)),
                Found::Broken(broken) => return Err(broken),
                Found::Doubtful(probe) => probe.wait(call.alarm, due).await.map_err(unseen)?,
                Found::Nothing if self.may_share(key, wanted) => {
                    left = left.checked_sub(1).ok_or_else(|| unseen(Fault::BackendReset))?;
                    self.opening(key, wanted).wait(call.alarm, due).await.map_err(unseen)?;
                }
                Found::Nothing => {
                    let opened = opening::h1(&self.0, wanted, (key, call.alarm), due).await;
                    let mut connection = opened.map_err(unseen)?;
                    connection.begin(call.request, wanted.length);
                    return Ok(Backend::H1(connection));
                }
            }
        }
    }

    fn find(&self, key: Key, wanted: &Wanted<'_>) -> Found {
        let mut all = self.0.kept.borrow_mut();
        let Some(kept) = all.get_mut(&key) else { return Found::Nothing };
        let now = self.0.alarms.now();
        kept.shared.retain(|shared| shared.is_usable(now));
        let open = |shared: &&Shared| shared.serial >= wanted.since && shared.handle.health() == Health::Open;
        if let Some(Shared { handle, .. }) = kept.shared.iter().filter(|shared| wanted.may_use(shared)).find(open) {
            if handle.is_doubtful(wanted.replayable) {
                return Found::Doubtful(handle.probe());
            }
            let (request, secure) = (wanted.call.request, wanted.endpoint.url.secure);
            return match Stream::open(handle, Asking { request, length: wanted.length, secure }) {
                Ok(stream) => Found::H2(Box::new(stream)),
                Err(broken) => {
                    Found::Broken(Broken { fault: broken.fault, unseen: broken.unprocessed, stale: broken.stale })
                }
            };
        }
        kept.take_idle(wanted, now).map_or(Found::Nothing, Found::H1)
    }

    /// Whether a new connection may turn out to be one of HTTP/2, which others then use as well.
    fn may_share(&self, key: Key, wanted: &Wanted<'_>) -> bool {
        match wanted.call.pool.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => {
                let all = self.0.kept.borrow();
                let now = self.0.alarms.now();
                let h1 =
                    |kept: &Kept| kept.is_known_for_h1(now) || kept.shared.iter().any(|shared| !wanted.may_use(shared));
                wanted.endpoint.url.secure && !all.get(&key).is_some_and(h1)
            }
        }
    }

    /// The opening of a connection to wait for: one under way, or a new one where those have enough who wait.
    fn opening(&self, key: Key, wanted: &Wanted<'_>) -> Rc<Opening> {
        let mut all = self.0.kept.borrow_mut();
        let kept = all.entry(key).or_default();
        let most = kept.shared.last().map_or(opening::MOST_WAITING, |shared| shared.handle.capacity().max(1));
        if let Some(opening) = kept.openings.iter().find(|opening| opening.waiting() < most) {
            return Rc::clone(opening);
        }
        let opening = Rc::<Opening>::default();
        kept.openings.push(Rc::clone(&opening));
        // Others will wait for it: how long this request has left is not what bounds it.
        let due = self.0.alarms.after(wanted.call.timeouts.connect);
        let task = opening::shared(&self.0, wanted, (key, Rc::clone(&opening)), due);
        let (room, panicked) = (Rc::clone(&self.0), Rc::clone(&opening));
        self.0.tasks.start(task, move |said| {
            tracing::error!(said, "panicked on a connection to a backend; this is a bug");
            room.end_opening(key, &panicked, Err(Fault::Internal));
        });
        opening
    }

    /// Keeps a connection whose exchange is complete, unless its endpoint was removed meanwhile.
    pub(super) fn give(&self, mut connection: Box<Connection>, limits: Limits) {
        let keep = connection.keep(limits.idle);
        if !connection.keeps || !connection.stream.channel.input().is_empty() || keep.is_zero() {
            return;
        }
        connection.used = true;
        connection.idle_since = self.0.alarms.now();
        let lived = limits.lifetime.map_or(Moment::NEVER, |lifetime| connection.opened.plus(lifetime));
        let until = connection.idle_since.plus(keep).min(lived);
        let mut all = self.0.kept.borrow_mut();
        if connection.key.header.is_some() && all.len() >= MOST_KEYS {
            return;
        }
        let kept = all.entry(connection.key).or_default();
        if kept.idle.len() < MOST_IDLE {
            kept.idle.push(Idle { connection, until });
        }
    }

    /// Closes connections that have been unused for too long, that their backend has closed, or whose endpoint was removed. To be
    /// called about once a second.
    pub fn sweep(&self) {
        let now = self.0.alarms.now();
        self.0.kept.borrow_mut().retain(|_, kept| {
            // Only here: an exchange of an older snapshot may be about to use what it has just opened.
            kept.idle.retain(|entry| now < entry.until && entry.connection.is_quiet_and_wanted());
            kept.shared.retain(|shared| shared.is_usable(now) && !shared.endpoint.is_removed());
            !(kept.idle.is_empty() && kept.shared.is_empty() && kept.openings.is_empty())
        });
    }

    /// Closes every unused connection, at the end of a worker.
    pub fn close_all(&self) {
        self.0.kept.borrow_mut().clear();
    }
}

impl Room {
    /// The number of a new connection.
    pub(super) fn next_serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// An opening is over: whoever waits looks again, or fails.
    pub(super) fn end_opening(&self, key: Key, opening: &Rc<Opening>, result: Result<(), Fault>) {
        if let Some(kept) = self.kept.borrow_mut().get_mut(&key) {
            kept.openings.retain(|other| !Rc::ptr_eq(other, opening));
        }
        opening.end(result);
    }
}

impl Kept {
    /// An unused connection that is still good. Replayable requests take any; others one used within the last second.
    fn take_idle(&mut self, wanted: &Wanted<'_>, now: Moment) -> Option<Box<Connection>> {
        while let Some(entry) = self.idle.pop() {
            if entry.connection.serial < wanted.since {
                continue;
            }
            if !wanted.replayable && now > entry.connection.idle_since.plus(FRESH) {
                // The others have been unused for longer, and are still good for requests that can be sent again. What is opened
                // instead takes the place of the oldest, so that a POST now and then does not gather connections.
                self.idle.push(entry);
                self.idle.remove(0);
                return None;
            }
            if now < entry.until && entry.connection.stream.channel.is_quiet() {
                return Some(entry.connection);
            }
        }
        None
    }
}

impl Shared {
    /// Whether it may get another stream, now or later: it is open, and has not been so, or without a stream, for too long.
    fn is_usable(&self, now: Moment) -> bool {
        let idle = self.handle.idle().is_some_and(|idle| idle >= self.limits.idle);
        let old = self.limits.lifetime.is_some_and(|lifetime| now >= self.handle.opened().plus(lifetime));
        !idle && !old && self.handle.health() != Health::Over
    }
}
