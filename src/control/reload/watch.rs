//! Tells when the content of a watched file has changed, however it was written: in place, by an atomic rename, or by
//! swapping a symlink.
//!
//! Events of the kernel make it quick; a poll underneath makes it sure (NFS, bind mounts, no watches left).

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::contents::Contents;
use super::debounce::Debounce;
use super::digest::COARSE;
use super::folders::Folders;
use super::inbox::{Inbox, Order, Wake};
use super::interest::{Interest, last_change};
use super::read::Read;
use crate::control::config::Pattern;

/// How often symlinks are followed anew because a folder on the way was not watched before.
const MOST_ROUNDS: usize = 4;

/// Watches files until it is dropped.
pub struct Watch(Arc<Inbox>);

/// The content of files differs from what it was when this was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which, sorted, each as it was given or as a pattern's folder and a name. They may have appeared or vanished.
    pub files: Vec<PathBuf>,
}

/// Why watching cannot start.
#[derive(Debug, thiserror::Error)]
#[error("no thread can be started to watch files: {0}; raise the limit of tasks of this service")]
pub struct WatchError(#[from] io::Error);

/// How quickly changes are told.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A burst of events is over when nothing happened for so long.
    pub quiet: Duration,
    /// A burst that does not end is cut after so long.
    pub longest: Duration,
    /// How often times, lengths and inodes are compared.
    pub poll: Duration,
    /// How often contents are compared even where nothing seems to have happened.
    pub thorough: Duration,
    /// Whether to use events of the kernel beside the poll.
    pub events: bool,
}

impl Default for Timing {
    /// 100 ms of quiet, 400 ms at the most, a poll every 2 s, a thorough one every 30 s, events.
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(100),
            longest: Duration::from_millis(400),
            poll: Duration::from_secs(2),
            thorough: Duration::from_secs(30),
            events: true,
        }
    }
}

impl Watch {
    /// Starts watching nothing. The receiver is told of changes; what it does not take up in time is gathered into one
    /// message. It ends when this is dropped.
    ///
    /// # Errors
    /// When no thread can be started. That the system has no inotify watches left is no error: the poll notices.
    pub fn start(timing: Timing) -> Result<(Self, mpsc::Receiver<Changed>), WatchError> {
        let (sender, receiver) = mpsc::channel(1);
        let inbox = Arc::new(Inbox::new(Debounce::new(timing.quiet, timing.longest)));
        let watch = Self(Arc::clone(&inbox));
        // It is not joined: a network file system may hold it up for minutes.
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || Watching::new(inbox, timing, sender).run())?;
        Ok((watch, receiver))
    }

    /// Watches `files`, and what matches `patterns` (`sites/*.toml`), from now on and nothing else; returns when it
    /// does. Files need not exist. What `read` says of a file is what is known of it. Others that are watched already keep what is
    /// known of them; of new ones the present content counts as known, unless they changed after the caller began to read: these
    /// are told of, as are those that are not what was read any more.
    pub async fn set(&self, files: Vec<PathBuf>, patterns: Vec<PathBuf>, read: Read) {
        let (done, is_done) = oneshot::channel();
        self.0.order(Order { files, patterns, read, done });
        // It fails when a later order took the place of this one, or nobody is left to be told.
        let _ = is_done.await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The watching thread. However it ends, nobody waits for it afterwards.
struct Watching {
    inbox: Arc<Inbox>,
    timing: Timing,
    sender: mpsc::Sender<Changed>,
    folders: Folders,
    files: Vec<PathBuf>,
    patterns: Vec<Pattern>,
    contents: Contents,
    /// What changed and is not told yet.
    untold: BTreeSet<PathBuf>,
    next_poll: Instant,
    next_thorough: Instant,
}

impl Watching {
    fn new(inbox: Arc<Inbox>, timing: Timing, sender: mpsc::Sender<Changed>) -> Self {
        let (folders, now) = (Folders::new(&inbox, timing.events), Instant::now());
        Self {
            inbox,
            timing,
            sender,
            folders,
            files: Vec::new(),
            patterns: Vec::new(),
            contents: Contents::default(),
            untold: BTreeSet::new(),
            next_poll: now + timing.poll,
            next_thorough: now + timing.thorough,
        }
    }

    fn run(mut self) {
        loop {
            match self.inbox.wait(self.next_poll) {
                Wake::Order(order) => self.adopt(order),
                Wake::Look => self.look(),
                Wake::Stop => return,
            }
            if !self.tell() {
                return;
            }
        }
    }

    fn adopt(&mut self, order: Order) {
        self.files = order.files;
        self.patterns = order.patterns.iter().map(|pattern| Pattern::new(pattern)).collect();
        let files = self.attend();
        let late = self.contents.adopt(&files, &order.read, |path| last_change(path) + COARSE >= order.read.since);
        self.untold.extend(late);
        // Whoever gave the order may have stopped waiting.
        let _ = order.done.send(());
    }

    fn look(&mut self) {
        let now = Instant::now();
        let thorough = now >= self.next_thorough;
        if thorough {
            self.next_thorough = now + self.timing.thorough;
        }
        let files = self.attend();
        self.untold.extend(self.contents.compare(&files, thorough));
        // Counted from the end, so that slow storage is not asked all the time.
        self.next_poll = Instant::now() + self.timing.poll;
    }

    /// Follows the symlinks afresh and watches every folder on the way; answers which files there are to look at.
    /// Called before contents are read: a later change makes an event.
    fn attend(&mut self) -> BTreeSet<PathBuf> {
        let (mut lost, mut rounds) = (self.inbox.lost(), 0);
        loop {
            let (mut interest, mut files) = (Interest::default(), BTreeSet::from_iter(self.files.iter().cloned()));
            for pattern in &self.patterns {
                interest.add_pattern(pattern);
                files.extend(pattern.files().unwrap_or_default());
            }
            files.iter().for_each(|path| interest.add_file(path));
            let added = self.folders.watch(interest.folders(), &std::mem::take(&mut lost));
            self.inbox.attend(interest);
            rounds += 1;
            // A symlink may have been swapped just before its folder was watched. Where they never rest, the poll helps.
            if !added || rounds == MOST_ROUNDS {
                return files;
            }
        }
    }

    /// Sends what is untold, if the receiver has room for it; answers whether there still is a receiver.
    fn tell(&mut self) -> bool {
        if self.untold.is_empty() {
            return !self.sender.is_closed();
        }
        let changed = Changed { files: self.untold.iter().cloned().collect() };
        match self.sender.try_send(changed) {
            Ok(()) => self.untold.clear(),
            Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Closed(_)) => return false,
        }
        true
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.inbox.stop();
    }
}
