//! What other threads leave for the watching thread: new lists of files, and word of events. Bounded: events are not
//! queued, they only move one deadline.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::debounce::Debounce;
use super::interest::Interest;
use super::read::Read;

/// What to watch from now on.
pub(super) struct Order {
    pub(super) files: Vec<PathBuf>,
    pub(super) patterns: Vec<PathBuf>,
    pub(super) read: Read,
    /// Is told when all of it is watched.
    pub(super) done: oneshot::Sender<()>,
}

/// Why the watching thread wakes.
pub(super) enum Wake {
    /// There is another list of files.
    Order(Order),
    /// A burst of events is over, or the time to poll has come.
    Look,
    /// The watch was dropped.
    Stop,
}

/// The place where they meet.
pub(super) struct Inbox {
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    order: Option<Order>,
    is_stopped: bool,
    interest: Interest,
    debounce: Debounce,
    /// Watched folders that were moved or removed: their watch is void.
    lost: BTreeSet<PathBuf>,
}

impl Inbox {
    pub(super) fn new(debounce: Debounce) -> Self {
        let (interest, lost) = (Interest::default(), BTreeSet::new());
        Self {
            state: Mutex::new(State { order: None, is_stopped: false, interest, debounce, lost }),
            news: Condvar::new(),
        }
    }

    /// Leaves an order; an older one that was not taken up yet is void, and so is this one when watching has ended.
    pub(super) fn order(&self, order: Order) {
        let mut state = self.lock();
        state.order = (!state.is_stopped).then_some(order);
        self.news.notify_one();
    }

    /// Ends the watching thread, or tells that it has ended.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        // Nobody will take it up: whoever waits for it need not.
        state.order = None;
        self.news.notify_one();
    }

    /// From now on events count when `interest` covers them.
    pub(super) fn attend(&self, interest: Interest) {
        self.lock().interest = interest;
    }

    /// Something happened at `paths`; with `moves` a name went away or came.
    pub(super) fn touch(&self, paths: &[PathBuf], moves: bool, now: Instant) {
        let mut state = self.lock();
        if !paths.iter().any(|path| state.interest.covers(path)) {
            return;
        }
        if moves {
            let lost: Vec<_> = paths.iter().filter(|path| state.interest.folders().contains(*path)).cloned().collect();
            state.lost.extend(lost);
        }
        self.begin(&mut state, now);
    }

    /// Events were missed: anything may have happened.
    pub(super) fn touch_all(&self, now: Instant) {
        self.begin(&mut self.lock(), now);
    }

    fn begin(&self, state: &mut State, now: Instant) {
        // Later events of a burst need not wake the thread: it looks at the deadline when the first one has passed.
        if state.debounce.touch(now) {
            self.news.notify_one();
        }
    }

    /// The folders that were moved or removed since this was last asked.
    pub(super) fn lost(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.lock().lost)
    }

    /// Waits for an order, the end of a burst, or `poll`, the time of the next poll.
    pub(super) fn wait(&self, poll: Instant) -> Wake {
        let mut state = self.lock();
        loop {
            if state.is_stopped {
                return Wake::Stop;
            }
            if let Some(order) = state.order.take() {
                return Wake::Order(order);
            }
            // A poll in the middle of a burst would see half of it.
            let (now, until) = (Instant::now(), state.debounce.due().unwrap_or(poll));
            if until <= now {
                state.debounce.clear();
                return Wake::Look;
            }
            state = self.news.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
