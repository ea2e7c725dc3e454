//! Which requests are sent to another pool as well, whose answers nobody gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::split::GOLDEN;

/// A route's `mirror`.
#[derive(Clone, Debug)]
pub struct Mirror<T> {
    /// Where copies go.
    pub target: T,
    /// Which part of the whole, of 2^64, is copied.
    part: u64,
    turn: Arc<AtomicU64>,
}

impl<T> Mirror<T> {
    /// `percent` of all requests, 0 to 100.
    pub fn new(target: T, percent: f64) -> Self {
        // Beyond the largest, the conversion stays at the largest.
        let part = (percent / 100.0 * u64::MAX as f64) as u64;
        Self { target, part, turn: Arc::default() }
    }

    /// The same part to what `change` makes of the target.
    pub fn map<U>(&self, change: impl FnOnce(&T) -> U) -> Mirror<U> {
        Mirror { target: change(&self.target), part: self.part, turn: Arc::clone(&self.turn) }
    }

    /// How many of a hundred requests are copied.
    pub fn percent(&self) -> f64 {
        // As exact as it is meant.
        (self.part as f64 / u64::MAX as f64 * 100_000.0).round() / 1_000.0
    }

    /// Whether the next request is copied.
    pub fn takes_next(&self) -> bool {
        self.part == u64::MAX || self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN) < self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_what_is_said() {
        for (percent, expected) in [(0.0, 0..=0), (10.0, 998..=1_002), (50.0, 4_998..=5_002), (100.0, 10_000..=10_000)]
        {
            let mirror = Mirror::new((), percent);
            let taken = (0..10_000).filter(|_| mirror.takes_next()).count();
            assert!(expected.contains(&taken), "{percent} {taken}");
            assert_eq!(mirror.percent(), percent);
        }
    }
}
