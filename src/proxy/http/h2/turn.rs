//! A task that polls several futures which wake each other, and does it until none of them can move.
//!
//! The connection wakes its streams and they wake it. Woken through the task's own waker, each of that would cost another
//! turn of the task, and another write to the socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// After so many passes the turn ends all the same, and the task is queued behind the worker's others.
const MOST_PASSES: usize = 16;

/// The turns of one task.
pub struct Turn {
    state: Arc<State>,
    waker: Waker,
}

struct State {
    /// The task.
    task: AtomicWaker,
    /// A turn is under way: whoever wakes asks for another pass and not for another turn.
    running: AtomicBool,
    again: AtomicBool,
    /// This pass is the last of its turn.
    last: AtomicBool,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First the wish, then the question; `end` asks in the opposite order, so that one of both sees the other.
        self.again.store(true, Ordering::SeqCst);
        if !self.running.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl Default for Turn {
    fn default() -> Self {
        let state = Arc::new(State {
            task: AtomicWaker::new(),
            running: AtomicBool::new(false),
            again: AtomicBool::new(false),
            last: AtomicBool::new(false),
        });
        Self { waker: Arc::clone(&state).into(), state }
    }
}

impl Turn {
    /// Calls `pass` until it is ready or nothing that it polled has woken it.
    pub fn poll<T>(&self, cx: &Context<'_>, mut pass: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.state.task.register(cx.waker());
        self.state.running.store(true, Ordering::SeqCst);
        let mut own = Context::from_waker(&self.waker);
        for left in (0..MOST_PASSES).rev() {
            self.state.last.store(left == 0, Ordering::Relaxed);
            self.state.again.store(false, Ordering::SeqCst);
            let polled = pass(&mut own);
            if polled.is_ready() || !self.state.again.load(Ordering::SeqCst) {
                self.end(cx);
                return polled;
            }
        }
        self.end(cx);
        Poll::Pending
    }

    /// Asked at the end of a pass: whether the turn ends here, so that what it brought is to be written.
    pub fn is_over(&self) -> bool {
        self.state.last.load(Ordering::Relaxed) || !self.state.again.load(Ordering::SeqCst)
    }

    fn end(&self, cx: &Context<'_>) {
        self.state.running.store(false, Ordering::SeqCst);
        if self.state.again.load(Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::AtomicUsize;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (Arc::clone(&count), count.into())
    }

    #[test]
    fn what_wakes_itself_is_polled_again_within_the_turn() {
        let (count, waker) = counted();
        let (turn, passes) = (Turn::default(), Cell::new(0));
        let polled = turn.poll(&Context::from_waker(&waker), |cx| {
            passes.set(passes.get() + 1);
            if passes.get() < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((passes.get(), count.0.load(Ordering::Relaxed)), (3, 0));
    }

    #[test]
    fn a_turn_without_end_lets_others_run() {
        let (count, waker) = counted();
        let turn = Turn::default();
        let polled = turn.poll(&Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn between_turns_the_task_is_woken() {
        let (count, waker) = counted();
        let turn = Turn::default();
        let kept = Cell::new(None);
        let _ = turn.poll(&Context::from_waker(&waker), |cx| {
            kept.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        });
        kept.take().unwrap().wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
