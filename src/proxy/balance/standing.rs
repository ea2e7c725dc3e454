//! Whether an endpoint gets requests: one word that picks read, and to which everybody writes who knows something of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::load::{TICKS, since, tick};

/// Its probes fail.
const DOWN: u8 = 1;
/// It came a short while ago, or came back.
const WARMING: u8 = 1 << 1;

/// What keeps requests away from an endpoint.
const UNAVAILABLE: u8 = DOWN;

/// The least part of its share that an endpoint gets when it begins.
const LEAST_WARMTH: f32 = 0.1;

/// Counts the changes of standing in one pool, so that picks need not look at every endpoint each time.
#[derive(Debug, Default)]
pub struct Changes(AtomicU32);

impl Changes {
    /// How many there were.
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn note(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Whether one endpoint gets requests, as all workers and the probes share it.
#[derive(Debug)]
pub struct Standing {
    flags: AtomicU8,
    /// The tick at which it began or came back.
    since: AtomicU32,
    born: Instant,
    changes: Arc<Changes>,
}

impl Standing {
    /// Of an endpoint that gets its whole share.
    pub(super) fn new(born: Instant, changes: Arc<Changes>) -> Self {
        Self { flags: AtomicU8::new(0), since: AtomicU32::new(0), born, changes }
    }

    /// Its probes fail: it gets requests only where the pool has too few others.
    pub fn fail(&self) {
        self.set(DOWN);
    }

    /// Its probes are well. At `now` it begins with a small share, where the pool has `slow_start`.
    pub fn recover(&self, now: Instant, slow_start: Option<Duration>) {
        if slow_start.is_some() {
            self.warm_up(now);
        }
        self.clear(DOWN);
    }

    /// Begins with a small share at `now`.
    pub(super) fn warm_up(&self, now: Instant) {
        self.since.store(tick(self.born, now), Ordering::Relaxed);
        self.set(WARMING);
    }

    /// Whether its probes fail.
    pub fn is_down(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & DOWN != 0
    }

    /// Whether nothing keeps requests away from it.
    pub fn is_available(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & UNAVAILABLE == 0
    }

    /// Whether there is nothing at all to be taken into account.
    pub(super) fn is_whole(&self) -> bool {
        self.flags.load(Ordering::Relaxed) == 0
    }

    /// The part of its share that it gets at `now`, up to 1, where a slow start takes `slow_start`.
    pub(super) fn warmth(&self, now: Instant, slow_start: Option<Duration>) -> f32 {
        if self.flags.load(Ordering::Relaxed) & WARMING == 0 {
            return 1.0;
        }
        let whole = slow_start.unwrap_or_default().as_secs_f32() * TICKS as f32;
        let passed = since(tick(self.born, now), self.since.load(Ordering::Relaxed)) as f32;
        if passed >= whole {
            self.clear(WARMING);
            return 1.0;
        }
        (passed / whole).max(LEAST_WARMTH)
    }

    fn set(&self, flag: u8) {
        if self.flags.fetch_or(flag, Ordering::Relaxed) & flag == 0 {
            self.changes.note();
        }
    }

    fn clear(&self, flag: u8) {
        if self.flags.fetch_and(!flag, Ordering::Relaxed) & flag != 0 {
            self.changes.note();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_takes_as_long_as_it_says() {
        let (now, changes) = (Instant::now(), Arc::<Changes>::default());
        let standing = Standing::new(now, Arc::clone(&changes));
        let slow = Some(Duration::from_secs(10));
        let warmth = |seconds| standing.warmth(now + Duration::from_secs(seconds), slow);
        assert_eq!((warmth(0), standing.is_whole()), (1.0, true));
        standing.fail();
        assert!(!standing.is_available());
        standing.recover(now, slow);
        assert!(standing.is_available() && !standing.is_whole());
        assert_eq!([warmth(0), warmth(5), warmth(9)], [0.1, 0.5, 0.9]);
        let before = changes.count();
        assert_eq!((warmth(10), standing.is_whole()), (1.0, true));
        assert_eq!(changes.count(), before + 1, "picks need look no more");
    }

    #[test]
    fn without_a_slow_start_it_is_back_at_once() {
        let (now, changes) = (Instant::now(), Arc::<Changes>::default());
        let standing = Standing::new(now, Arc::clone(&changes));
        standing.fail();
        standing.fail();
        standing.recover(now, None);
        assert!(standing.is_whole());
        assert_eq!(changes.count(), 2, "what is known already is no change");
    }
}
