//! How the requests of a pool are spread over its endpoints: by its algorithm, over those that are available, over the backups
//! only where nobody else is left, and over those that are down where too few are not (`panic`).

use std::sync::Arc;

use super::algorithm::{Algorithm, Balancer};
use super::asking::{Among, Asking, Members, Pick, Terms};
use super::census::{Census, Count};
use super::standing::Changes;
use super::{Endpoint, HashBy, Nobody};

/// What decides how requests are spread.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Shares {
    pub(super) algorithm: Algorithm,
    pub(super) hash_by: HashBy,
    pub(super) terms: Terms,
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
    /// sent to already; then one that is down. Never one whose breaker is open, or one that has no room.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn pick(&self, asking: &Asking<'_>) -> Result<&Arc<Endpoint>, Nobody> {
        self.any(asking).ok_or_else(|| self.nobody(asking))
    }

    /// Why there is none.
    pub(super) fn nobody(&self, asking: &Asking<'_>) -> Nobody {
        if self.is_full(asking) {
            return Nobody::Full;
        }
        let endpoints = self.groups().flat_map(|group| group.members.endpoints());
        let shut = endpoints.filter(|endpoint| endpoint.standing.is_shut());
        let waits = shut.map(|endpoint| endpoint.breaker.wait(asking.now));
        waits.min().map_or(Nobody::NoBackend, Nobody::BreakerOpen)
    }

    fn any(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        let count = self.first.count(&self.changes);
        if count.whole
            && self.shares.terms.max_requests.is_none()
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

    /// Whether a request that has a reason to go there may go to `endpoint`.
    pub(super) fn may(&self, endpoint: &Endpoint, asking: &Asking<'_>) -> bool {
        Pick::among(asking, Among::Available, self.shares.terms).is_for(endpoint)
    }

    /// Whether there is an endpoint that would be picked if it had room.
    fn is_full(&self, asking: &Asking<'_>) -> bool {
        let terms = Terms { max_requests: None, ..self.shares.terms };
        let pick = Pick::among(asking, Among::Down, terms);
        self.shares.terms.max_requests.is_some() && self.groups().any(|group| group.pick(&pick).is_some())
    }

    /// Whether so few of those to be asked first are available that they would be overrun.
    fn panics(&self, count: Count) -> bool {
        let needed = self.shares.terms.panic * self.first.members.count() as f32;
        (count.available as f32) < needed && self.backups.count(&self.changes).available == 0
    }

    /// Whether requests go to those that are down as well: too few others are left, or none.
    pub(super) fn asks_all(&self) -> bool {
        let count = self.first.count(&self.changes);
        let members = self.first.members.count() + self.backups.members.count();
        let none = count.available == 0 && self.backups.count(&self.changes).available == 0;
        self.panics(count) || (none && members > 0)
    }

    fn available(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        self.groups().find_map(|group| group.available(asking, self.shares.terms, &self.changes))
    }

    fn down(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        let pick = Pick::among(asking, Among::Down, self.shares.terms);
        self.groups().find_map(|group| group.pick(&pick))
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        [&self.first, &self.backups].into_iter()
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
    fn available(&self, asking: &Asking<'_>, terms: Terms, changes: &Changes) -> Option<&Arc<Endpoint>> {
        if self.count(changes).whole {
            let among = if terms.max_requests.is_some() { Among::Available } else { Among::All };
            return self.pick(&Pick::among(asking, among, terms));
        }
        let among = |among| self.pick(&Pick::among(asking, among, terms));
        among(Among::Ready).or_else(|| among(Among::Available))
    }
}
