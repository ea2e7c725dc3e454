//! Of two endpoints the one that will answer sooner: its response time (peak EWMA, which bad answers lengthen) times the requests
//! it has in flight. One that has asked to be left alone (`Retry-After`) gets nothing where another can be asked.

use std::time::Instant;

use super::asking::{Members, Pick};
use super::foresight::Foresight;
use super::p2c::{cheapest, lighter};
use super::{Balancer, draw::Draw};

/// What is taken for the response time of an endpoint that has not answered yet, in microseconds, while it has a request: that
/// one is to come back before the next goes there.
const UNKNOWN: f32 = 1_000_000.0;

/// How many times as much it costs to ask an endpoint that wants to be left alone: more than any other costs.
const HELD: f32 = 1e15;

/// `ewma`.
#[derive(Debug)]
pub(super) struct Ewma(Draw);

impl Ewma {
    pub(super) fn new(members: &Members) -> Self {
        Self(Draw::new(members.weights()))
    }
}

impl Balancer for Ewma {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        let cost = |index| cost(members, index, pick.asking.now);
        let lighter = lighter(&self.0, members, pick, cost)?;
        // Both of the two want to be left alone, or there is no other.
        if members.endpoint(lighter).load.is_held(pick.asking.now) {
            cheapest(&self.0, members, pick, cost)
        } else {
            Some(lighter)
        }
    }

    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        let millis = |index| cost(members, index, pick.asking.now) / 1_000.0;
        Foresight::scored(members.only(pick), "cost_ms", members, millis)
    }
}

fn cost(members: &Members, index: usize, now: Instant) -> f32 {
    let load = &members.endpoint(index).load;
    let (time, burden) = (load.response_time(now), members.burden(index));
    let time = if time == 0.0 && burden > 0.0 { UNKNOWN } else { time };
    let cost = time * (1.0 + burden);
    if load.is_held(now) { HELD * (1.0 + cost) } else { cost }
}
