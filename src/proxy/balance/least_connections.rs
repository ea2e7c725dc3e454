//! The endpoint with the fewest requests in flight for its weight. Among equal ones the weights decide, as they do for
//! `round_robin`.

use super::asking::{Members, Pick};
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
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        lightest(members, pick, self.0.pick(members, pick)?)
    }

    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        let start = self.0.foresee(members, pick).pick;
        let lightest = start.and_then(|start| lightest(members, pick, start));
        Foresight::scored(lightest, "burden", members, |index| members.burden(index))
    }
}

/// The one with the fewest requests for its weight; of equal ones the first from `start` on.
fn lightest(members: &Members, pick: &Pick<'_>, start: usize) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for index in members.open(start, pick) {
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
