//! Probes: whether each endpoint is well, asked again and again, each by its own clock.
//!
//! [`Probes`] follows the pools that are live. `schedule` says when which endpoint is due and what its probes make of it, `probe`
//! is one of them, and each kind has a file: `http`, `tcp`, `grpc`. What comes of it goes into the endpoint: its standing, which
//! picks read, and its health, which is shown.

mod grpc;
mod http;
mod probe;
mod schedule;
mod tcp;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::base::buffers::Buffers;
use crate::base::clock;
use crate::base::metrics::{self, Registry};
use crate::base::task::Tasks;
use crate::proxy::balance::{self, Pool};
use probe::{Failure, Probed};
use schedule::{Group, News, Schedule, Turn};

/// How many probes are under way at once.
const MOST_AT_ONCE: usize = 256;

/// How long the end of a good exchange may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The probes of all endpoints. Clones are the same probes.
#[derive(Clone)]
pub struct Probes(Rc<Room>);

struct Room {
    schedule: RefCell<Schedule>,
    /// By endpoint.
    probed: RefCell<HashMap<u64, Rc<Probed>>>,
    /// The pools that too few others are left in, by name.
    asking_all: RefCell<HashSet<String>>,
    /// Something is due sooner, or there is room for another probe.
    changed: Notify,
    running: Tasks,
    buffers: Rc<Buffers>,
    metrics: metrics::Worker,
}

impl Probes {
    /// None yet.
    pub fn new(registry: &Registry) -> Self {
        Self(Rc::new(Room {
            schedule: RefCell::new(Schedule::new(fastrand::Rng::new())),
            probed: RefCell::default(),
            asking_all: RefCell::default(),
            changed: Notify::new(),
            running: Tasks::default(),
            buffers: Rc::default(),
            metrics: registry.worker(),
        }))
    }

    /// Begins to probe, in tasks of their own: nobody waits for a backend. Needs a `LocalSet`, and ends with it.
    pub fn start(&self) {
        let room = Rc::clone(&self.0);
        let said = |said: &str| tracing::error!(said, "probes have panicked and are over; this is a bug");
        Tasks::default().start(async move { room.run().await }, said);
    }

    /// Takes up the endpoints of pools that went live. What is known of those that stay goes on; those that are not probed any
    /// more are up.
    pub fn follow(&self, pools: &[Arc<Pool>]) {
        let room = &self.0;
        let mut groups = Vec::new();
        let mut probed = HashMap::new();
        for pool in pools {
            let Some(check) = &pool.health else { continue };
            groups.push(Group {
                check: Arc::clone(check),
                endpoints: pool.endpoints.iter().map(|endpoint| endpoint.id).collect(),
            });
            for endpoint in &pool.endpoints {
                endpoint.health.begin(clock::now());
                let (pool, check) = (Arc::clone(pool), Arc::clone(check));
                let endpoint = Arc::clone(endpoint);
                probed.insert(endpoint.id, Rc::new(Probed { pool, endpoint, check }));
            }
        }
        for endpoint in pools.iter().flat_map(|pool| &pool.endpoints) {
            if room.probed.borrow().contains_key(&endpoint.id) && !probed.contains_key(&endpoint.id) {
                endpoint.standing.recover(Instant::now(), None);
                endpoint.health.forget();
            }
        }
        room.schedule.borrow_mut().follow(&groups, Instant::now());
        room.probed.replace(probed);
        room.asking_all.borrow_mut().retain(|name| pools.iter().any(|pool| pool.name == *name));
        pools.iter().for_each(|pool| room.tell_pool(pool));
        room.changed.notify_one();
    }
}

impl Room {
    async fn run(self: Rc<Self>) {
        loop {
            while let Some((turn, probed)) = self.next() {
                Rc::clone(&self).begin(turn, probed);
            }
            let is_full = self.running.count() >= MOST_AT_ONCE;
            let due = if is_full { None } else { self.schedule.borrow().next_due() };
            tokio::select! {
                () = self.changed.notified() => {}
                () = at(due) => {}
            }
        }
    }

    /// A probe that is due, where there is room for it.
    fn next(&self) -> Option<(Turn, Rc<Probed>)> {
        if self.running.count() >= MOST_AT_ONCE {
            return None;
        }
        let turn = self.schedule.borrow_mut().begin(Instant::now())?;
        Some((turn, self.probed.borrow().get(&turn.endpoint).cloned()?))
    }

    fn begin(self: Rc<Self>, turn: Turn, probed: Rc<Probed>) {
        let room = Rc::clone(&self);
        let probing = async move {
            let began = Instant::now();
            let (result, left) = match probed.probe(&self.buffers).await {
                Ok(left) => (Ok(()), left),
                Err(failure) => (Err(failure), None),
            };
            self.ended(turn, result, began.elapsed());
            if let Some(left) = left {
                // Whether the backend lets us go in good order decides nothing.
                let _ = tokio::time::timeout(FAREWELL, left.end()).await;
            }
            self.changed.notify_one();
        };
        room.running.clone().start(probing, move |said| {
            tracing::error!(said, "a probe panicked; this is a bug");
            room.ended(turn, Err(Failure::bug()), Duration::ZERO);
            room.changed.notify_one();
        });
    }

    /// Takes up what came of a probe.
    fn ended(&self, turn: Turn, result: Result<(), Failure>, took: Duration) {
        let Some(news) = self.schedule.borrow_mut().ended(turn, result.is_ok(), Instant::now()) else { return };
        // As it is now: a reload may have put another pool around it meanwhile.
        let Some(probed) = self.probed.borrow().get(&turn.endpoint).cloned() else { return };
        let Probed { pool, endpoint, check } = &*probed;
        let outcome = result.as_ref().map_or_else(|failure| failure.outcome, |()| "ok");
        self.metrics.probed(pool.label, endpoint.label, outcome);
        let problem = result.err().map(|failure| failure.told);
        let turned = match news {
            News::Same => None,
            News::Down => Some(false),
            News::Up => Some(true),
        };
        let seen = balance::Probed { at: clock::now(), took, problem: problem.clone() };
        let lasted = endpoint.health.probed(seen, turned);
        let (name, backend, address) = (pool.name.as_str(), endpoint.url.text.as_str(), &endpoint.address);
        match news {
            News::Same => return,
            News::Down => {
                endpoint.standing.fail();
                let (reason, probes) = (problem.unwrap_or_default(), check.pace.fall);
                tracing::warn!(pool = name, backend, %address, reason, probes, "backend is down");
            }
            News::Up => {
                endpoint.standing.recover(Instant::now(), pool.slow_start());
                let (down_seconds, probes) = (lasted.as_secs(), check.pace.rise);
                tracing::info!(pool = name, backend, %address, down_seconds, probes, "backend is up");
            }
        }
        self.tell_pool(pool);
    }

    /// Says when too few endpoints of a pool are left, and when there are enough again.
    fn tell_pool(&self, pool: &Pool) {
        let asks_all = pool.health.is_some() && pool.asks_all();
        let mut known = self.asking_all.borrow_mut();
        if asks_all == known.contains(&pool.name) {
            return;
        }
        let up = pool.endpoints.iter().filter(|endpoint| !endpoint.standing.is_down()).count();
        let of = pool.endpoints.len();
        if asks_all {
            known.insert(pool.name.clone());
            tracing::warn!(
                pool = pool.name,
                up,
                of,
                "too few backends of a pool are up; those that are down are asked too"
            );
        } else {
            known.remove(&pool.name);
            tracing::info!(pool = pool.name, up, of, "enough backends of a pool are up again");
        }
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
