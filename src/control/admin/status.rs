//! What is live, as `GET /api/v1/status` gives it and `portcullis status` shows it.
//!
//! Fields may be added; a reader takes what it knows, and what is missing has its default.

use serde::{Deserialize, Serialize};

/// Where it is found on the admin listener.
pub const PATH: &str = "/api/v1/status";
/// Where the listener tells everybody whether requests should come to this gateway.
pub const READY_PATH: &str = "/readyz";

/// The whole gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Since the process started.
    pub uptime_seconds: u64,
    /// False while starting and while draining.
    pub ready: bool,
    /// Worker threads.
    pub workers: u32,
    /// The number of the config that is live; each applied one is one more.
    pub generation: u64,
    /// The config's main file.
    pub config_file: String,
    /// Why the last reload was refused; empty where it was applied.
    pub problems: Vec<Problem>,
    /// Where clients are accepted.
    pub listeners: Vec<Listener>,
    /// How many routes there are.
    pub routes: u64,
    /// What rate limits did.
    pub rate_limits: RateLimits,
    /// Where requests go.
    pub pools: Vec<Pool>,
    /// What the gateway shows clients.
    pub certificates: Vec<Certificate>,
}

/// One problem of a refused config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The file it stands in; empty where it stands in none.
    pub file: String,
    /// From 1; 0 where there is none.
    pub line: u32,
    /// From 1; 0 where there is none.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Unique.
    pub name: String,
    /// What it accepts on, as `address:port`.
    pub addresses: Vec<String>,
    /// Whether it terminates TLS.
    pub tls: bool,
    /// Open now.
    pub connections_open: u64,
}

/// One pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// Unique.
    pub name: String,
    /// How a backend is chosen.
    pub balance: String,
    /// In the order of the config.
    pub backends: Vec<Backend>,
    /// Whether too few backends are up, or none, so that those that are down are asked too.
    pub asks_all: bool,
    /// What became of the requests that were sent again.
    pub retries: Retries,
    /// How many requests wait for a backend with room.
    pub waiting: u32,
}

/// What rate limits did, over all routes, since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Clients and values that are counted now.
    pub keys: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that went on because limits only observe.
    pub observed: u64,
}

/// What became of the requests that a pool sent again, since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// In the end there was an answer.
    pub answered: u64,
    /// In the end there was none.
    pub failed: u64,
    /// They were not sent again, because too many others were.
    pub over_budget: u64,
}

/// One backend of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// As it is written in the config.
    pub url: String,
    /// Where it is, as `address:port` or `unix:PATH`; several where its name has several, none before its name resolves.
    pub addresses: Vec<String>,
    /// Relative to the others of its pool, as the config has it.
    pub weight: u32,
    /// What its weight is now: with `adaptive` it follows what is measured.
    pub current_weight: f64,
    /// Whether it is asked only where no other can be.
    pub backup: bool,
    /// In flight now.
    pub active_requests: u64,
    /// Since the process started.
    pub requests: u64,
    /// Of these, how many failed.
    pub failures: u64,
    /// Why its name does not resolve; none where it does or is an address. Its last addresses serve on.
    pub problem: Option<String>,
    /// Whether it is up at one of its addresses at least. What is not probed is.
    pub up: bool,
    /// What its probes have found, for each of its addresses; empty where it is not probed.
    pub health: Vec<Health>,
    /// The circuit breaker of each of its addresses; none where the pool has no breaker.
    pub breakers: Vec<Breaker>,
}

/// What the probes of one address of a backend have found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// As in the backend's `addresses`.
    pub address: String,
    /// `up` or `down`. It begins up.
    pub state: String,
    /// Since when, RFC 3339; what has always been up: since it is probed.
    pub since: String,
    /// The same in seconds until now.
    pub seconds: u64,
    /// What made it down; none while it is up.
    pub reason: Option<String>,
    /// How many probes in a row ended as the last one did: well or not.
    pub in_a_row: u32,
    /// The last probe; none before the first has ended.
    pub last: Option<Probe>,
}

/// One probe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// When it ended, RFC 3339.
    pub at: String,
    /// How long it took.
    pub milliseconds: f64,
    /// Why it failed; none where it was good.
    pub problem: Option<String>,
}

/// The circuit breaker of one address of a backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// As in the backend's addresses.
    pub address: String,
    /// `closed`, `half_open` or `open`.
    pub state: String,
    /// Whether it only tells, and keeps no request away.
    pub observed: bool,
    /// Since when, RFC 3339; none where it never was anything but closed.
    pub since: Option<String>,
    /// Until when it is open, RFC 3339; none where it is not.
    pub until: Option<String>,
    /// How often it has opened.
    pub opened: u64,
    /// Its last changes, the oldest first.
    pub history: Vec<BreakerChange>,
}

/// What a breaker became, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerChange {
    /// `closed`, `half_open` or `open`.
    pub to: String,
    /// When, RFC 3339.
    pub at: String,
    /// In words.
    pub why: String,
    /// The requests that it went by, the oldest first; not all of them where they are many.
    pub evidence: Vec<BreakerEvidence>,
}

/// A request that a breaker went by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerEvidence {
    /// When its answer came, or it failed, RFC 3339.
    pub at: String,
    /// The status of the answer, or the reason of the failure as it stands in logs and metrics.
    pub got: String,
    /// How long that took.
    pub milliseconds: u64,
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// Unique.
    pub name: String,
    /// The names and addresses it covers.
    pub names: Vec<String>,
    /// When it expires, RFC 3339.
    pub not_after: String,
    /// Whole days until then; negative afterwards.
    pub days_left: i64,
    /// The files it was read from.
    pub files: Vec<String>,
    /// Why its files, as they are now, were refused; none where they are what is shown to clients.
    pub problem: Option<String>,
}
