//! What a pick goes by: who asks for what, when, and whom it has asked before; and the endpoints it chooses among.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Endpoint;
use crate::proxy::message::Request;

/// One request that is to be sent to an endpoint.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The endpoints that it was sent to already, by their ids: another one is wanted.
    pub tried: &'a [u64],
    /// The client's address.
    pub client: IpAddr,
    /// The request, as the backend is to get it.
    pub request: &'a Request,
    /// When.
    pub now: Instant,
}

/// Which endpoints a pick is among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// All of them: nothing is known against any.
    All,
    /// Those that are available, and of those that begin slowly only as many requests go there as they are to get.
    Ready,
    /// Those that are available.
    Available,
    /// Those that are down as well: there are too few others. Not those whose breakers are open.
    Down,
}

/// What a pool says of whom requests go to.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Terms {
    /// How long an endpoint takes to get its whole share.
    pub(super) slow_start: Option<Duration>,
    /// Where a smaller part of the endpoints is available, those that are down are asked as well.
    pub(super) panic: f32,
    /// How many requests an endpoint has at once.
    pub(super) max_requests: Option<u32>,
}

/// One pick.
#[derive(Clone, Copy)]
pub(super) struct Pick<'a> {
    pub(super) asking: &'a Asking<'a>,
    among: Among,
    terms: Terms,
    /// From 0 to 1: an endpoint whose share is smaller is not picked.
    luck: f32,
}

impl<'a> Pick<'a> {
    /// Among all endpoints.
    pub(super) fn free(asking: &'a Asking<'a>) -> Self {
        Self { asking, among: Among::All, terms: Terms::default(), luck: 0.0 }
    }

    /// Among some.
    pub(super) fn among(asking: &'a Asking<'a>, among: Among, terms: Terms) -> Self {
        let luck = if among == Among::Ready { fastrand::f32() } else { 0.0 };
        Self { asking, among, terms, luck }
    }

    /// The same, for a key with this number: it has the same luck each time.
    pub(super) fn of_key(self, number: u64) -> Self {
        // 24 bits are what a float holds exactly.
        let luck = (number >> 40) as f32 / (1 << 24) as f32;
        Self { luck, ..self }
    }

    /// Whether every endpoint will do.
    pub(super) fn is_free(&self) -> bool {
        self.among == Among::All && self.asking.tried.is_empty()
    }

    pub(super) fn is_for(&self, endpoint: &Endpoint) -> bool {
        let standing = &endpoint.standing;
        // Where its breaker lets a probe through, this request may be it.
        let open = || !standing.is_shut() || endpoint.breaker.is_ready(self.asking.now);
        let may = match self.among {
            Among::All => true,
            Among::Ready => {
                let warm = || self.luck < standing.warmth(self.asking.now, self.terms.slow_start);
                !standing.is_down() && open() && warm()
            }
            Among::Available => !standing.is_down() && open(),
            Among::Down => open(),
        };
        let has_room = self.terms.max_requests.is_none_or(|most| endpoint.load.active() < most);
        may && has_room && !self.asking.tried.contains(&endpoint.id)
    }
}

/// The endpoints that an algorithm chooses among. Each has a weight.
#[derive(Debug, Default)]
pub(super) struct Members {
    endpoints: Vec<Arc<Endpoint>>,
    weights: Vec<u32>,
    /// For each endpoint the mean weight divided by its own: what one request weighs there.
    burdens: Vec<f32>,
}

impl Members {
    /// Endpoints and weights, none of them 0.
    pub(super) fn new(members: Vec<(Arc<Endpoint>, u32)>) -> Self {
        let (endpoints, weights): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let sum: f32 = weights.iter().map(|weight| *weight as f32).sum();
        let mean = sum / weights.len().max(1) as f32;
        let burdens = weights.iter().map(|weight| mean / *weight as f32).collect();
        Self { endpoints, weights, burdens }
    }

    pub(super) fn count(&self) -> usize {
        self.endpoints.len()
    }

    pub(super) fn weights(&self) -> &[u32] {
        &self.weights
    }

    pub(super) fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    pub(super) fn endpoint(&self, index: usize) -> &Arc<Endpoint> {
        &self.endpoints[index]
    }

    /// The requests in flight at an endpoint, as they burden one of its weight.
    pub(super) fn burden(&self, index: usize) -> f32 {
        self.endpoints[index].load.active() as f32 * self.burdens[index]
    }

    /// Whether the request may go there.
    pub(super) fn may(&self, index: usize, pick: &Pick<'_>) -> bool {
        // Nearly every pick is among all.
        pick.is_free() || pick.is_for(&self.endpoints[index])
    }

    /// The one where the request may go, where there is but one.
    pub(super) fn only(&self, pick: &Pick<'_>) -> Option<usize> {
        let mut open = self.open(0, pick);
        open.next().filter(|_| open.next().is_none())
    }

    /// Those where the request may go, beginning at `start`.
    pub(super) fn open<'a>(&'a self, start: usize, pick: &'a Pick<'_>) -> impl Iterator<Item = usize> + 'a {
        let count = self.count();
        (start..count).chain(0..start.min(count)).filter(|index| self.may(*index, pick))
    }
}
