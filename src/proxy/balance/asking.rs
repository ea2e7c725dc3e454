//! What a pick goes by: who asks for what, when, and whom it has asked before; and the endpoints it chooses among.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

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

    /// Whether the request may go there: it was not there before.
    pub(super) fn may(&self, index: usize, asking: &Asking<'_>) -> bool {
        // Nearly every request is asked for once.
        asking.tried.is_empty() || !asking.tried.contains(&self.endpoints[index].id)
    }

    /// The one where the request may go, where there is but one.
    pub(super) fn only(&self, asking: &Asking<'_>) -> Option<usize> {
        let mut open = self.open(0, asking);
        open.next().filter(|_| open.next().is_none())
    }

    /// Those where the request may go, beginning at `start`.
    pub(super) fn open<'a>(&'a self, start: usize, asking: &'a Asking<'_>) -> impl Iterator<Item = usize> + 'a {
        let count = self.count();
        (start..count).chain(0..start.min(count)).filter(|index| self.may(*index, asking))
    }
}
