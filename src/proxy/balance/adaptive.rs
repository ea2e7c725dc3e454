//! At random by weights that follow what is measured: an endpoint that answers later than the best, or badly, gets a smaller part
//! of its weight, but a tenth at least, so that it is seen when it recovers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use super::asking::{Members, Pick};
use super::foresight::Foresight;
use super::load::{Averages, Load, TICKS, since, tick};
use super::{Balancer, draw::Draw};

/// The smallest part of its weight that an endpoint gets.
const LEAST: f32 = 0.1;

/// How many answers count as much as all that was known before.
const MEMORY: f32 = 16.0;

/// A difference in response times below this is none, in microseconds.
const ALIKE: f32 = 1_000.0;

/// From this share of errors on, how fast an endpoint answers says nothing.
const MOSTLY_BAD: f32 = 0.5;

/// How often is drawn before a draw is taken whatever its part of the weight: the parts are a tenth at least.
const MOST_DRAWS: u32 = 64;

/// `adaptive`.
#[derive(Debug)]
pub(super) struct Adaptive {
    draw: Draw,
    born: Instant,
    /// The tick at which the weights are next adapted.
    due: AtomicU32,
}

impl Adaptive {
    pub(super) fn new(members: &Members, born: Instant) -> Self {
        Self { draw: Draw::new(members.weights()), born, due: AtomicU32::new(TICKS) }
    }

    /// Adapts the weights once a second: the first request that comes then does it.
    fn adapt(&self, members: &Members, now: Instant) {
        let (now, due) = (tick(self.born, now), self.due.load(Relaxed));
        if since(now, due) >= 0 && self.due.compare_exchange(due, now.wrapping_add(TICKS), Relaxed, Relaxed).is_ok() {
            adapt(members);
        }
    }
}

impl Balancer for Adaptive {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        self.adapt(members, pick.asking.now);
        let mut drawn = 0;
        for _ in 0..MOST_DRAWS {
            let random = fastrand::u64(..);
            drawn = self.draw.index((random >> 32) as u32)?;
            // 24 bits are what a float holds exactly.
            let part = (random as u32 >> 8) as f32 / (1 << 24) as f32;
            if part < members.endpoint(drawn).load.factor() && members.may(drawn, pick) {
                return Some(drawn);
            }
        }
        members.open(drawn, pick).next()
    }

    /// The weights as they were adapted last.
    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        let weight = |index: usize| members.weights()[index] as f32 * members.endpoint(index).load.factor();
        Foresight::scored(members.only(pick), "current_weight", members, weight)
    }
}

/// Takes into account what was counted since the last time.
fn adapt(members: &Members) {
    let loads = || members.endpoints().iter().map(|endpoint| &endpoint.load);
    loads().for_each(settle);
    let sound = loads().map(Load::averages).filter(|averages| averages.mean > 0.0 && averages.errors < MOSTLY_BAD);
    let best = sound.map(|averages| averages.mean).fold(f32::INFINITY, f32::min);
    let largest = loads().map(|load| worth(load.averages(), best)).fold(LEAST, f32::max);
    for load in loads() {
        let target = (worth(load.averages(), best) / largest).clamp(LEAST, 1.0);
        // Half the way each time, so that one bad second is not taken for a bad backend.
        load.set_factor((load.factor() + target) / 2.0);
    }
}

/// What an endpoint is worth beside the best response time.
fn worth(Averages { mean, errors }: Averages, best: f32) -> f32 {
    let speed = if mean > best { (best + ALIKE) / (mean + ALIKE) } else { 1.0 };
    speed * (1.0 - errors).powi(3)
}

/// Blends what was counted into the averages. Few answers change little.
fn settle(load: &Load) {
    let window = load.take_window();
    if window.count == 0 {
        return;
    }
    let Averages { mean, errors } = load.averages();
    let part = window.count as f32 / (window.count as f32 + MEMORY);
    let blend = |old: f32, new: f32| old + part * (new - old);
    let mean = match window.mean {
        Some(new) if mean == 0.0 => new,
        Some(new) => blend(mean, new),
        None => mean,
    };
    load.set_averages(Averages { mean, errors: blend(errors, window.bad as f32 / window.count as f32) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_and_bad_endpoints_are_worth_less() {
        let beside_10_ms = |mean: f32, errors: f32| worth(Averages { mean, errors }, 10_000.0);
        assert_eq!((beside_10_ms(10_000.0, 0.0), beside_10_ms(0.0, 0.0)), (1.0, 1.0));
        assert!((0.5..0.6).contains(&beside_10_ms(20_000.0, 0.0)));
        assert!((0.1..0.15).contains(&beside_10_ms(100_000.0, 0.0)));
        assert!((0.1..0.2).contains(&beside_10_ms(10_000.0, 0.5)));
        assert_eq!(beside_10_ms(10_000.0, 1.0), 0.0);
        assert_eq!(worth(Averages { mean: 5.0, errors: 0.0 }, f32::INFINITY), 1.0, "no endpoint is sound");
    }

    #[test]
    fn few_answers_change_little() {
        use crate::proxy::balance::{Measures, Outcome};
        use std::time::Duration;

        let start = Instant::now();
        let load = Load::new(start);
        let answers = |count: u32, status: u16, millis: u64| {
            let outcome = Outcome::Answered { status, retry_after: None };
            (0..count).for_each(|_| load.learn(Measures::Share, outcome, Duration::from_millis(millis), start));
            settle(&load);
            load.averages()
        };
        assert_eq!(answers(1, 200, 10), Averages { mean: 10_000.0, errors: 0.0 });
        let after_one = answers(1, 500, 100);
        assert!((15_000.0..16_000.0).contains(&after_one.mean) && after_one.errors < 0.06, "{after_one:?}");
        let after_many = answers(1_000, 500, 100);
        assert!(after_many.mean > 98_000.0 && after_many.errors > 0.98, "{after_many:?}");
        settle(&load);
        assert_eq!(load.averages(), after_many, "nothing came");
    }
}
