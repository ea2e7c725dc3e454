//! A worker's unused connections to backends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::connection::Connection;
use super::dial;
use crate::base::alarm::{Alarm, Alarms, Moment};
use crate::base::buffers::Buffers;
use crate::proxy::balance::Endpoint;
use crate::proxy::fault::Fault;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h1::stream::Stream;
use crate::proxy::tls::Offer;

/// How many unused connections are kept per endpoint and worker.
const MOST_IDLE: usize = 512;

/// A request that cannot be sent again takes no connection that has been unused for longer: the backend may be closing it.
/// One second on the coarse clock, which may be a tick behind.
const FRESH: Duration = Duration::from_millis(900);

/// The connections of one worker. The one that was used last is used first, so that a quiet time sheds the rest.
pub struct Client {
    alarms: Rc<Alarms>,
    buffers: Rc<Buffers>,
    idle: RefCell<HashMap<u64, Vec<Idle>, FixedState>>,
}

struct Idle {
    connection: Connection,
    until: Moment,
}

impl Client {
    /// No connections yet.
    pub fn new(alarms: Rc<Alarms>, buffers: Rc<Buffers>) -> Self {
        Self { alarms, buffers, idle: RefCell::default() }
    }

    /// An unused connection that is still good. `replayable` requests take any; others only one used within the last second.
    pub(super) fn take(&self, endpoint: &Endpoint, replayable: bool) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&endpoint.id)?;
        let now = self.alarms.now();
        while let Some(entry) = kept.pop() {
            if !replayable && now > entry.connection.idle_since.plus(FRESH) {
                kept.clear();
                return None;
            }
            if now < entry.until && entry.connection.stream.channel.is_quiet() {
                return Some(entry.connection);
            }
        }
        None
    }

    /// Opens a new connection before `due`.
    pub(super) async fn open(&self, endpoint: &Endpoint, alarm: &Alarm, due: Moment) -> Result<Connection, Fault> {
        let (io, _) = dial::open(endpoint, Offer::Http1, alarm, due).await?;
        let channel = Channel::new(io, Rc::clone(&self.buffers));
        Ok(Connection {
            stream: Stream::new(channel),
            endpoint: endpoint.id,
            keeps: false,
            keep_alive: None,
            idle_since: self.alarms.now(),
        })
    }

    /// Keeps a connection whose exchange is complete for up to `pool_idle`.
    pub(super) fn give(&self, mut connection: Connection, pool_idle: Duration) {
        let keep = connection.keep_alive.map_or(pool_idle, |announced| announced.min(pool_idle));
        if !connection.keeps || !connection.stream.channel.input().is_empty() || keep.is_zero() {
            return;
        }
        connection.idle_since = self.alarms.now();
        let until = connection.idle_since.plus(keep);
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry(connection.endpoint).or_default();
        if kept.len() < MOST_IDLE {
            kept.push(Idle { connection, until });
        }
    }

    /// Closes connections that have been unused for too long or that their backend has closed. To be called about once a second.
    pub fn sweep(&self) {
        let now = self.alarms.now();
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain(|entry| now < entry.until && entry.connection.stream.channel.is_quiet());
            !kept.is_empty()
        });
    }

    /// Closes every unused connection, at the end of a worker.
    pub fn close_all(&self) {
        self.idle.borrow_mut().clear();
    }
}
