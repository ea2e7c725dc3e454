//! What is shown of the running gateway: put together from the live snapshot whenever somebody asks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use time::OffsetDateTime;

use crate::base::clock;
use crate::base::metrics::{BreakerStates, OfBackends};
use crate::control::admin::status::{Backend, Certificate, Health, Listener, Pool, Probe, Problem, Status};
use crate::control::build;
use crate::control::explain::{Texts, explained};
use crate::proxy::balance::{self, Endpoint, Question};
use crate::proxy::explain::{self, Explanation, Seen, Unaskable};
use crate::proxy::listen::Bind;
use crate::proxy::worker::Shared;

mod breakers;
mod counts;

/// The facts that no snapshot holds. Clones are the same inventory.
#[derive(Clone)]
pub struct Inventory(Arc<Inner>);

struct Inner {
    file: PathBuf,
    started: Instant,
    ready: AtomicBool,
    changing: Mutex<Changing>,
}

/// What changes with each reload.
#[derive(Default)]
struct Changing {
    problems: Vec<Problem>,
    addresses: Vec<(String, String)>,
    certificates: Vec<build::Certificate>,
    unresolved: HashMap<Question, String>,
    texts: Option<Texts>,
}

impl Inventory {
    /// Of a gateway that has just started on the config in `file`.
    pub fn new(file: &Path) -> Self {
        Self(Arc::new(Inner {
            file: file.to_owned(),
            started: Instant::now(),
            ready: AtomicBool::new(false),
            changing: Mutex::default(),
        }))
    }

    /// Whether every listener accepts and no drain has begun.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// States whether it does.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// States why the last reload was refused; nothing where it was applied.
    pub fn set_problems(&self, problems: Vec<Problem>) {
        self.changing().problems = problems;
    }

    /// States what a config that went live listens on and serves.
    pub fn set_live(&self, addresses: Vec<(String, String)>, certificates: Vec<build::Certificate>) {
        let mut changing = self.changing();
        changing.addresses = addresses;
        changing.certificates = certificates;
    }

    /// States which names of backends do not resolve, and why.
    pub fn set_unresolved(&self, problems: HashMap<Question, String>) {
        self.changing().unresolved = problems;
    }

    /// States what the files of the config say now. What goes live is this; what is moved within a file without another meaning is
    /// no change of it.
    pub fn set_texts(&self, texts: Texts) {
        self.changing().texts = Some(texts);
    }

    /// What would become of a request now.
    ///
    /// # Errors
    /// Where it is no request to a listener.
    pub fn explain(&self, shared: &Shared, question: &explain::Question) -> Result<Explanation, Unaskable> {
        let snapshot = shared.live.load();
        let (places, texts) = {
            let changing = self.changing();
            let parsed = |(name, at): &(String, String)| Some((name.clone(), at.parse::<Bind>().ok()?));
            (changing.addresses.iter().filter_map(parsed).collect::<Vec<_>>(), changing.texts.clone())
        };
        let seen = Seen {
            snapshot: &snapshot,
            places: &places,
            now: Instant::now(),
            draining: shared.draining.load(Ordering::Relaxed),
            resolved: true,
        };
        explained(seen, question, texts.as_ref())
    }

