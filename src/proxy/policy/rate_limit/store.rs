//! Where the buckets of clients are kept, over all limits and workers: so many keys at most, in shards that each have a lock of
//! their own. A bucket that is there costs one lock and no memory.
//!
//! A bucket that is full again is as good as none: every new key takes a few of those away, and where there is no room although
//! none is full, the key that was not asked for longest goes. So nobody is forgotten for a flood of new keys before those are.
//!
//! What clients choose themselves (the value of a field, a host) belongs to the client that brought it first. A client has
//! [`PER_CLIENT`] of those at most for one limit; whatever it brings beyond them shares the one bucket of the client itself.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState as Fast;

use super::bucket::Bucket;
use super::shard::Shard;
use crate::base::cidr::network_of;

/// How many shards there are, and how many keys in each.
const SHARDS: usize = 32;
const PER_SHARD: usize = 3_125;
/// The most keys of one limit that one client may have chosen.
const PER_CLIENT: u16 = 1_000;

/// What has a bucket of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    limit: u32,
    kind: Kind,
    value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// An IPv4 address.
    V4,
    /// The /64 of an IPv6 address.
    V6,
    /// A keyed hash of what a client chose.
    Chosen,
}

impl Key {
    /// The client itself.
    pub(super) fn client(limit: u32, address: IpAddr) -> Self {
        match network_of(address) {
            IpAddr::V4(address) => Self { limit, kind: Kind::V4, value: address.to_bits().into() },
            IpAddr::V6(network) => Self { limit, kind: Kind::V6, value: (network.to_bits() >> 64) as u64 },
        }
    }
}

/// The buckets.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    /// Chooses the shard of a key.
    spread: Fast,
    /// Hashes what clients choose, so that nobody can look for two values with one bucket.
    secret: RandomState,
    per_client: u16,
    limits: AtomicU32,
}

impl Store {
    /// An empty store that tells in `keys` how many it holds.
    pub(super) fn new(keys: &Arc<AtomicU64>) -> Self {
        Self::shaped((SHARDS, PER_SHARD), PER_CLIENT, keys)
    }

    fn shaped((shards, each): (usize, usize), per_client: u16, keys: &Arc<AtomicU64>) -> Self {
        let shard = || Mutex::new(Shard::holding(each, Arc::clone(keys)));
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            spread: Fast::default(),
            secret: RandomState::new(),
            per_client,
            limits: AtomicU32::new(0),
        }
    }

    /// The number of a new limit, for its keys.
    pub(super) fn next_limit(&self) -> u32 {
        self.limits.fetch_add(1, Ordering::Relaxed)
    }

    /// The key of what a client chose, which may be several parts.
    pub(super) fn chosen<'v>(&self, limit: u32, parts: impl Iterator<Item = &'v [u8]>) -> Key {
        let mut hasher = self.secret.build_hasher();
        parts.for_each(|part| part.hash(&mut hasher));
        Key { limit, kind: Kind::Chosen, value: hasher.finish() }
    }

    /// Asks the bucket of `key`, which is made where there is none. `owner` is the client that chose the key, where one did.
    pub(super) fn ask<R>(&self, key: Key, owner: Option<Key>, now: u64, ask: impl FnOnce(&mut Bucket) -> R) -> R {
        let mut gone = Vec::new();
        let mut shard = self.shard(&key);
        if let Some(bucket) = shard.bucket(&key) {
            return ask(bucket);
        }
        shard.sweep(now, &mut gone);
        drop(shard);
        self.release(&mut gone);
        let beyond = owner.filter(|client| !self.shard(client).reserve(*client, self.per_client));
        let (key, owner) = beyond.map_or((key, owner), |client| (client, None));
        let answer = self.shard(&key).make(key, owner, (now, &mut gone), ask);
        self.release(&mut gone);
        answer
    }

    /// A copy of the bucket that [`ask`](Self::ask) would ask. Nothing is made, and no key is newer for it.
    pub(super) fn copy(&self, key: Key, owner: Option<Key>) -> Bucket {
        if let Some(bucket) = self.shard(&key).copy(&key) {
            return bucket;
        }
        let beyond = owner.filter(|client| self.shard(client).count_of(client) >= self.per_client);
        beyond.and_then(|client| self.shard(&client).copy(&client)).unwrap_or_default()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let place = self.spread.hash_one(key) as usize % self.shards.len();
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each of these clients has a key less. Their counts lie in other shards, so no lock may be held.
    fn release(&self, owners: &mut Vec<Key>) {
        owners.drain(..).for_each(|owner| self.shard(&owner).release(owner));
    }
}

