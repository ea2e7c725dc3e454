//! One bucket, and what governor makes of a request for it.
//!
//! governor keeps a bucket as one number: the moment at which it is full again. A limiter is made for each check, from the
//! quota, the bucket and the moment of the exchange: that is a few instructions, asks no clock, and lets buckets lie where
//! they are bounded.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// How much longer a client waits that knocks on while it is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Penalty {
    /// What each refused request multiplies the wait by.
    pub(super) factor: f64,
    /// The longest wait, in nanoseconds.
    pub(super) most: u64,
}

/// A client's bucket. Moments are nanoseconds since the store began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// When it is full again; 0 is one that was never asked.
    full: u64,
    /// Until when the penalty bars its client.
    barred: u64,
    /// How often its client was refused in a row.
    refused: u32,
}

impl Bucket {
    /// From when on it is as good as none. It only moves on.
    pub(super) fn end(&self) -> u64 {
        self.full.max(self.barred)
    }

    /// Takes one token at `now`, or says how long to wait for it. Who is refused takes nothing.
    pub(super) fn take(&mut self, quota: Quota, penalty: Option<Penalty>, now: u64) -> Result<(), Duration> {
        let left = if penalty.is_some() { self.barred.saturating_sub(now) } else { 0 };
        let taken = match left {
            0 => measure(quota, Slot(Cell::from_mut(&mut self.full)), now),
            left => Err(Duration::from_nanos(left)),
        };
        match (taken, penalty) {
            (Ok(()), _) => {
                self.refused = 0;
                Ok(())
            }
            (Err(wait), None) => Err(wait),
            (Err(wait), Some(penalty)) => Err(self.punish(quota, penalty, (now, wait))),
        }
    }

    /// How many tokens are left at `now`, whatever a penalty says.
    pub(super) fn left(&self, quota: Quota, now: u64) -> u32 {
        let (burst, interval) = (u128::from(quota.burst_size().get()), quota.replenish_interval().as_nanos().max(1));
        let missing = u128::from(self.full.saturating_sub(now)).div_ceil(interval);
        u32::try_from(burst.saturating_sub(missing)).unwrap_or(u32::MAX)
    }

    /// The first refusal in a row is told the plain wait; the n-th after it `factor`^n of the time in which one token comes.
    fn punish(&mut self, quota: Quota, penalty: Penalty, (now, wait): (u64, Duration)) -> Duration {
        let times = i32::try_from(self.refused).unwrap_or(i32::MAX);
        let punished = match times {
            0 => 0,
            times => (quota.replenish_interval().as_nanos() as f64 * penalty.factor.powi(times)) as u64,
        };
        self.refused = self.refused.saturating_add(1);
        let plain = wait.as_nanos() as u64;
        self.barred = self.barred.max(now.saturating_add(plain.max(punished.min(penalty.most))));
        Duration::from_nanos(self.barred - now)
    }
}

/// Takes one token of a bucket that all share, or says how long to wait for it.
pub(super) fn take_shared(state: &InMemoryState, quota: Quota, now: u64) -> Result<(), Duration> {
    measure(quota, SharedSlot(state), now)
}

/// A bucket that all share, as it is: a copy to try on.
pub(super) fn copy_of_shared(state: &InMemoryState) -> Bucket {
    let seen = state.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>);
    Bucket { full: seen.err().flatten().map_or(0, Into::into), ..Bucket::default() }
}

fn measure(quota: Quota, store: impl StateStore<Key = NotKeyed>, now: u64) -> Result<(), Duration> {
    let now = Nanos::from(now);
    let clock = Moment { next: Cell::new(Nanos::default()), now };
    let limiter: RateLimiter<NotKeyed, _, Moment, NoOpMiddleware<Nanos>> = RateLimiter::new(quota, store, clock);
    limiter.check().map_err(|until| until.wait_time_from(now))
}

/// The clock of one check. A limiter asks it twice: when it is made, which is when the store began, and for the time.
struct Moment {
    next: Cell<Nanos>,
    now: Nanos,
}

impl Clock for Moment {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.next.replace(self.now)
    }
}

/// A client's bucket, behind the lock of its shard.
struct Slot<'a>(&'a Cell<u64>);

impl StateStore for Slot<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, full) = decide(NonZeroU64::new(self.0.get()).map(|full| full.get().into()))?;
        self.0.set(full.into());
        Ok(outcome)
    }
}

/// A bucket that all workers share without a lock.
struct SharedSlot<'a>(&'a InMemoryState);

