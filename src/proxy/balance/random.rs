//! At random, as the weights say.

use super::asking::{Asking, Members};
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
    fn pick(&self, members: &Members, asking: &Asking<'_>) -> Option<usize> {
        let drawn = self.0.index(fastrand::u32(..))?;
        members.open(drawn, asking).next()
    }

    fn foresee(&self, members: &Members, asking: &Asking<'_>) -> Foresight {
        Foresight { pick: members.only(asking), scores: None }
    }
}
