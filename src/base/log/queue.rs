//! The bounded queue between those who log and the log thread.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::settings::Settings;

/// Messages that may wait: at most some 40 MiB with every batch full.
pub(super) const DEPTH: usize = 512;

/// What the log thread gets.
pub(super) enum Message {
    /// One line of the event log.
    Event(Vec<u8>),
    /// Lines of the access log.
    Access(Vec<u8>),
    /// Look at the settings, the reopening or the closing.
    Wake,
}

/// The sending end, and what the log thread is told beside the lines.
pub(super) struct Queue {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    version: AtomicU64,
    settings: Mutex<Arc<Settings>>,
    reopens: AtomicU64,
    closing: AtomicBool,
}

impl Queue {
    pub(super) fn new(settings: Settings, dropped: Arc<AtomicU64>) -> (Arc<Self>, Receiver<Message>) {
        let (sender, receiver) = sync_channel(DEPTH);
        let queue = Self {
            sender,
            dropped,
            version: AtomicU64::new(0),
            settings: Mutex::new(Arc::new(settings)),
            reopens: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        };
        (Arc::new(queue), receiver)
    }

    /// Hands over `lines` lines, or counts them as dropped where the queue is full. Gives an event back where the log
    /// thread has ended.
    pub(super) fn send(&self, message: Message, lines: u64) -> Option<Vec<u8>> {
        match self.sender.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Disconnected(Message::Event(line))) => Some(line),
            Err(_) => {
                self.count_dropped(lines);
                None
            }
        }
    }

    pub(super) fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    /// Changes with every [`Self::configure`].
    pub(super) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// The settings and their version.
    pub(super) fn settings(&self) -> (u64, Arc<Settings>) {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        (self.version(), Arc::clone(&settings))
    }

    pub(super) fn configure(&self, settings: Settings) {
        let mut current = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(settings);
        self.version.fetch_add(1, Relaxed);
        drop(current);
        self.wake();
    }

    /// How often reopening was asked for.
    pub(super) fn reopens(&self) -> u64 {
        self.reopens.load(Relaxed)
    }

    pub(super) fn reopen(&self) {
        self.reopens.fetch_add(1, Relaxed);
        self.wake();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Release);
        self.wake();
    }

    /// Where the queue is full, the thread is awake and looks by itself.
    fn wake(&self) {
        self.send(Message::Wake, 0);
    }
}
