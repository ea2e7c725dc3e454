//! Which endpoint of a pool gets the next request.
//!
//! `algorithm` is the table of algorithms, each of which has a file. A pool has its `spread`, which asks its algorithm: first
//! among the endpoints that are no backups, then among those. All workers share both, and what they go by: the requests in flight
//! and the answers of each endpoint, which stand in its [`Load`]. An endpoint whose [`Breaker`] is open is not chosen.

mod adaptive;
mod admission;
mod algorithm;
mod asking;
pub mod breaker;
mod census;
mod draw;
mod endpoint;
mod ewma;
mod foresight;
mod hash;
mod hash_by;
mod health;
mod key;
mod least_connections;
mod load;
mod nobody;
mod p2c;
mod peak;
mod pool;
mod protocol;
mod queue;
mod random;
mod reach;
mod resolution;
mod retry;
mod round_robin;
mod settings;
mod spread;
mod standing;
mod sticky;
mod url;

pub use admission::Admitted;
pub use algorithm::Algorithm;
use algorithm::Balancer;
pub use asking::Asking;
pub use breaker::{Breaker, BreakerSettings};
pub use endpoint::{Active, Address, Endpoint};
pub use foresight::{Candidate, Prospect};
pub use hash_by::HashBy;
pub use health::{Check, CheckKind, Health, HealthSettings, Known, Pace, Probed, StatusRange};
pub use load::{Load, Measures, Outcome};
pub use nobody::Nobody;
pub use pool::{Backend, Pool};
pub use protocol::{Protocol, SendProxy};
pub use queue::{Queue, QueueSettings, Waiting};
pub use reach::Reach;
pub use resolution::{Found, Kind, Question, Resolution, Resolve};
pub use retry::{Retries, RetryOn, RetrySettings, Retrying};
pub use settings::{BackendSettings, Settings};
pub use standing::{Changes, Standing};
pub use sticky::{StickyKey, StickySettings};
pub use url::{BackendUrl, Target};

#[cfg(test)]
mod tests;
