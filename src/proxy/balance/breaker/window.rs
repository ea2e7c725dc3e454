//! How many requests an endpoint got of late, and how many of them were bad: exact counts in buckets, not averages, which would
//! hide a burst.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many buckets a window has. The last one is not over yet, so that the oldest count is between nine and ten of them old.
pub(super) const BUCKETS: usize = 10;

/// The counts of one endpoint, which all workers add to without a lock. On cache lines of their own: every answer writes them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Window([Bucket; BUCKETS]);

#[derive(Debug, Default)]
struct Bucket {
    all: Tally,
    errors: Tally,
    slow: Tally,
}

/// A number, and in the upper half the tag of the bucket that it was counted for.
#[derive(Debug, Default)]
struct Tally(AtomicU64);

/// What there was within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) all: u32,
    pub(super) errors: u32,
    pub(super) slow: u32,
}

impl Window {
    /// Counts a request that ended at `millis`, in buckets of that width.
    pub(super) fn count(&self, (millis, width): (u64, u64), error: bool, slow: bool) {
        let number = millis / width;
        let (bucket, tag) = (self.bucket(number), tag(number, width));
        bucket.all.add(tag);
        if error {
            bucket.errors.add(tag);
        }
        if slow {
            bucket.slow.add(tag);
        }
    }

    /// Counts what went wrong with a request that was counted before.
    pub(super) fn count_error(&self, (millis, width): (u64, u64)) {
        let number = millis / width;
        self.bucket(number).errors.add(tag(number, width));
    }

    /// The sums at `millis`.
    pub(super) fn sums(&self, (millis, width): (u64, u64)) -> Sums {
        let last = millis / width;
        let mut sums = Sums::default();
        for number in last.saturating_sub(BUCKETS as u64 - 1)..=last {
            let (bucket, tag) = (self.bucket(number), tag(number, width));
            sums.all += bucket.all.count(tag);
            sums.errors += bucket.errors.count(tag);
            sums.slow += bucket.slow.count(tag);
        }
        sums
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for bucket in &self.0 {
            for tally in [&bucket.all, &bucket.errors, &bucket.slow] {
                tally.0.store(0, Relaxed);
            }
        }
    }

    fn bucket(&self, number: u64) -> &Bucket {
        // The remainder is always within.
        &self.0[(number % BUCKETS as u64) as usize]
    }
}

impl Tally {
    fn add(&self, tag: u32) {
        let mut seen = self.0.load(Relaxed);
        while (seen >> 32) as u32 != tag {
            // What stands there is of another time.
            match self.0.compare_exchange_weak(seen, u64::from(tag) << 32 | 1, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        self.0.fetch_add(1, Relaxed);
    }

    fn count(&self, tag: u32) -> u32 {
        let seen = self.0.load(Relaxed);
        if (seen >> 32) as u32 == tag { seen as u32 } else { 0 }
    }
}

/// Tells the buckets of all times apart, and those of another width, which a reload may have changed.
fn tag(number: u64, width: u64) -> u32 {
    (number as u32).wrapping_add((width as u32).wrapping_mul(0x9e37_79b1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u64 = 1_000;

    #[test]
    fn counts_are_exact_and_leave_after_the_window() {
        let window = Window::default();
        let sums = |millis| window.sums((millis, WIDTH));
        for number in 0..30 {
            window.count((number * 100, WIDTH), number % 3 == 0, number % 5 == 0);
        }
        assert_eq!(sums(2_999), Sums { all: 30, errors: 10, slow: 6 });
        assert_eq!(sums(9_999), Sums { all: 30, errors: 10, slow: 6 }, "the tenth bucket");
        assert_eq!(sums(10_000), Sums { all: 20, errors: 6, slow: 4 }, "the first has left");
        window.count((10_000, WIDTH), true, false);
        assert_eq!(sums(10_000), Sums { all: 21, errors: 7, slow: 4 }, "and its place is another's");
        assert_eq!(sums(100_000), Sums::default());
        window.clear();
        assert_eq!(sums(10_000), Sums::default());
    }

    #[test]
    fn what_breaks_later_is_no_second_request() {
        let window = Window::default();
        window.count((5, WIDTH), false, false);
        window.count_error((5, WIDTH));
        assert_eq!(window.sums((5, WIDTH)), Sums { all: 1, errors: 1, slow: 0 });
    }

    #[test]
    fn another_width_begins_anew() {
        let window = Window::default();
        (0..10).for_each(|number| window.count((number * WIDTH, WIDTH), true, true));
        for width in [100, 500, 2_000, 60_000] {
            assert_eq!(window.sums((9_000, width)), Sums::default(), "{width}");
        }
    }

    #[test]
    fn nothing_is_lost_where_workers_count_at_once() {
        const EACH: u64 = 20_000;
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                // All of it within the ten buckets that are summed up.
                scope.spawn(|| (0..EACH).for_each(|number| window.count((number / 4, WIDTH), true, number % 2 == 0)));
            }
        });
        let all = 4 * EACH as u32;
        assert_eq!(window.sums((EACH / 4, WIDTH)), Sums { all, errors: all, slow: all / 2 });
    }
}
