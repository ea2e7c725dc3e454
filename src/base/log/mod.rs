//! The event log and the access log.
//!
//! Both go through one bounded queue to one thread that writes them, so that a slow disk or terminal never holds up a
//! worker: where the queue is full, lines are dropped and counted.

pub mod access;
mod escape;
mod event;
mod queue;
mod settings;
mod sink;
mod stamp;
mod thread;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use queue::Queue;
pub use settings::{Access, Format, Level, Settings, Target};

/// Both logs of the process. Clones are the same logs.
#[derive(Clone)]
pub struct Log {
    queue: Arc<Queue>,
    ended: Arc<Mutex<Receiver<()>>>,
    colour: bool,
}

impl Log {
    /// Starts the log thread; events go to standard error. `dropped` counts the lines that are lost.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(settings: Settings, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        Self::start_with(settings, dropped, Box::new(io::stderr()), io::stderr().is_terminal())
    }

    fn start_with(
        settings: Settings,
        dropped: Arc<AtomicU64>,
        events: Box<dyn Write + Send>,
        colour: bool,
    ) -> io::Result<Self> {
        let (queue, messages) = Queue::new(settings, dropped);
        let ended = thread::start(Arc::clone(&queue), messages, events, colour)?;
        Ok(Self { queue, ended: Arc::new(Mutex::new(ended)), colour })
    }

    /// Makes this the log of every `tracing` event in the process. Only the first call has an effect.
    pub fn install(&self) {
        // An error means that a log is installed already.
        let _ = tracing::subscriber::set_global_default(event::Events::new(Arc::clone(&self.queue), self.colour));
    }

    /// A worker's end of the access log, to be made on its thread.
    pub fn access_writer(&self) -> access::Writer {
        access::Writer::new(Arc::clone(&self.queue))
    }

    /// Makes other settings live, level included. What has been handed over already is written as it is.
    pub fn configure(&self, settings: Settings) {
        self.queue.configure(settings);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Opens the access log's file anew, for when it was moved away.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Writes what has been handed over and ends the log thread; waits at most `within`. Returns whether it ended. Events
    /// after that go straight to standard error; access lines are dropped.
    pub fn close(&self, within: Duration) -> bool {
        self.queue.close();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // The thread sends nothing: it is over when its end of the channel is gone.
        matches!(ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests;
