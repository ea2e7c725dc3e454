//! What one worker writes and every scrape reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A value of one series as one worker sees it.
pub(super) trait Cell: Default + Send + Sync {
    /// The value over all workers.
    type Sum: Default;

    /// Adds this worker's part.
    fn add_to(&self, sum: &mut Self::Sum);
}

/// A number with one writer. Readers see each value whole, if a little late.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. The one writer needs no atomic addition: nobody else stores.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one away, for gauges. Below zero the number wraps, and the sum over the workers comes out right.
    pub(super) fn subtract_one(&self) {
        self.add(u64::MAX);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Counter {
    type Sum = u64;

    fn add_to(&self, sum: &mut u64) {
        *sum = sum.wrapping_add(self.value());
    }
}

/// Upper bounds of the buckets, inclusive; a last one without bound follows.
pub(super) const BOUNDS: [(Duration, &str); 16] = [
    (Duration::from_micros(500), "0.0005"),
    (Duration::from_millis(1), "0.001"),
    (Duration::from_micros(2500), "0.0025"),
    (Duration::from_millis(5), "0.005"),
    (Duration::from_millis(10), "0.01"),
    (Duration::from_millis(25), "0.025"),
    (Duration::from_millis(50), "0.05"),
    (Duration::from_millis(100), "0.1"),
    (Duration::from_millis(250), "0.25"),
    (Duration::from_millis(500), "0.5"),
    (Duration::from_secs(1), "1"),
    (Duration::from_millis(2500), "2.5"),
    (Duration::from_secs(5), "5"),
    (Duration::from_secs(10), "10"),
    (Duration::from_secs(30), "30"),
    (Duration::from_secs(60), "60"),
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// Durations, counted by length.
#[derive(Default)]
pub(super) struct Histogram {
    buckets: [Counter; BUCKETS],
    nanoseconds: Counter,
}

impl Histogram {
    pub(super) fn observe(&self, length: Duration) {
        let bucket = BOUNDS.iter().position(|(bound, _)| length <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].add(1);
        self.nanoseconds.add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// A histogram over all workers.
#[derive(Default)]
pub(super) struct Distribution {
    /// Observations per bucket, not cumulated.
    pub(super) buckets: [u64; BUCKETS],
    /// All lengths together.
    pub(super) nanoseconds: u64,
}

impl Cell for Histogram {
    type Sum = Distribution;

    fn add_to(&self, sum: &mut Distribution) {
        for (sum, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.value();
        }
        sum.nanoseconds = sum.nanoseconds.wrapping_add(self.nanoseconds.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_on_a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for length in [Duration::ZERO, BOUNDS[0].0, BOUNDS[1].0, BOUNDS[1].0 + Duration::from_nanos(1)] {
            histogram.observe(length);
        }
        histogram.observe(Duration::from_secs(3600));
        let mut sum = Distribution::default();
        histogram.add_to(&mut sum);
        assert_eq!(sum.buckets[..4], [2, 1, 1, 0]);
        assert_eq!(sum.buckets[BOUNDS.len()], 1);
        assert_eq!(sum.nanoseconds, 500_000 + 1_000_000 + 1_000_001 + 3_600_000_000_000);
    }

    #[test]
    fn bounds_rise_and_say_what_they_are() {
        assert!(BOUNDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (bound, text) in BOUNDS {
            assert_eq!(bound.as_secs_f64(), text.parse::<f64>().unwrap());
        }
    }

    #[test]
    fn a_gauge_that_rises_on_one_worker_and_falls_on_another_sums_up() {
        let (here, there) = (Counter::default(), Counter::default());
        here.add(3);
        there.subtract_one();
        let mut sum = 0;
        here.add_to(&mut sum);
        there.add_to(&mut sum);
        assert_eq!(sum, 2);
    }
}
