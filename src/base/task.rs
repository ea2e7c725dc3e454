//! The one home of spawning: every task is counted, and a panic costs its own task, not the process.

use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use tokio::sync::Notify;

/// The tasks of one worker that a drain waits for.
#[derive(Clone, Default)]
pub struct Tasks(Rc<Running>);

#[derive(Default)]
struct Running {
    count: Cell<usize>,
    ended: Notify,
}

impl Tasks {
    /// Starts `task` on this thread's `LocalSet`. `panicked` is called with what a panic said.
    pub fn start(&self, task: impl Future<Output = ()> + 'static, panicked: impl FnOnce(&str) + 'static) {
        self.0.count.set(self.0.count.get() + 1);
        let counted = Counted(Rc::clone(&self.0));
        // A combinator, not an async block: that would hold the task twice, once as captured and once as awaited.
        let ended = AssertUnwindSafe(task).catch_unwind().map(move |result| {
            let _counted = counted;
            if let Err(panic) = result {
                panicked(message(&*panic));
            }
        });
        tokio::task::spawn_local(tokio::task::unconstrained(ended));
    }

    /// How many are running.
    pub fn count(&self) -> usize {
        self.0.count.get()
    }

    /// Waits until none is running. Cancel-safe.
    pub async fn none_left(&self) {
        while self.count() > 0 {
            self.0.ended.notified().await;
        }
    }
}

/// The share of a loop that always finds something ready: tasks here have no budget of the runtime's, so it has to wait by itself.
#[derive(Default)]
pub struct Share(u32);

impl Share {
    /// How often a loop goes round before the others have their turn.
    pub const MOST: u32 = 32;

    /// Says that the loop went round once more. Lets every other task and the clock have their turn where it was often enough.
    pub async fn taken(&mut self) {
        self.0 += 1;
        if self.0 >= Self::MOST {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
    }
}

struct Counted(Rc<Running>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.ended.notify_one();
    }
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_its_task_only_and_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let told = Rc::new(Cell::new(false));
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let tasks = Tasks::default();
            let tell = Rc::clone(&told);
            tasks.start(async { panic!("on purpose") }, move |said| tell.set(said == "on purpose"));
            tasks.start(async {}, |_| {});
            tasks.none_left().await;
        });
        assert!(told.get());
    }

    #[test]
    fn a_loop_that_is_always_ready_lets_the_others_have_their_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (turns, seen) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let tasks = Tasks::default();
            let (turn, other, found) = (Rc::clone(&turns), Rc::clone(&turns), Rc::clone(&seen));
            let busy = async move {
                let mut share = Share::default();
                while turn.get() < 10 * Share::MOST {
                    turn.set(turn.get() + 1);
                    share.taken().await;
                }
            };
            tasks.start(busy, |_| {});
            tasks.start(async move { found.set(Some(other.get())) }, |_| {});
            tasks.none_left().await;
        });
        assert_eq!(seen.get(), Some(Share::MOST));
    }
}
