//! How the requests of a pool are spread over its endpoints: by its algorithm, over the backups only where nobody else is left.

use std::collections::HashMap;
use std::sync::Arc;

use super::algorithm::{Algorithm, Balancer};
use super::asking::{Asking, Members};
use super::foresight::{Candidate, Foresight, Prospect};
use super::{Endpoint, HashBy};

/// What decides how requests are spread.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Shares {
    pub(super) algorithm: Algorithm,
    pub(super) hash_by: HashBy,
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
}

/// Endpoints of one rank. Those of weight 0 are in none.
#[derive(Debug)]
struct Group {
    members: Members,
    balancer: Box<dyn Balancer>,
}

impl Spread {
    /// Over `endpoints`, whose shares these are.
    pub(super) fn new(shares: Shares, endpoints: &[Arc<Endpoint>]) -> Self {
        let group = |backup: bool| {
            let among = shares.list.iter().zip(endpoints);
            let among = among.filter(|(share, _)| share.backup == backup && share.weight > 0);
            let members = Members::new(among.map(|(share, endpoint)| (Arc::clone(endpoint), share.weight)).collect());
            let balancer = shares.algorithm.balancer(&shares.hash_by, &members);
            Group { members, balancer }
        };
        Self { first: group(false), backups: group(true), shares }
    }

    /// The endpoint for a request: one where it was not before, of the backups only where there is no other. None where it was
    /// everywhere.
    pub(super) fn pick(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        self.first.pick(asking).or_else(|| self.backups.pick(asking))
    }
}

impl Spread {
    /// What each of `endpoints`, which are those that it is over, has for a request.
    pub(super) fn foresee<'e>(&self, asking: &Asking<'_>, endpoints: &'e [Arc<Endpoint>]) -> Prospect<'e> {
        let [first, backups] = [&self.first, &self.backups].map(|group| group.balancer.foresee(&group.members, asking));
        let in_front = self.first.members.open(0, asking).next().is_some();
        let score =
            [&first, &backups].into_iter().find_map(|sight| sight.scores.as_ref()).map_or("", |(what, _)| *what);
        let numbered = |group: &'_ Group| -> Vec<(u64, usize)> {
            group.members.endpoints().iter().enumerate().map(|(at, member)| (member.id, at)).collect()
        };
        let places: HashMap<u64, usize> = [&self.first, &self.backups].into_iter().flat_map(numbered).collect();
        let candidates = self.shares.list.iter().zip(endpoints).map(|(share, endpoint)| {
            let sight = if share.backup { &backups } else { &first };
            let at = places.get(&share.endpoint).copied();
            let score = |sight: &Foresight| sight.scores.as_ref()?.1.get(at?).copied();
            Candidate {
                endpoint,
                weight: share.weight,
                backup: share.backup,
                score: score(sight),
                picked: at.is_some() && share.backup != in_front && sight.pick == at,
            }
        });
        Prospect { score, candidates: candidates.collect() }
    }
}

impl Group {
    fn pick(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        self.balancer.pick(&self.members, asking).map(|index| self.members.endpoint(index))
    }
}
