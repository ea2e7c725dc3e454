//! `max_requests`, `queue` and `queue_timeout`: how many requests a backend has at once, and who waits for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::period::Period;
use crate::base::settings::{Problem, Section};

/// What a pool says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// How many requests each backend has at once. 1 to 1,000,000; left out, as many as come.
    pub max_requests: Option<u32>,
    /// How many more wait, over all backends. 0 to 100,000, default 128.
    pub queue: u32,
    /// How long they wait. 1 ms to 60 s, default 1 s.
    pub queue_timeout: Period,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { max_requests: None, queue: 128, queue_timeout: Period::seconds(1) }
    }
}

impl QueueSettings {
    pub(super) fn keys(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let max_requests = section
            .key("max_requests", "How many requests each backend has at once. 1 to 1000000; left out, as many as come.")
            .within(1..=1_000_000)
            .optional();
        let queue = section
            .key("queue", "How many more wait until a backend has room. 0 to 100000.")
            .within(0..=100_000)
            .or(default.queue);
        let queue_timeout = section
            .key("queue_timeout", "How long they wait, before they are refused with 503. 1ms to 60s.")
            .within(Period(Duration::from_millis(1))..=Period::seconds(60))
            .or(default.queue_timeout);
        if max_requests.is_none() && section.written("max_requests").is_none() {
            for name in ["queue", "queue_timeout"] {
                let Some(place) = section.written(name) else { continue };
                let message = format!("`{name}` does nothing without `max_requests`: no request ever waits");
                section.report(Problem::warning(place, message, "add `max_requests`, or remove it"));
            }
        }
        Self { max_requests, queue, queue_timeout }
    }
}

/// The requests of one pool that wait for a backend with room, on all workers. Outlives reloads.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicU32,
    room: Notify,
}

/// One that waits, until it is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Queue>);

impl Queue {
    /// How many wait.
    pub fn length(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// One more, where there are fewer than `most`.
    pub(super) fn join(self: &Arc<Self>, most: u32) -> Option<Waiting> {
        let more = |count| (count < most).then_some(count + 1);
        // Who takes a place afterwards is seen by whoever gives one back, or sees what was given back.
        self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Waiting(Arc::clone(self)))
    }

    /// A backend has room for one more: tells whoever has waited longest.
    pub(super) fn made_room(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.room.notify_one();
        }
    }
}

impl Waiting {
    /// Waits until a backend has had room since it was last asked. Another request may have been faster. Cancel-safe: who leaves
    /// passes it on.
    pub async fn room(&self) {
        self.0.room.notified().await;
    }

    /// Tells whoever has waited longest that a backend has room.
    pub fn pass_on(&self) {
        self.0.made_room();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn the_longest_wait_ends_first_and_who_leaves_passes_it_on() {
        let queue = Arc::<Queue>::default();
        let mut cx = Context::from_waker(Waker::noop());
        queue.made_room();
        let (first, second, third) = (queue.join(3).unwrap(), queue.join(3).unwrap(), queue.join(3).unwrap());
        assert!(queue.join(3).is_none());
        let (mut one, mut two, mut three) = (Box::pin(first.room()), pin!(second.room()), pin!(third.room()));
        assert!(one.as_mut().poll(&mut cx).is_pending(), "what was free before is no news");
        assert!(two.as_mut().poll(&mut cx).is_pending() && three.as_mut().poll(&mut cx).is_pending());
        queue.made_room();
        drop(one);
        assert_eq!(two.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(three.as_mut().poll(&mut cx).is_pending());
        queue.made_room();
        assert_eq!(three.as_mut().poll(&mut cx), Poll::Ready(()));
        assert_eq!(queue.length(), 3);
        drop(first);
        assert_eq!(queue.length(), 2);
    }
}
