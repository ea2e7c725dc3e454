//! How the requests of a pool are spread over its endpoints: by its algorithm, over those that are available, over the backups
//! only where nobody else is left, and over those that are down where too few are not (`panic`).

use std::collections::HashMap;
use std::sync::Arc;

use super::algorithm::{Algorithm, Balancer};
use super::asking::{Among, Asking, Members, Pick, Terms};
use super::census::{Census, Count};
use super::foresight::{Candidate, Prospect};
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
        self.seek(asking, Group::pick).ok_or_else(|| self.nobody(asking))
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

    /// What the first group says that has something to say, asked in the order in which endpoints are looked for.
    fn seek<'s, R>(&'s self, asking: &Asking<'_>, ask: impl Ask<'s, R>) -> Option<R> {
        let count = self.first.count(&self.changes);
        if count.whole
            && self.shares.terms.max_requests.is_none()
            && let Some(found) = ask(&self.first, &Pick::free(asking))
        {
            return Some(found);
        }
        let again = Asking { tried: &[], ..*asking };
        // A request that is sent again looks for one that is well.
        if asking.tried.is_empty() && self.panics(count) {
            return self.down(asking, ask);
        }
        let well = self.available(asking, ask).or_else(|| self.available(&again, ask));
        if well.is_some() || self.has_well(&again) {
            // Where those that are well have no room now, requests wait for them, and are not sent to those that are down.
            return well;
        }
        self.down(asking, ask).or_else(|| self.down(&again, ask))
    }

    /// Whether there is somebody to pick now. Takes no turn.
    pub(super) fn has_any(&self, asking: &Asking<'_>) -> bool {
        self.seek(asking, |group: &Group, pick: &Pick<'_>| group.members.open(0, pick).next()).is_some()
    }

    /// Whether there is an endpoint that is available, where the request was not, whether it has room or not.
    pub(super) fn has_well(&self, asking: &Asking<'_>) -> bool {
        let terms = Terms { max_requests: None, ..self.shares.terms };
        let pick = Pick::among(asking, Among::Available, terms);
        self.groups().any(|group| group.members.open(0, &pick).next().is_some())
    }

    /// Whether a request that has a reason to go there may go to `endpoint`.
    pub(super) fn may(&self, endpoint: &Endpoint, asking: &Asking<'_>) -> bool {
        Pick::among(asking, Among::Available, self.shares.terms).is_for(endpoint)
    }

    /// Whether there is an endpoint that would be picked if it had room.
    fn is_full(&self, asking: &Asking<'_>) -> bool {
        let terms = Terms { max_requests: None, ..self.shares.terms };
        let pick = Pick::among(asking, Among::Down, terms);
        self.shares.terms.max_requests.is_some()
            && self.groups().any(|group| group.members.open(0, &pick).next().is_some())
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

    fn available<'s, R>(&'s self, asking: &Asking<'_>, ask: impl Ask<'s, R>) -> Option<R> {
        self.groups().find_map(|group| group.available(asking, (self.shares.terms, &self.changes), ask))
    }

    fn down<'s, R>(&'s self, asking: &Asking<'_>, ask: impl Ask<'s, R>) -> Option<R> {
        let pick = Pick::among(asking, Among::Down, self.shares.terms);
        self.groups().find_map(|group| ask(group, &pick))
    }

    /// What each of `endpoints`, which are those that it is over, has for a request.
    pub(super) fn foresee<'e>(&self, asking: &Asking<'_>, endpoints: &'e [Arc<Endpoint>]) -> Prospect<'e> {
        let sought = self.seek(asking, |group: &Group, pick: &Pick<'_>| group.foresee(pick));
        // Which of those that begin slowly has its turn is left to chance.
        let slow =
            self.shares.terms.slow_start.is_some() && endpoints.iter().any(|endpoint| !endpoint.standing.is_whole());
        let picked = sought.flatten().filter(|_| !slow);
        let sights = [&self.first, &self.backups].map(|group| group.scores(asking));
        let what = sights.iter().find_map(|sight| sight.as_ref()).map_or("", |(what, _)| *what);
        let scored = |(group, sight): (&Group, &Option<(&str, Vec<f32>)>)| -> Vec<(u64, f32)> {
            let scores = sight.iter().flat_map(|(_, scores)| scores.iter().copied());
            group.members.endpoints().iter().map(|member| member.id).zip(scores).collect()
        };
        let scores: HashMap<u64, f32> =
            [&self.first, &self.backups].into_iter().zip(&sights).flat_map(scored).collect();
        let candidates = self.shares.list.iter().zip(endpoints).map(|(share, endpoint)| Candidate {
            endpoint,
            weight: share.weight,
            backup: share.backup,
            score: scores.get(&share.endpoint).copied(),
            picked: picked == Some(share.endpoint),
        });
        let nobody = sought.is_none().then(|| self.nobody(asking));
        Prospect { score: what, nobody, candidates: candidates.collect() }
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        [&self.first, &self.backups].into_iter()
    }
}

/// What is asked of a group.
trait Ask<'s, R>: Fn(&'s Group, &Pick<'_>) -> Option<R> + Copy {}

impl<'s, R, F: Fn(&'s Group, &Pick<'_>) -> Option<R> + Copy> Ask<'s, R> for F {}

impl Group {
    fn count(&self, changes: &Changes) -> Count {
        self.census.count(&self.members, changes)
    }

    fn pick(&self, pick: &Pick<'_>) -> Option<&Arc<Endpoint>> {
        self.balancer.pick(&self.members, pick).map(|index| self.members.endpoint(index))
    }

    /// Whom it would pick, where there is one to pick and it is certain: its id.
    fn foresee(&self, pick: &Pick<'_>) -> Option<Option<u64>> {
        self.members.open(0, pick).next()?;
        let sight = self.balancer.foresee(&self.members, pick);
        Some(sight.pick.map(|index| self.members.endpoint(index).id))
    }

    /// What its algorithm goes by.
    fn scores(&self, asking: &Asking<'_>) -> Option<(&'static str, Vec<f32>)> {
        self.balancer.foresee(&self.members, &Pick::free(asking)).scores
    }

    /// What it says of one that is available. Of those that begin slowly, one whose turn it is not yet only where there is no
    /// other.
    fn available<'s, R>(
        &'s self,
        asking: &Asking<'_>,
        (terms, changes): (Terms, &Changes),
        ask: impl Ask<'s, R>,
    ) -> Option<R> {
        if self.count(changes).whole {
            let among = if terms.max_requests.is_some() { Among::Available } else { Among::All };
            return ask(self, &Pick::among(asking, among, terms));
        }
        let among = |among| ask(self, &Pick::among(asking, among, terms));
        among(Among::Ready).or_else(|| among(Among::Available))
    }
}
