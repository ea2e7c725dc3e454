//! Smooth weighted round robin: a sequence computed once, one atomic step per pick. The shares are exact over each full
//! cycle, whatever worker asks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Balancer;
use super::asking::{Members, Pick};
use super::foresight::Foresight;
use crate::base::gcd::gcd;

/// The most picks of one cycle. Weights that would need more are scaled down, each to 1 at least.
const MOST_PICKS: u64 = 16_384;

/// The sequence and where it stands.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    sequence: Vec<u32>,
    cursor: AtomicUsize,
    /// Where the sequence stands for requests that are sent again. With the others in one, of two endpoints the one that fails
    /// would be the first for every request.
    again: AtomicUsize,
}

impl RoundRobin {
    /// Over endpoints of these weights. A weight of 0 is never picked.
    pub(super) fn new(weights: &[u32]) -> Self {
        Self { sequence: smooth(weights), ..Self::default() }
    }

    /// The next index; none where every weight is 0.
    fn step(&self, cursor: &AtomicUsize) -> Option<usize> {
        if self.sequence.is_empty() {
            return None;
        }
        let at = cursor.fetch_add(1, Ordering::Relaxed) % self.sequence.len();
        Some(self.sequence[at] as usize)
    }

    /// The indexes of one cycle, from the one that is next. Nobody's turn is taken.
    pub(super) fn upcoming(&self) -> impl Iterator<Item = usize> {
        let at = self.cursor.load(Ordering::Relaxed);
        let place = move |step: usize| at.wrapping_add(step) % self.cycle();
        (0..self.cycle()).filter_map(move |step| self.sequence.get(place(step)).map(|index| *index as usize))
    }

    /// How many picks a full cycle has.
    pub(super) fn cycle(&self) -> usize {
        self.sequence.len()
    }
}

impl Balancer for RoundRobin {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        if !pick.is_free() {
            // Where nobody may be picked, no turn is taken to find that out.
            members.open(0, pick).next()?;
        }
        let cursor = if pick.asking.tried.is_empty() { &self.cursor } else { &self.again };
        for _ in 0..self.cycle() {
            let index = self.step(cursor)?;
            if members.may(index, pick) {
                return Some(index);
            }
        }
        // Where others ask meanwhile, a cycle may go by without a turn for the one that is left.
        members.open(0, pick).next()
    }

    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        let next = self.upcoming().find(|index| members.may(*index, pick));
        Foresight { pick: next, scores: None }
    }
}

/// Each endpoint's picks spread evenly over the cycle: of all picks still to be made, the one that is due first, where the
/// k-th pick of weight w is due at (2k + 1) / w (earliest deadline first).
fn smooth(weights: &[u32]) -> Vec<u32> {
    let parts = parts(weights);
    // Deadlines are compared as whole numbers: 2^40 cycles a weight is exact enough that 256 picks never tie by rounding.
    let due = |part: u64, pick: u64| ((2 * pick + 1) << 40) / part;
    let mut heap: BinaryHeap<Reverse<(u64, usize, u64)>> = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| **part > 0)
        .map(|(index, part)| Reverse((due(*part, 0), index, 0)))
        .collect();
    let mut sequence = Vec::with_capacity(parts.iter().sum::<u64>() as usize);
    while let Some(Reverse((_, index, pick))) = heap.pop() {
        sequence.push(index as u32);
        if pick + 1 < parts[index] {
            heap.push(Reverse((due(parts[index], pick + 1), index, pick + 1)));
        }
    }
    sequence
}

/// How often each endpoint is picked in a cycle: the weights, divided by what they have in common.
fn parts(weights: &[u32]) -> Vec<u64> {
    let common = weights.iter().fold(0, |common, weight| gcd(common, *weight)).max(1);
    let mut parts: Vec<u64> = weights.iter().map(|weight| u64::from(weight / common)).collect();
    let sum: u64 = parts.iter().sum();
    if sum > MOST_PICKS {
        for part in parts.iter_mut().filter(|part| **part > 0) {
            *part = (*part * MOST_PICKS / sum).max(1);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(robin: &RoundRobin) -> Option<usize> {
        robin.step(&robin.cursor)
    }

    #[test]
    fn shares_are_exact_over_a_cycle() {
        for weights in [&[5, 3, 1][..], &[1], &[2, 4], &[256, 1], &[0, 7, 0, 3], &[1, 1, 1, 1]] {
            let robin = RoundRobin::new(weights);
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..robin.cycle() {
                counts[next(&robin).unwrap()] += 1;
            }
            let common = weights.iter().fold(0, |a, b| gcd(a, *b));
            let expected: Vec<u32> = weights.iter().map(|weight| weight / common).collect();
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn no_endpoint_is_picked_in_bursts() {
        assert_eq!(smooth(&[5, 3, 1]), [0, 1, 0, 0, 1, 2, 0, 1, 0]);
    }

    #[test]
    fn a_cycle_is_bounded_whatever_the_weights() {
        let robin = RoundRobin::new(&[65_536, 65_535, 1, 0]);
        assert!(robin.cycle() as u64 <= MOST_PICKS + 1);
        let picked: Vec<usize> = (0..robin.cycle()).map(|_| next(&robin).unwrap()).collect();
        let count = |index| picked.iter().filter(|picked| **picked == index).count();
        assert_eq!((count(2), count(3)), (1, 0));
        assert!(count(0).abs_diff(count(1)) <= 1, "{} {}", count(0), count(1));
    }

    #[test]
    fn nothing_is_picked_where_nothing_has_weight() {
        assert_eq!(next(&RoundRobin::new(&[0, 0])), None);
        assert_eq!(next(&RoundRobin::new(&[])), None);
    }
}
