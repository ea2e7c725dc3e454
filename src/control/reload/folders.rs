//! The folders that the kernel reports events of.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::inbox::Inbox;

/// Watched folders. Watching a file itself would see nothing after its first atomic replacement.
pub(super) struct Folders {
    /// None when the system has no more watchers to give: then only the poll notices.
    watcher: Option<RecommendedWatcher>,
    /// Each with the device and inode that is watched under its name.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    is_short_told: bool,
}

impl Folders {
    /// Reports events to `inbox`, or none at all without `events`.
    pub(super) fn new(inbox: &Arc<Inbox>, events: bool) -> Self {
        let inbox = Arc::clone(inbox);
        let watcher = events.then(|| notify::recommended_watcher(move |event| report(&inbox, event)));
        let watcher = watcher.and_then(|started| started.inspect_err(tell_none).ok());
        Self { watcher, watched: BTreeMap::new(), is_short_told: false }
    }

    /// Watches `folders` and no others; those `lost` were moved or removed and are watched anew. Answers whether one
    /// is watched now that was not before.
    pub(super) fn watch(&mut self, folders: &BTreeSet<PathBuf>, lost: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        self.watched.retain(|folder, identity| {
            let keep = folders.contains(folder) && !lost.contains(folder) && of(folder) == Some(*identity);
            if !keep {
                // It fails when the folder is gone, and the watch with it.
                let _ = watcher.unwatch(folder);
            }
            keep
        });
        let mut added = false;
        for folder in folders {
            if self.watched.contains_key(folder) {
                continue;
            }
            let Some(identity) = of(folder) else { continue };
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone(), identity);
                    added = true;
                }
                Err(error) => tell_short(&mut self.is_short_told, folder, &error),
            }
        }
        added
    }
}

/// The device and inode of a folder.
fn of(folder: &Path) -> Option<(u64, u64)> {
    folder.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn tell_none(error: &notify::Error) {
    tracing::warn!(%error, "changes of files are noticed by polling only, because inotify cannot be used: raise fs.inotify.max_user_instances");
}

/// Says once that a folder cannot be watched.
fn tell_short(told: &mut bool, folder: &Path, error: &notify::Error) {
    if !std::mem::replace(told, true) {
        tracing::warn!(folder = %folder.display(), %error, "changes in a folder are noticed by polling only: raise fs.inotify.max_user_watches, or make the folder readable");
    }
}

/// Tells `inbox` of an event, unless it cannot be about content: reading a file makes events too, and a reader that
/// woke from them would never rest.
fn report(inbox: &Inbox, event: notify::Result<Event>) {
    let now = Instant::now();
    let Ok(event) = event else { return inbox.touch_all(now) };
    if event.need_rescan() {
        return inbox.touch_all(now);
    }
    let moves = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(notify::event::ModifyKind::Name(_)));
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => inbox.touch(&event.paths, moves, now),
        EventKind::Access(_) => {}
    }
}
