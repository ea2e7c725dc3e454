//! The endpoint with the fewest requests in flight for its weight. Among equal ones the weights decide, as they do for
//! `round_robin`.

use super::asking::{Members, Pick};
use super::{Balancer, round_robin::RoundRobin};

/// `least_connections`.
#[derive(Debug)]
pub(super) struct LeastConnections(RoundRobin);

impl LeastConnections {
    pub(super) fn new(members: &Members) -> Self {
        Self(RoundRobin::new(members.weights()))
    }
}

impl Balancer for LeastConnections {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        let mut best: Option<(usize, f32)> = None;
        for index in members.open(self.0.pick(members, pick)?, pick) {
            let burden = members.burden(index);
            if burden == 0.0 {
                return Some(index);
            }
            if best.is_none_or(|(_, least)| burden < least) {
                best = Some((index, burden));
            }
        }
        best.map(|(index, _)| index)
    }
}
