//! The admin listener: health for probes, metrics for Prometheus, status and explanations for people.
//!
//! To add a page: a file in `pages/` and its line in the table there.

mod answer;
mod gate;
mod pages;
mod server;
mod stall;
pub mod status;
pub mod token;

use std::sync::Arc;

pub use server::{BindError, Server};
pub use token::Token;

use crate::base::metrics::{BreakerStates, OfBackends, Registry};
use crate::proxy::explain::{Explanation, Question, Unaskable};

/// Where explanations are found on the admin listener.
pub const EXPLAIN_PATH: &str = "/api/v1/explain";

/// Says what would become of a request.
pub type Explain = dyn Fn(&Question) -> Result<Explanation, Unaskable> + Send + Sync;

/// What the pages show. Everything is asked for at each request.
#[derive(Clone)]
pub struct Sources {
    /// All metrics.
    pub registry: Registry,
    /// Whether every listener accepts and no drain has begun.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The weight that each backend has now, by pool and backend.
    pub weights: Arc<dyn Fn() -> OfBackends + Send + Sync>,
    /// Which backends are up, by pool and backend: 1, or 0.
    pub up: Arc<dyn Fn() -> OfBackends + Send + Sync>,
    /// What the breaker of each backend is now, by pool and backend.
    pub breakers: Arc<dyn Fn() -> BreakerStates + Send + Sync>,
    /// What is live.
    pub status: Arc<dyn Fn() -> status::Status + Send + Sync>,
    /// What would become of a request.
    pub explain: Arc<Explain>,
}
