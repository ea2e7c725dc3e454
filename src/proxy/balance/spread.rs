//! How the requests of a pool are spread over its endpoints: by its algorithm, over the backups only where nobody else is left.

use std::sync::Arc;

use super::algorithm::{Algorithm, Balancer};
use super::asking::{Asking, Members};
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

impl Group {
    fn pick(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        self.balancer.pick(&self.members, asking).map(|index| self.members.endpoint(index))
    }
}
