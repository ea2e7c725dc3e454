//! What `[pool.NAME]` says.

use crate::base::period::Period;
use crate::base::place::At;

/// One `[pool.NAME]`, or a pool written inline in a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name; an inline pool has its route's.
    pub name: At<String>,
    /// Which endpoint gets the next request. Default `round_robin`, or what `PORTCULLIS_STRATEGY` says.
    pub balance: Algorithm,
    /// The backends; at least one. No two with the same URL.
    pub backends: Vec<BackendSettings>,
    /// Sending again what was not answered.
    pub retry: RetrySettings,
    /// How long an unused connection to a backend is kept. 1 s to 1 h, default 55 s.
    pub pool_idle: Period,
}

/// `balance`. `weighted` and `weighted_round_robin` are accepted for `round_robin`, which honours weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
}

/// One backend: a URL, or a table with `url`.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendSettings {
    /// Where it is.
    pub url: At<BackendUrl>,
    /// Its share among the pool's weights, 0 to 256. 0 gets nothing. Default 1.
    pub weight: u16,
}

/// `http://host[:port]`, without path, query or user. Anything else is a problem that says what is supported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    /// As it was written: the label in metrics and status.
    pub text: String,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Default 80.
    pub port: u16,
}

/// `retry`: a number of attempts, `false`, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// How often a request is sent again at most. 0 to 5, default 1. 0 or `false` switches it off.
    pub attempts: u8,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { attempts: 1 }
    }
}