#[cfg(test)]
mod tests {
    use governor::Quota;

    use super::super::limit::quota;
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    struct Filled {
        store: Store,
        keys: Arc<AtomicU64>,
        limit: u32,
    }

    impl Filled {
        fn shaped(shape: (usize, usize), per_client: u16) -> Self {
            let keys = Arc::default();
            let store = Store::shaped(shape, per_client, &keys);
            Self { limit: store.next_limit(), store, keys }
        }

        fn len(&self) -> u64 {
            self.keys.load(Ordering::Relaxed)
        }

        /// One request of a client: whether its bucket, of so many a minute, had a token.
        fn client(&self, address: &str, burst: u32, now: u64) -> bool {
            let key = Key::client(self.limit, address.parse().unwrap());
            self.take(key, None, (per_minute(burst), now))
        }

        /// One request of a client with a value of its choice.
        fn value(&self, address: &str, value: &[u8], now: u64) -> bool {
            let key = self.store.chosen(self.limit, [value].into_iter());
            self.take(key, Some(Key::client(self.limit, address.parse().unwrap())), (per_minute(2), now))
        }

        fn take(&self, key: Key, owner: Option<Key>, (quota, now): (Quota, u64)) -> bool {
            self.store.ask(key, owner, now, |bucket| bucket.take(quota, None, now).is_ok())
        }
    }

    fn per_minute(burst: u32) -> Quota {
        quota(format!("{burst}/m").parse().unwrap(), burst)
    }

    #[test]
    fn a_million_clients_take_the_room_of_a_hundred_thousand() {
        let filled = Filled::shaped((SHARDS, PER_SHARD), PER_CLIENT);
        let quota = per_minute(2);
        for number in 0..1_000_000u32 {
            let address = IpAddr::from(number.to_be_bytes());
            assert!(filled.take(Key::client(filled.limit, address), None, (quota, 1)));
            assert!(filled.len() <= 100_000);
        }
        assert_eq!(filled.len(), 100_000);
        assert!(filled.store.shards.iter().all(|shard| shard.lock().unwrap().memory() <= PER_SHARD));
    }

    #[test]
    fn full_buckets_go_first_and_then_whom_nobody_has_asked_for_longest() {
        let filled = Filled::shaped((1, 4), PER_CLIENT);
        for (address, burst) in [("10.0.0.1", 1), ("10.0.0.2", 60), ("10.0.0.3", 1), ("10.0.0.4", 1)] {
            assert!(filled.client(address, burst, 0));
        }
        assert!(!filled.client("10.0.0.1", 1, 1), "asked again");
        // That of 10.0.0.2 is full again after a second.
        assert!(filled.client("10.0.0.5", 1, MINUTE / 60));
        assert_eq!(filled.len(), 4);
        // None is full: 10.0.0.3 goes, then 10.0.0.4, and not 10.0.0.1, which is older but was asked for.
        let later = MINUTE / 60 + 1;
        assert!(filled.client("10.0.0.6", 1, later) && filled.client("10.0.0.7", 1, later));
        for held in ["10.0.0.1", "10.0.0.5", "10.0.0.6", "10.0.0.7"] {
            assert!(!filled.client(held, 1, later), "{held}");
        }
        assert!(filled.client("10.0.0.3", 1, later), "forgotten, and so begun anew");
        assert_eq!(filled.len(), 4);
    }

