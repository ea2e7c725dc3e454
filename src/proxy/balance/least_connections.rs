//! The endpoint with the fewest requests in flight for its weight. Among equal ones the weights decide, as they do for
//! `round_robin`.

use super::asking::{Asking, Members};
use super::foresight::Foresight;
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
    fn pick(&self, members: &Members, asking: &Asking<'_>) -> Option<usize> {
        lightest(members, asking, self.0.next()?)
    }

    fn foresee(&self, members: &Members, asking: &Asking<'_>) -> Foresight {
        let pick = self.0.upcoming().next().and_then(|start| lightest(members, asking, start));
        Foresight::scored(pick, "burden", members, |index| members.burden(index))
    }
}

/// The one with the fewest requests for its weight; of equal ones the first from `start` on.
fn lightest(members: &Members, asking: &Asking<'_>, start: usize) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for index in members.open(start, asking) {
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
