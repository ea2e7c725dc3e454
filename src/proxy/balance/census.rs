//! How many endpoints of a group are available, counted anew only after a change.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::asking::Members;
use super::standing::Changes;

/// The count, and after how many changes it was made.
#[derive(Debug, Default)]
pub(super) struct Census(AtomicU64);

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Whether nothing is known against any endpoint.
    pub(super) whole: bool,
    /// How many are available.
    pub(super) available: u32,
}

/// A count was made.
const MADE: u32 = 1 << 31;
/// It found nothing against any endpoint.
const WHOLE: u32 = 1 << 30;

impl Census {
    /// The count after the changes so far.
    pub(super) fn count(&self, members: &Members, changes: &Changes) -> Count {
        let version = changes.count();
        let known = self.0.load(Relaxed);
        let (at, mut found) = ((known >> 32) as u32, known as u32);
        if at != version || found & MADE == 0 {
            found = MADE | take(members);
            // What another worker counted after a later change may be lost: then the next pick counts once more.
            self.0.store(u64::from(version) << 32 | u64::from(found), Relaxed);
        }
        Count { whole: found & WHOLE != 0, available: found & !(MADE | WHOLE) }
    }
}

fn take(members: &Members) -> u32 {
    let standings = || members.endpoints().iter().map(|endpoint| &endpoint.standing);
    let available = standings().filter(|standing| standing.is_available()).count();
    let available = u32::try_from(available).unwrap_or(u32::MAX) & !(MADE | WHOLE);
    if standings().all(|standing| standing.is_whole()) { available | WHOLE } else { available }
}
