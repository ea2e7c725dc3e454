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
}
