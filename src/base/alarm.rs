//! Deadlines without timers: each worker has one coarse clock and one list of alarms, looked through at every tick.
//!
//! Setting an alarm is two stores; nothing is allocated or queued per request. A look through the list costs a few
//! nanoseconds an alarm, ten times a second. A deadline is never early and at most two ticks late.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often [`Alarms::tick`] is to be called.
pub const TICK: Duration = Duration::from_millis(100);

/// A moment on a worker's coarse clock, in milliseconds since the worker started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// `length` after this moment, not rounded.
    pub fn plus(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length.as_millis() as u64))
    }

    /// The time from `earlier` to this moment; none where it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Later than any deadline.
    pub const NEVER: Self = Self(u64::MAX);
}

/// The coarse clock and all alarms of one worker.
pub struct Alarms {
    started: Instant,
    now: Cell<u64>,
    list: RefCell<Vec<Rc<State>>>,
}

struct State {
    due: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Alarms {
    /// An empty list and a clock at zero.
    pub fn start() -> Rc<Self> {
        Rc::new(Self { started: Instant::now(), now: Cell::new(0), list: RefCell::default() })
    }

    /// The coarse time: at most one tick behind.
    pub fn now(&self) -> Moment {
        Moment(self.now.get())
    }

    /// The first moment that is certainly `after` from now; never, where there is no limit.
    pub fn after(&self, after: Option<Duration>) -> Moment {
        match after {
            Some(after) => Moment(self.now.get().saturating_add((after + TICK).as_millis() as u64)),
            None => Moment::NEVER,
        }
    }

    /// A new alarm, due never.
    pub fn alarm(self: &Rc<Self>) -> Alarm {
        let state = Rc::new(State { due: Cell::new(u64::MAX), waker: RefCell::new(None) });
        self.list.borrow_mut().push(Rc::clone(&state));
        Alarm { alarms: Rc::clone(self), state }
    }

    /// Moves the clock on, wakes the tasks whose alarm is due and forgets alarms that were dropped.
    pub fn tick(&self) {
        self.now.set(self.started.elapsed().as_millis() as u64);
        let now = self.now.get();
        self.list.borrow_mut().retain(|state| {
            if state.due.get() <= now {
                state.wake();
            }
            Rc::strong_count(state) > 1
        });
    }

    /// Wakes every task that waits on an alarm, so that it looks again at what it waits for: a drain has begun.
    pub fn wake_all(&self) {
        for state in self.list.borrow().iter() {
            state.wake();
        }
    }
}

impl State {
    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// One task's alarm. A task that waits for several deadlines sets it to the earliest.
pub struct Alarm {
    alarms: Rc<Alarms>,
    state: Rc<State>,
}

impl Alarm {
    /// Ready once `due` has passed; until then the task is woken at `due`, whatever it asked for before.
    pub fn poll(&self, cx: &Context<'_>, due: Moment) -> Poll<()> {
        if self.alarms.now() >= due {
            return Poll::Ready(());
        }
        self.state.due.set(due.0);
        let mut waker = self.state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The clock and list this alarm belongs to.
    pub fn alarms(&self) -> &Rc<Alarms> {
        &self.alarms
    }

    /// Waits until `due`. Cancel-safe.
    pub async fn wait(&self, due: Moment) {
        std::future::poll_fn(|cx| self.poll(cx, due)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_alarm_wakes_its_task_once_when_due() {
        let alarms = Alarms::start();
        let alarm = alarms.alarm();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Arc::clone(&count).into();
        let cx = Context::from_waker(&waker);
        assert!(alarm.poll(&cx, Moment(u64::MAX - 1)).is_pending());
        alarms.tick();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        alarm.state.due.set(0);
        alarms.tick();
        alarms.tick();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(alarm.poll(&cx, Moment(0)).is_ready());
    }

    #[test]
    fn dropped_alarms_are_forgotten() {
        let alarms = Alarms::start();
        drop(alarms.alarm());
        alarms.tick();
        assert!(alarms.list.borrow().is_empty());
    }

    #[test]
    fn no_limit_is_never() {
        assert_eq!(Alarms::start().after(None), Moment::NEVER);
    }
}
