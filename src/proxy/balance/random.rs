//! At random, as the weights say.

use super::asking::{Members, Pick};
use super::foresight::Foresight;
use super::{Balancer, draw::Draw};

/// `random`.
#[derive(Debug)]
pub(super) struct Random(Draw);

impl Random {
    pub(super) fn new(members: &Members) -> Self {
        Self(Draw::new(members.weights()))
    }
}

impl Balancer for Random {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        self.0.among(members, pick)
    }

    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        Foresight { pick: members.only(pick), scores: None }
    }
}