    /// Everything, as it is now.
    pub fn status(&self, shared: &Shared) -> Status {
        let snapshot = shared.live.load();
        let changing = self.changing();
        // One walk, so that the numbers of a backend fit each other while workers go on counting.
        let sums = shared.registry.totals("portcullis_backend_requests_total", &["pool", "backend", "outcome"]);
        let retries = counts::retries(&shared.registry);
        let listeners = snapshot.listeners.iter().map(|listener| Listener {
            name: listener.name.clone(),
            addresses: changing
                .addresses
                .iter()
                .filter(|(name, _)| *name == listener.name)
                .map(|(_, at)| at.clone())
                .collect(),
            tls: listener.tls.is_some(),
            connections_open: u64::from(listener.gauge.open()),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.0.started.elapsed().as_secs(),
            ready: self.is_ready(),
            workers: u32::try_from(shared.places.len()).unwrap_or(u32::MAX),
            generation: snapshot.config_generation,
            config_file: self.0.file.display().to_string(),
            problems: changing.problems.clone(),
            listeners: listeners.collect(),
            routes: snapshot.routes.iter().count() as u64,
            rate_limits: counts::rate_limits(&shared.registry),
            pools: snapshot.pools.iter().map(|shown| pool(shown, (&sums, &retries), &changing.unresolved)).collect(),
            certificates: changing.certificates.iter().map(certificate).collect(),
        }
    }

    /// The weight that each backend has now, by pool and backend.
    pub fn weights(shared: &Shared) -> OfBackends {
        let of_pool = |pool: &Arc<balance::Pool>| {
            let weight = |backend| (key(pool, backend), pool.current_weight(backend));
            pool.backends.iter().map(weight).collect::<Vec<_>>()
        };
        shared.live.load().pools.iter().flat_map(of_pool).collect()
    }

    /// Whether each backend is up at one of its addresses at least, by pool and backend: 1, or 0.
    pub fn up(shared: &Shared) -> OfBackends {
        let of_pool = |pool: &Arc<balance::Pool>| {
            let up = pool.endpoints.iter().filter(|endpoint| !endpoint.standing.is_down());
            let up: HashSet<&str> = up.map(|endpoint| endpoint.url.text.as_str()).collect();
            let number = |backend| (key(pool, backend), f64::from(u8::from(up.contains(backend.url.text.as_str()))));
            pool.backends.iter().map(number).collect::<Vec<_>>()
        };
        shared.live.load().pools.iter().flat_map(of_pool).collect()
    }

    /// What the breaker of each backend is now, by pool and backend: of several addresses the worst.
    pub fn breakers(shared: &Shared) -> BreakerStates {
        breakers::states(&shared.live.load().pools)
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(pool: &balance::Pool, backend: &balance::Backend) -> (String, String) {
    (pool.name.clone(), backend.url.text.clone())
}

/// Numbers by labels: pool, backend and outcome, or pool and outcome.
type Sums = BTreeMap<Vec<String>, f64>;

fn pool(pool: &balance::Pool, (sums, retries): (&Sums, &Sums), unresolved: &HashMap<Question, String>) -> Pool {
    let mut endpoints: HashMap<&str, Vec<&Endpoint>> = HashMap::new();
    for endpoint in &pool.endpoints {
        endpoints.entry(&endpoint.url.text).or_default().push(endpoint);
    }
    let backends = pool.backends.iter().map(|backend| {
        let of_backend = |key: &[String]| key[0] == pool.name && key[1] == backend.url.text;
        let outcomes = sums.iter().filter(|(key, _)| of_backend(key));
        let (mut requests, mut failures) = (0, 0);
        for (key, number) in outcomes {
            requests += *number as u64;
            failures += if matches!(key[2].as_str(), "ok" | "cancelled") { 0 } else { *number as u64 };
        }
        let endpoints = || endpoints.get(backend.url.text.as_str()).into_iter().flatten();
        Backend {
            url: backend.url.text.clone(),
            addresses: endpoints().map(|endpoint| endpoint.address.to_string()).collect(),
            weight: u32::from(backend.weight),
            current_weight: pool.current_weight(backend),
            backup: backend.backup,
            active_requests: endpoints().map(|endpoint| u64::from(endpoint.load.active())).sum(),
            requests,
            failures,
            problem: backend.url.question().and_then(|question| unresolved.get(&question).cloned()),
            up: endpoints().any(|endpoint| !endpoint.standing.is_down()),
            health: endpoints().filter_map(|endpoint| health(endpoint)).collect(),
            breakers: breakers::shown(pool, endpoints().copied()),
        }
    });
    Pool {
        name: pool.name.clone(),
        balance: pool.algorithm().name().to_owned(),
        backends: backends.collect(),
        asks_all: pool.asks_all(),
        retries: counts::of_pool(&pool.name, retries),
        waiting: pool.waiting(),
    }
}

/// What the probes of an endpoint have found; nothing where it is not probed.
fn health(endpoint: &Endpoint) -> Option<Health> {
    let known = endpoint.health.known()?;
    let probe = |probed: balance::Probed| Probe {
        at: rfc3339(probed.at),
        milliseconds: (probed.took.as_secs_f64() * 1e6).round() / 1e3,
        problem: probed.problem,
    };
    Some(Health {
        address: endpoint.address.to_string(),
        state: if known.up { "up" } else { "down" }.to_owned(),
        since: rfc3339(known.since),
        seconds: clock::now().duration_since(known.since).unwrap_or_default().as_secs(),
        reason: known.reason,
        in_a_row: known.in_a_row,
        last: known.last.map(probe),
    })
}

fn certificate(certificate: &build::Certificate) -> Certificate {
    let pair = certificate.slot.current();
    let names = pair.names.exact().map(str::to_owned);
    let wildcards = pair.names.wildcards().map(|parent| format!("*.{parent}"));
    let addresses = pair.names.addresses().map(|address| address.to_string());
    Certificate {
        name: certificate.slot.name().to_string(),
        names: names.chain(wildcards).chain(addresses).collect(),
        not_after: rfc3339(pair.not_after),
        days_left: days_until(pair.not_after),
        files: vec![certificate.cert.display().to_string(), certificate.key.display().to_string()],
        problem: certificate.problem.clone(),
    }
}

fn days_until(moment: SystemTime) -> i64 {
    (OffsetDateTime::from(moment) - OffsetDateTime::from(clock::now())).whole_days()
}

fn rfc3339(moment: SystemTime) -> String {
    let at = OffsetDateTime::from(moment);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(1_700_000_000)), "2023-11-14T22:13:20Z");
    }
}
