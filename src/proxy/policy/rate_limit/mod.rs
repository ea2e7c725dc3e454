//! Rate limits: how many requests a client, a host, the value of a field, a route or all of them together may send.
//!
//! A limit is a token bucket, reckoned by governor. Buckets are shared by all workers and outlive reloads as long as their
//! quota stays. The time is that of the exchange, so that nothing here reads a clock.

mod bucket;
mod limit;
mod look;
mod order;
mod settings;
mod shard;
mod store;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

pub use limit::{Asked, Left, Limit, Refusal};
pub use look::{Exempt, Look};
pub use settings::{Key, LimitSettings, PenaltySettings, RouteSettings, Settings};

use bucket::Penalty;
use limit::Check;
use store::Store;

use crate::base::cidr::{Cidr, any_contains};
use crate::base::mode::Mode;

/// What `[rate_limit]` says, and the buckets of every limit.
#[derive(Debug)]
pub struct RateLimits {
    per_ip: Option<Arc<Limit>>,
    global: Option<Arc<Limit>>,
    exempt: Vec<Cidr>,
    mode: Mode,
    penalty: Option<Penalty>,
    buckets: Arc<All>,
}

/// What outlives a reload.
#[derive(Debug)]
struct All {
    store: Store,
    began: Instant,
}

/// The limits of one route, beside those of `[rate_limit]`.
#[derive(Clone, Debug, Default)]
pub struct RouteLimits {
    /// Whether no limit holds for it.
    off: bool,
    /// Its own: those for each client first, so that one that is refused by them costs the others nothing.
    own: Arc<[Arc<Limit>]>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::build(&Settings::default(), &Arc::default(), None)
    }
}

impl RateLimits {
    /// What `settings` say. Limits that `previous` has go on; how many keys have a bucket is told in `keys`.
    pub fn build(settings: &Settings, keys: &Arc<AtomicU64>, previous: Option<&Self>) -> Self {
        let new = || Arc::new(All { store: Store::new(keys), began: Instant::now() });
        let buckets = previous.map_or_else(new, |previous| Arc::clone(&previous.buckets));
        let store = &buckets.store;
        let limit = |settings: &Option<LimitSettings>, name, previous: Option<&Arc<Limit>>| {
            let mut previous = previous.cloned().into_iter().collect();
            settings.as_ref().map(|settings| Arc::new(Limit::new(settings, name, store, &mut previous)))
        };
        let global = settings.global.as_ref().map(|global| LimitSettings { key: Key::Route, ..global.clone() });
        Self {
            per_ip: limit(&settings.per_ip, "per_ip", previous.and_then(|previous| previous.per_ip.as_ref())),
            global: limit(&global, "global", previous.and_then(|previous| previous.global.as_ref())),
            exempt: settings.exempt.clone(),
            mode: settings.mode,
            penalty: settings.penalty.map(|penalty| Penalty {
                factor: penalty.factor,
                most: u64::try_from(penalty.max.0.as_nanos()).unwrap_or(u64::MAX),
            }),
            buckets,
        }
    }

    /// The limits of a route. Those that `previous`, the route of that name, has as well go on.
    pub fn of_route(&self, settings: &RouteSettings, previous: Option<&RouteLimits>) -> RouteLimits {
        let RouteSettings::Own(own) = settings else { return RouteLimits { off: true, own: Arc::default() } };
        let mut left: Vec<Arc<Limit>> = previous.map(|previous| previous.own.to_vec()).unwrap_or_default();
        let mut names = Vec::new();
        let mut limit = |settings: &LimitSettings| {
            let key = settings.key.to_string();
            let same = names.iter().filter(|name| **name == key).count();
            let name = if same == 0 { key.clone() } else { format!("{key}-{}", same + 1) };
            names.push(key);
            Arc::new(Limit::new(settings, &name, &self.buckets.store, &mut left))
        };
        let mut own: Vec<Arc<Limit>> = own.iter().map(&mut limit).collect();
        own.sort_by_key(|limit| !limit.is_per_client());
        RouteLimits { off: false, own: own.into() }
    }

    /// Whether limits only tell what they would have refused.
    pub fn observes(&self) -> bool {
        self.mode == Mode::Observe
    }

    /// Holds a request that came at `at` against the limit of its client and those of its route.
    ///
    /// # Errors
    /// Where one refuses it.
    pub fn check(&self, route: &RouteLimits, asked: &Asked<'_>, at: Instant) -> Result<(), Refusal> {
        if (self.per_ip.is_none() && route.own.is_empty()) || !self.holds(route, asked.client) {
            return Ok(());
        }
        let check = self.check_at(at);
        self.of_client(route).try_for_each(|limit| limit.take(asked, check).map_err(|wait| Refusal::new(limit, wait)))
    }

    /// Holds a request that nothing before has refused against the limit of all together.
    ///
    /// # Errors
    /// Where it refuses it.
    pub fn check_all(&self, route: &RouteLimits, asked: &Asked<'_>, at: Instant) -> Result<(), Refusal> {
        match &self.global {
            Some(limit) if self.holds(route, asked.client) => {
                limit.take(asked, self.check_at(at)).map_err(|wait| Refusal::new(limit, wait))
            }
            _ => Ok(()),
        }
    }

    /// The limits of the client and of the route, in the order in which they are asked.
    fn of_client<'l>(&'l self, route: &'l RouteLimits) -> impl Iterator<Item = &'l Arc<Limit>> {
        self.per_ip.iter().chain(route.own.iter())
    }

    /// Whether any limit holds for that client on that route.
    fn holds(&self, route: &RouteLimits, client: IpAddr) -> bool {
        !route.off && !any_contains(&self.exempt, client)
    }

    fn check_at(&self, at: Instant) -> Check<'_> {
        let now = at.saturating_duration_since(self.buckets.began).as_nanos() as u64;
        // Who is only observed does not learn that it knocks in vain.
        Check { store: &self.buckets.store, penalty: self.penalty.filter(|_| !self.observes()), now }
    }
}

#[cfg(test)]
mod tests;
