//! How many requests limits refused, and how many each pool sent again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Sums;
use crate::base::metrics::Registry;
use crate::control::admin::status::{RateLimits, Retries};
use crate::proxy::fault::Fault;

/// What became of the requests that rate limits looked at, over all routes.
pub(super) fn rate_limits(registry: &Registry) -> RateLimits {
    let limited = |family| {
        let sums = registry.totals(family, &["reason"]);
        sums.get(&vec![Fault::RateLimited.reason().to_owned()]).map_or(0, |sum| *sum as u64)
    };
    RateLimits {
        keys: registry.rate_limit_keys().load(Ordering::Relaxed),
        refused: limited("portcullis_refused_total"),
        observed: limited("portcullis_observed_total"),
    }
}

/// The numbers by pool and outcome.
pub(super) fn retries(registry: &Registry) -> Sums {
    registry.totals("portcullis_retries_total", &["pool", "outcome"])
}

/// What became of the requests that a pool sent again.
pub(super) fn of_pool(pool: &str, retries: &BTreeMap<Vec<String>, f64>) -> Retries {
    let sum = |outcome: &str| retries.get(&vec![pool.to_owned(), outcome.to_owned()]).map_or(0, |sum| *sum as u64);
    Retries { answered: sum("answered"), failed: sum("failed"), over_budget: sum("over_budget") }
}
