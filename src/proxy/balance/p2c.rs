//! The power of two choices: of two endpoints drawn at random by weight, the one that bears less.

use super::asking::{Members, Pick};
use super::foresight::Foresight;
use super::{Balancer, draw::Draw};

/// `p2c`: the fewer requests in flight for the weight.
#[derive(Debug)]
pub(super) struct PowerOfTwo(Draw);

impl PowerOfTwo {
    pub(super) fn new(members: &Members) -> Self {
        Self(Draw::new(members.weights()))
    }
}

impl Balancer for PowerOfTwo {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        lighter(&self.0, members, pick, |index| members.burden(index))
    }

    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        Foresight::scored(members.only(pick), "burden", members, |index| members.burden(index))
    }
}

/// How often is drawn for a second one where not every endpoint will do.
const MOST_DRAWS: u32 = 8;

/// Of two endpoints the one that costs less; the first where both cost the same.
pub(super) fn lighter(draw: &Draw, members: &Members, pick: &Pick<'_>, cost: impl Fn(usize) -> f32) -> Option<usize> {
    if !pick.is_free() {
        return lighter_of_some(draw, members, pick, cost);
    }
    let random = fastrand::u64(..);
    let first = draw.index((random >> 32) as u32)?;
    let mut second = draw.index(random as u32)?;
    if second == first {
        // Drawn again it might be the same again, for a long time where its weight is nearly all.
        let others = members.count() - 1;
        if others == 0 {
            return Some(first);
        }
        second = (first + 1 + fastrand::usize(..others)) % members.count();
    }
    Some(if cost(second) < cost(first) { second } else { first })
}

/// The same where not every endpoint will do.
fn lighter_of_some(draw: &Draw, members: &Members, pick: &Pick<'_>, cost: impl Fn(usize) -> f32) -> Option<usize> {
    let first = draw.among(members, pick)?;
    let draws = (0..MOST_DRAWS).filter_map(|_| draw.index(fastrand::u32(..)));
    match draws.into_iter().find(|index| *index != first && members.may(*index, pick)) {
        Some(second) if cost(second) < cost(first) => Some(second),
        Some(_) => Some(first),
        None => cheapest(draw, members, pick, cost),
    }
}

/// The one of all that costs least. The search begins where the weights say, so that among equal ones they decide.
pub(super) fn cheapest(draw: &Draw, members: &Members, pick: &Pick<'_>, cost: impl Fn(usize) -> f32) -> Option<usize> {
    let start = draw.index(fastrand::u32(..))?;
    members.open(start, pick).map(|index| (index, cost(index))).min_by(|a, b| a.1.total_cmp(&b.1)).map(|best| best.0)
}
