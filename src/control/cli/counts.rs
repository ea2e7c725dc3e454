//! What `portcullis status` says of limits, of requests that were sent again, and of those that wait; nothing where there are none.

use super::table::plain;
use crate::control::admin::status::{Pool, RateLimits, Retries, Status};

/// A line each.
pub(super) fn told(status: &Status) -> String {
    limited(&status.rate_limits) + &status.pools.iter().map(of_pool).collect::<String>()
}

fn limited(limits: &RateLimits) -> String {
    if *limits == RateLimits::default() {
        return String::new();
    }
    let RateLimits { keys, refused, observed } = limits;
    let observed =
        if *observed > 0 { format!(", {observed} let through that only observing spared") } else { String::new() };
    format!("Rate limits: {refused} requests refused{observed}; {keys} clients or values are counted now.\n")
}

fn of_pool(pool: &Pool) -> String {
    let Retries { answered, failed, over_budget } = &pool.retries;
    let mut text = String::new();
    let name = plain(&pool.name);
    if pool.retries != Retries::default() {
        text += &format!(
            "Sent again in {name}: {answered} answered, {failed} failed; {over_budget} not, for want of budget.\n"
        );
    }
    if pool.waiting > 0 {
        text += &format!("Waiting in {name}: {} requests, until a backend has room.\n", pool.waiting);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_line_for_what_there_is() {
        assert_eq!(told(&Status { pools: vec![Pool::default()], ..Status::default() }), "");
        let retries = Retries { answered: 5, failed: 1, over_budget: 2 };
        let pool = Pool { name: "p".into(), retries, waiting: 3, ..Pool::default() };
        let rate_limits = RateLimits { keys: 4, refused: 7, observed: 0 };
        assert_eq!(
            told(&Status { pools: vec![pool], rate_limits, ..Status::default() }),
            "Rate limits: 7 requests refused; 4 clients or values are counted now.\n\
             Sent again in p: 5 answered, 1 failed; 2 not, for want of budget.\n\
             Waiting in p: 3 requests, until a backend has room.\n"
        );
    }
}
