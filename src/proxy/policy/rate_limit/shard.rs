//! One shard of the store: what is behind one lock.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use super::bucket::Bucket;
use super::order::Order;
use super::store::Key;

/// How many keys a new one takes away at most, and how many it looks at for that.
const SWEPT: usize = 4;
const LOOKS: usize = 32;

/// Some of the keys with their buckets, and some of the clients that chose keys with how many they have.
#[derive(Debug)]
pub(super) struct Shard {
    most: usize,
    /// How many keys all shards hold.
    keys: Arc<AtomicU64>,
    /// The slot of each key.
    index: HashMap<Key, usize, RandomState>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// The slots by the end of their bucket as it was when it was looked at last. It may be later by now, and is never earlier.
    ends: BTreeSet<(u64, usize)>,
    order: Order,
    owners: HashMap<Key, u16, RandomState>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    owner: Option<Key>,
    bucket: Bucket,
    /// The end under which it stands in `ends`.
    noted: u64,
}

impl Shard {
    /// An empty shard for so many keys.
    pub(super) fn holding(most: usize, keys: Arc<AtomicU64>) -> Self {
        Self {
            most,
            keys,
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            ends: BTreeSet::new(),
            order: Order::default(),
            owners: HashMap::default(),
        }
    }

    /// The bucket of a key that is there.
    pub(super) fn bucket(&mut self, key: &Key) -> Option<&mut Bucket> {
        let at = *self.index.get(key)?;
        self.order.renew(at);
        self.slots.get_mut(at).map(|slot| &mut slot.bucket)
    }

    /// A copy of the bucket of a key that is there.
    pub(super) fn copy(&self, key: &Key) -> Option<Bucket> {
        self.slots.get(*self.index.get(key)?).map(|slot| slot.bucket)
    }

    /// How many keys a client has chosen.
    pub(super) fn count_of(&self, owner: &Key) -> u16 {
        self.owners.get(owner).copied().unwrap_or(0)
    }

    /// Asks the bucket of a key, which is made where it is not there. `gone` gets the clients that have a key less for it.
    pub(super) fn make<R>(
        &mut self,
        key: Key,
        owner: Option<Key>,
        (now, gone): (u64, &mut Vec<Key>),
        ask: impl FnOnce(&mut Bucket) -> R,
    ) -> R {
        if let Some(bucket) = self.bucket(&key) {
            // Another worker was faster: what was reserved for this one is not needed.
            gone.extend(owner);
            return ask(bucket);
        }
        if self.index.len() >= self.most {
            self.sweep(now, gone);
        }
        if self.index.len() >= self.most
            && let Some(oldest) = self.order.oldest()
        {
            self.remove(oldest, gone);
        }
        let mut bucket = Bucket::default();
        let answer = ask(&mut bucket);
        self.insert(Slot { key, owner, bucket, noted: bucket.end() });
        answer
    }

    /// Takes away a few keys whose bucket is full again. `gone` gets the clients that have a key less for it.
    pub(super) fn sweep(&mut self, now: u64, gone: &mut Vec<Key>) {
        let mut swept = 0;
        for _ in 0..LOOKS {
            let Some((noted, at)) = self.ends.first().copied().filter(|(noted, _)| *noted <= now) else { return };
            let Some(slot) = self.slots.get_mut(at) else { return };
            let end = slot.bucket.end();
            if end > now {
                slot.noted = end;
                self.ends.remove(&(noted, at));
                self.ends.insert((end, at));
                continue;
            }
            self.remove(at, gone);
            swept += 1;
            if swept == SWEPT {
                return;
            }
        }
    }

    /// Counts a key for a client, where it has fewer than `most`; whether it has.
    pub(super) fn reserve(&mut self, owner: Key, most: u16) -> bool {
        let count = self.owners.entry(owner).or_insert(0);
        let fewer = *count < most;
        *count += u16::from(fewer);
        fewer
    }

    /// A client has a key less.
    pub(super) fn release(&mut self, owner: Key) {
        if let Entry::Occupied(mut count) = self.owners.entry(owner) {
            match count.get() {
                0 | 1 => _ = count.remove(),
                _ => *count.get_mut() -= 1,
            }
        }
    }

    fn insert(&mut self, slot: Slot) {
        let at = self.free.pop().unwrap_or(self.slots.len());
        self.index.insert(slot.key, at);
        self.ends.insert((slot.noted, at));
        self.order.add(at);
        match self.slots.get_mut(at) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        self.keys.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&mut self, at: usize, gone: &mut Vec<Key>) {
        let Some(slot) = self.slots.get(at) else { return };
        gone.extend(slot.owner);
        self.index.remove(&slot.key);
        self.ends.remove(&(slot.noted, at));
        self.order.remove(at);
        self.free.push(at);
        self.keys.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Shard {
    /// How many keys it holds.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many of them clients chose.
    pub(super) fn chosen(&self) -> usize {
        self.index.values().filter(|at| self.slots[**at].owner.is_some()).count()
    }

    /// How many keys are counted for the clients that it counts for.
    pub(super) fn owned(&self) -> u16 {
        self.owners.values().sum()
    }

    /// How many slots it has had to make, and whether every list agrees on which are in use.
    pub(super) fn memory(&self) -> usize {
        assert_eq!((self.index.len(), self.ends.len()), (self.slots.len() - self.free.len(), self.index.len()));
        self.slots.len()
    }
}
