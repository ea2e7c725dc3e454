//! How the requests of a pool are spread over its endpoints: by its algorithm, over those that are available, over the backups
//! only where nobody else is left, and over those that are down where too few are not (`panic`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::algorithm::{Algorithm, Balancer};
use super::asking::{Among, Asking, Members, Pick};
use super::census::{Census, Count};
use super::standing::Changes;
use super::{Endpoint, HashBy, Nobody};

/// What decides how requests are spread.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Shares {
    pub(super) algorithm: Algorithm,
    pub(super) hash_by: HashBy,
    /// How long an endpoint takes to get its whole share.
    pub(super) slow_start: Option<Duration>,
    /// Where a smaller part of the endpoints is available, those that are down are asked as well.
    pub(super) panic: f32,
    /// Of each endpoint of the pool.
    pub(super) list: Vec<Share>,
}

/// One endpoint's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) endpoint: u64,
    pub(super) weight: u32,
    pub(super) backup: bool,
}

/// An algorithm at work in a pool.
#[derive(Debug)]
pub(super) struct Spread {
    pub(super) shares: Shares,
    first: Group,
    backups: Group,
    changes: Arc<Changes>,
}

/// Endpoints of one rank. Those of weight 0 are in none.
#[derive(Debug)]
struct Group {
    members: Members,
    balancer: Box<dyn Balancer>,
    census: Census,
}

impl Spread {
    /// Over `endpoints`, whose shares these are and whose standing `changes`.
    pub(super) fn new(shares: Shares, endpoints: &[Arc<Endpoint>], changes: Arc<Changes>) -> Self {
        let group = |backup: bool| {
            let among = shares.list.iter().zip(endpoints);
            let among = among.filter(|(share, _)| share.backup == backup && share.weight > 0);
            let members = Members::new(among.map(|(share, endpoint)| (Arc::clone(endpoint), share.weight)).collect());
            let balancer = shares.algorithm.balancer(&shares.hash_by, &members);
            Group { members, balancer, census: Census::default() }
        };
        Self { first: group(false), backups: group(true), shares, changes }
    }

    /// The endpoint for a request: one where it was not before, of the backups only where there is no other; then one that it was
    /// sent to already; then one that is down. Never one whose breaker is open.
    pub(super) fn pick(&self, asking: &Asking<'_>) -> Result<&Arc<Endpoint>, Nobody> {
        self.any(asking).ok_or_else(|| self.nobody(asking.now))
    }

    /// Why there is none.
    fn nobody(&self, now: Instant) -> Nobody {
        let endpoints = [&self.first, &self.backups].into_iter().flat_map(|group| group.members.endpoints());
        let shut = endpoints.filter(|endpoint| endpoint.standing.is_shut());
        shut.map(|endpoint| endpoint.breaker.wait(now)).min().map_or(Nobody::NoBackend, Nobody::BreakerOpen)
    }

    fn any(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        let count = self.first.count(&self.changes);
        if count.whole
            && let Some(endpoint) = self.first.pick(&Pick::free(asking))
        {
            return Some(endpoint);
        }
        let again = Asking { tried: &[], ..*asking };
        // A request that is sent again looks for one that is well.
        if asking.tried.is_empty() && self.panics(count) {
            return self.down(asking);
        }
        let well = self.available(asking).or_else(|| self.available(&again));
        well.or_else(|| self.down(asking)).or_else(|| self.down(&again))
    }

    /// Whether so few of those to be asked first are available that they would be overrun.
    fn panics(&self, count: Count) -> bool {
        let needed = self.shares.panic * self.first.members.count() as f32;
        (count.available as f32) < needed && self.backups.count(&self.changes).available == 0
    }

    fn available(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        let groups = [&self.first, &self.backups];
        groups.into_iter().find_map(|group| group.available(asking, self.shares.slow_start, &self.changes))
    }

    fn down(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        let pick = Pick::among(asking, Among::Down, None);
        self.first.pick(&pick).or_else(|| self.backups.pick(&pick))
    }
}

impl Group {
    fn count(&self, changes: &Changes) -> Count {
        self.census.count(&self.members, changes)
    }

    fn pick(&self, pick: &Pick<'_>) -> Option<&Arc<Endpoint>> {
        self.balancer.pick(&self.members, pick).map(|index| self.members.endpoint(index))
    }

    /// One that is available. Of those that begin slowly, one whose turn it is not yet only where there is no other.
    fn available(
        &self,
        asking: &Asking<'_>,
        slow_start: Option<Duration>,
        changes: &Changes,
    ) -> Option<&Arc<Endpoint>> {
        if self.count(changes).whole {
            return self.pick(&Pick::free(asking));
        }
        let among = |among| self.pick(&Pick::among(asking, among, slow_start));
        among(Among::Ready).or_else(|| among(Among::Available))
    }
}