impl StateStore for SharedSlot<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rate::Rate;

    const SECOND: u64 = 1_000_000_000;

    fn quota(text: &str, burst: u32) -> Quota {
        super::super::limit::quota(text.parse().unwrap(), burst)
    }

    /// Whatever the rate, the burst and the pauses: never more than burst + rate × time, and with a crowd that never leaves
    /// hardly less.
    #[test]
    fn what_is_allowed_is_the_burst_and_the_rate_times_the_time() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..200 {
            let (count, burst) = (random.u32(1..=5_000), random.u32(1..=500));
            let text = format!("{count}/{}", random.choice(["s", "m", "h"]).unwrap());
            let (quota, interval) = (quota(&text, burst), text.parse::<Rate>().unwrap().interval());
            let interval = interval.as_nanos() as u64;
            let pause = random.u64(1..=interval * 2);
            let (mut bucket, state) = (Bucket::default(), InMemoryState::default());
            let mut now = random.u64(0..SECOND);
            let began = now;
            let (mut allowed, mut shared) = (0, 0);
            for _ in 0..5_000 {
                now += random.u64(0..=pause);
                allowed += u64::from(bucket.take(quota, None, now).is_ok());
                shared += u64::from(take_shared(&state, quota, now).is_ok());
                assert!(allowed <= u64::from(burst) + (now - began) / interval, "{text} burst {burst}");
            }
            assert_eq!(allowed, shared);
            // A bucket that is full again loses what comes then; this one never is.
            if pause < interval && burst > 1 {
                let most = (u64::from(burst) + (now - began) / interval).min(5_000);
                assert!(allowed * 100 + 200 >= most * 99, "{text} burst {burst}: {allowed} of {most}");
            }
        }
    }

    /// What is told to be left is what can be taken, of either kind of bucket, and telling changes nothing.
    #[test]
    fn as_many_are_left_as_can_be_taken() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..500 {
            let text = format!("{}/{}", random.u32(1..=5_000), random.choice(["s", "m", "h"]).unwrap());
            let quota = quota(&text, random.u32(1..=50));
            let (mut bucket, state) = (Bucket::default(), InMemoryState::default());
            let mut now = random.u64(0..SECOND);
            for _ in 0..random.u32(0..60) {
                now += random.u64(0..=quota.replenish_interval().as_nanos() as u64);
                let _ = (bucket.take(quota, None, now), take_shared(&state, quota, now));
            }
            let copy = copy_of_shared(&state);
            assert_eq!((copy, copy_of_shared(&state)), (bucket, bucket));
            let left = bucket.left(quota, now);
            let taken = (0..100).take_while(|_| bucket.take(quota, None, now).is_ok()).count();
            assert_eq!(left as usize, taken, "{text}");
            assert_eq!(bucket.left(quota, now), 0);
        }
    }

    #[test]
    fn the_wait_is_right_to_the_nanosecond() {
        let (quota, mut bucket) = (quota("10/s", 2), Bucket::default());
        assert_eq!([bucket.take(quota, None, 5), bucket.take(quota, None, 5)], [Ok(()), Ok(())]);
        let wait = bucket.take(quota, None, 6).unwrap_err();
        assert_eq!(wait, Duration::from_nanos(SECOND / 10 - 1));
        let due = 6 + wait.as_nanos() as u64;
        assert!(bucket.take(quota, None, due - 1).is_err());
        assert!(bucket.take(quota, None, due).is_ok());
        assert_eq!(bucket.end(), 5 + 3 * SECOND / 10, "three tokens were taken");
    }

    #[test]
    fn who_knocks_on_waits_exponentially_longer_up_to_the_most() {
        let penalty = Some(Penalty { factor: 2.0, most: 60 * SECOND });
        let (quota, mut bucket) = (quota("1/s", 1), Bucket::default());
        assert!(bucket.take(quota, penalty, 0).is_ok());
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(bucket.take(quota, penalty, 1).unwrap_err().as_nanos() as u64);
        }
        assert_eq!(waits[1..], [2, 4, 8, 16, 32, 60, 60].map(|seconds| seconds * SECOND));
        assert_eq!(waits[0], SECOND - 1, "the first refusal costs nothing");
        assert_eq!(bucket.end(), 1 + 60 * SECOND);
        let again = bucket.take(quota, penalty, 50 * SECOND).unwrap_err();
        assert_eq!(again, Duration::from_secs(60), "who knocks in the last moment waits anew");
        assert!(bucket.take(quota, penalty, 110 * SECOND).is_ok());
        let forgiven = bucket.take(quota, penalty, 110 * SECOND).unwrap_err();
        assert_eq!(forgiven, Duration::from_secs(1), "who has waited begins anew");
    }

    #[test]
    fn a_penalty_that_was_taken_away_bars_nobody_and_a_long_interval_is_waited_for() {
        let penalty = Some(Penalty { factor: 100.0, most: SECOND });
        let (quota, mut bucket) = (quota("1/h", 1), Bucket::default());
        assert!(bucket.take(quota, penalty, 0).is_ok());
        for _ in 0..1_000 {
            assert_eq!(bucket.take(quota, penalty, 0).unwrap_err(), Duration::from_secs(3_600));
        }
        assert!(bucket.take(quota, None, 3_600 * SECOND).is_ok());
    }
}
