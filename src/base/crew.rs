//! A few threads for work that would hold up a worker, such as hashing a password. So many pieces wait at most, and so many of
//! one client's, so that nobody can fill it alone.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::base::cidr::network_of;

/// A piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// What bounds a crew.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Threads.
    pub threads: usize,
    /// Pieces that wait for one.
    pub waiting: usize,
    /// Pieces of one client, which is an IPv4 address or an IPv6 /64, that wait or are being worked on.
    pub of_one: usize,
}

/// There is no room for another piece now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The threads. None is started before there is work, and all end once it is dropped.
pub struct Crew {
    bounds: Bounds,
    desk: Arc<Desk>,
}

/// Where work is left and taken up.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(IpAddr, Job)>,
    /// How many pieces each client has here.
    clients: HashMap<IpAddr, usize>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Crew {
    /// One that has nothing to do yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, desk: Arc::default() }
    }

    /// Leaves a piece of work of the client `of`.
    ///
    /// # Errors
    /// Where as many wait as may, of all or of this client, or where no thread can be started.
    pub fn take(&self, of: IpAddr, job: Job) -> Result<(), Full> {
        let of = network_of(of);
        let mut state = self.desk.lock();
        if state.waiting.len() >= self.bounds.waiting || state.clients.get(&of).copied() >= Some(self.bounds.of_one) {
            return Err(Full);
        }
        if state.idle <= state.waiting.len() && state.threads < self.bounds.threads {
            match self.desk.start() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::error!(%error, "cannot start a thread to check passwords; raise the limit of threads (`ulimit -u`)");
                    return Err(Full);
                }
                // Those that run will come to it.
                Err(_) => {}
            }
        }
        *state.clients.entry(of).or_default() += 1;
        state.waiting.push_back((of, job));
        drop(state);
        self.desk.left.notify_one();
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.desk.lock().closed = true;
        self.desk.left.notify_all();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let desk = Arc::clone(self);
        std::thread::Builder::new().name("crew".to_owned()).spawn(move || desk.work()).map(drop)
    }

    /// What each thread does: takes up one piece after the other.
    fn work(&self) {
        while let Some((of, job)) = self.next() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("panicked on work beside the workers; this is a bug");
            }
            let mut state = self.lock();
            if let Some(count) = state.clients.get_mut(&of) {
                *count -= 1;
                if *count == 0 {
                    state.clients.remove(&of);
                }
            }
        }
    }

    /// The next piece; none once the crew is gone.
    fn next(&self) -> Option<(IpAddr, Job)> {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.waiting.pop_front() {
                return Some(next);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Holds a thread until the sender is dropped; tells when it has begun.
    fn blocker() -> (mpsc::Sender<()>, mpsc::Receiver<()>, Job) {
        let (hold, held) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let job = Box::new(move || {
            let _ = begin.send(());
            let _ = held.recv();
        });
        (hold, begun, job)
    }

    #[test]
    fn what_waits_is_bounded_of_all_and_of_one() {
        let crew = Crew::new(Bounds { threads: 1, waiting: 2, of_one: 2 });
        let (hold, begun, job) = blocker();
        crew.take(address("10.0.0.1"), job).unwrap();
        begun.recv().unwrap();
        let (told, ends) = mpsc::channel();
        let piece = |number: u32| {
            let told = told.clone();
            Box::new(move || told.send(number).unwrap()) as Job
        };
        assert_eq!(crew.take(address("10.0.0.1"), piece(1)), Ok(()));
        assert_eq!(crew.take(address("10.0.0.1"), piece(2)), Err(Full), "one works and one waits");
        assert_eq!(crew.take(address("2001:db8::1"), piece(3)), Ok(()));
        assert_eq!(crew.take(address("10.0.0.2"), piece(4)), Err(Full), "two wait");
        drop(hold);
        assert_eq!([ends.recv().unwrap(), ends.recv().unwrap()], [1, 3], "in their turn");
    }

    #[test]
    fn a_panic_costs_its_piece_only() {
        let crew = Crew::new(Bounds { threads: 1, waiting: 4, of_one: 4 });
        let (told, ends) = mpsc::channel();
        crew.take(address("10.0.0.1"), Box::new(|| panic!("on purpose"))).unwrap();
        crew.take(address("10.0.0.1"), Box::new(move || told.send(()).unwrap())).unwrap();
        ends.recv().unwrap();
    }

    #[test]
    fn a_client_gets_its_room_back() {
        let crew = Crew::new(Bounds { threads: 2, waiting: 4, of_one: 1 });
        for _ in 0..20 {
            let (told, ends) = mpsc::channel::<()>();
            // The room is given back a moment after the work is done.
            let job = || {
                let told = told.clone();
                Box::new(move || drop(told)) as Job
            };
            while crew.take(address("10.0.0.1"), job()).is_err() {
                std::thread::yield_now();
            }
            drop(told);
            assert!(ends.recv().is_err());
        }
    }
}