    #[test]
    fn new_keys_take_away_what_is_full_again() {
        let filled = Filled::shaped((1, 1_000), PER_CLIENT);
        for number in 0..100u8 {
            assert!(filled.client(&format!("10.0.0.{number}"), 1, 0));
        }
        for number in 0..40u8 {
            assert!(filled.client(&format!("10.0.1.{number}"), 1, MINUTE));
        }
        assert_eq!(filled.len(), 40, "four for each, and then none is left");
    }

    #[test]
    fn the_addresses_of_a_64_share_a_bucket_and_no_other_kind_of_client_does() {
        let filled = Filled::shaped((4, 100), PER_CLIENT);
        assert!(filled.client("2001:db8::1", 1, 0));
        for number in 0..2_000 {
            assert!(!filled.client(&format!("2001:db8::{number:x}:1"), 1, 0));
        }
        assert!(filled.client("2001:db8:0:1::1", 1, 0));
        // The same bits in another place.
        assert!(filled.client("0.0.0.5", 1, 0) && filled.client("0:0:0:5::", 1, 0));
        assert!(!filled.client("::ffff:0.0.0.5", 1, 0), "carried in IPv6, it is the same address");
        assert_eq!(filled.len(), 4);
    }

    #[test]
    fn a_client_with_many_values_has_its_share_and_then_one_bucket() {
        let filled = Filled::shaped((4, 1_000), 10);
        for number in 0..10_000u32 {
            assert_eq!(filled.value("10.0.0.1", &number.to_be_bytes(), 0), number < 12, "{number}");
        }
        assert_eq!(filled.len(), 11);
        // What others bring is none of that, and what the client brought first it still has.
        assert!(filled.value("10.0.0.2", b"theirs", 0));
        assert!(filled.value("10.0.0.1", &3u32.to_be_bytes(), 0) && !filled.value("10.0.0.1", &3u32.to_be_bytes(), 0));
        // Where its buckets are full again, there is room for others: each value takes a few away.
        let fresh = (0..100u32).filter(|number| filled.value("10.0.0.1", &(number + 50_000).to_be_bytes(), 2 * MINUTE));
        let allowed = fresh.count();
        assert!((10..=12).contains(&allowed), "{allowed}");
        assert!(filled.len() <= 12, "{}", filled.len());
    }

    #[test]
    fn a_value_is_one_bucket_whoever_brings_it() {
        let filled = Filled::shaped((4, 1_000), 10);
        let taken = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| filled.value(address, b"key", 0));
        assert_eq!(taken, [true, true, false]);
        let other = filled.store.next_limit();
        assert_ne!(
            filled.store.chosen(other, [&b"a"[..]].into_iter()),
            filled.store.chosen(filled.limit, [&b"a"[..]].into_iter())
        );
        let parts = |parts: &[&'static [u8]]| filled.store.chosen(other, parts.iter().copied());
        assert_ne!(parts(&[b"a", b"b"]), parts(&[b"ab"]));
    }

    #[test]
    fn threads_share_buckets_and_lose_no_count() {
        let filled = Filled::shaped((2, 50), 5);
        let allowed = AtomicU64::new(0);
        let on_threads = |run: &(dyn Fn(u32) + Sync)| {
            std::thread::scope(|scope| {
                for thread in 0..4u32 {
                    scope.spawn(move || (0..2_000).for_each(|number| run(number * 4 + thread)));
                }
            });
        };
        on_threads(&|_| _ = allowed.fetch_add(u64::from(filled.client("10.0.0.1", 1_000, 1)), Ordering::Relaxed));
        assert_eq!(allowed.load(Ordering::Relaxed), 1_000);
        on_threads(&|number| _ = filled.value("10.0.0.2", &number.to_be_bytes(), u64::from(number) * MINUTE));
        let shards = || filled.store.shards.iter().map(|shard| shard.lock().unwrap());
        assert_eq!(filled.len(), shards().map(|shard| shard.len() as u64).sum::<u64>());
        let (owned, chosen): (usize, usize) =
            (shards().map(|shard| usize::from(shard.owned())).sum(), shards().map(|shard| shard.chosen()).sum());
        assert_eq!(owned, chosen, "every key that is held is counted once, and no other");
    }
}
