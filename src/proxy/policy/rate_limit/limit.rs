//! One limit: its quota, what has a bucket of its own, and where the buckets are.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use governor::state::InMemoryState;

use super::bucket::{Penalty, copy_of_shared, take_shared};
use super::settings::{Key, LimitSettings};
use super::store::{self, Store};
use crate::base::rate::Rate;
use crate::proxy::message::{Fields, Response};

/// One limit, compiled.
#[derive(Debug)]
pub struct Limit {
    settings: LimitSettings,
    quota: Quota,
    buckets: Buckets,
    /// Its name, as a string of structured fields (RFC 9651).
    name: String,
}

/// Where the buckets are: they outlive the config as long as the quota stays.
#[derive(Clone, Debug)]
enum Buckets {
    /// One that all share.
    Shared(Arc<InMemoryState>),
    /// One for each key, which are those of this number in the store.
    Keyed(u32),
}

/// What a limit asks about a request.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who sent it.
    pub client: IpAddr,
    /// The checked host.
    pub host: &'a str,
    /// Its header fields.
    pub fields: &'a Fields,
}

/// What one check goes by.
#[derive(Clone, Copy)]
pub(super) struct Check<'a> {
    pub(super) store: &'a Store,
    pub(super) penalty: Option<Penalty>,
    /// Nanoseconds since the store began.
    pub(super) now: u64,
}

/// What a limit has for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The limit's name.
    pub name: String,
    /// What has a bucket of its own.
    pub key: Key,
    /// How many requests it lets through.
    pub rate: Rate,
    /// How many at once after a pause.
    pub burst: u32,
    /// How many are left now.
    pub left: u32,
    /// How long the request would have to wait; none where it would be let through.
    pub wait: Option<Duration>,
}

/// A request that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    limit: Arc<Limit>,
    wait: Duration,
}

impl Limit {
    /// A limit called `name` in answers. It goes on with the buckets of one of `previous` that is the same limit, which is taken
    /// from there.
    pub(super) fn new(settings: &LimitSettings, name: &str, store: &Store, previous: &mut Vec<Arc<Self>>) -> Self {
        let same = previous.iter().position(|limit| limit.settings == *settings);
        let buckets = match same.map(|same| previous.remove(same)) {
            Some(same) => same.buckets.clone(),
            None if settings.key == Key::Route => Buckets::Shared(Arc::default()),
            None => Buckets::Keyed(store.next_limit()),
        };
        let quota = quota(settings.rate, settings.burst);
        Self { settings: settings.clone(), quota, buckets, name: format!("\"{name}\"") }
    }

    /// Whether each client has buckets of its own, so that nobody else pays for what it does.
    pub(super) fn is_per_client(&self) -> bool {
        matches!(self.settings.key, Key::Ip | Key::Header(_))
    }

    /// Takes a token for the request, or says how long to wait for it.
    pub(super) fn take(&self, asked: &Asked<'_>, check: Check<'_>) -> Result<(), Duration> {
        let Check { store, now, .. } = check;
        let number = match &self.buckets {
            Buckets::Shared(state) => return take_shared(state, self.quota, now),
            Buckets::Keyed(number) => *number,
        };
        let (key, owner) = self.key(number, asked, store);
        // Who has no bucket of its own is not punished for what others do.
        let penalty = check.penalty.filter(|_| self.is_per_client());
        store.ask(key, owner, now, |bucket| bucket.take(self.quota, penalty, now))
    }

    /// What [`take`](Self::take) would say. Nothing is taken, and nothing is made for a key that is not known.
    pub(super) fn look(&self, asked: &Asked<'_>, check: Check<'_>) -> Left {
        let Check { store, now, .. } = check;
        let (mut bucket, penalty) = match &self.buckets {
            Buckets::Shared(state) => (copy_of_shared(state), None),
            Buckets::Keyed(number) => {
                let (key, owner) = self.key(*number, asked, store);
                (store.copy(key, owner), check.penalty.filter(|_| self.is_per_client()))
            }
        };
        let left = bucket.left(self.quota, now);
        let wait = bucket.take(self.quota, penalty, now).err();
        let LimitSettings { rate, burst, key } = self.settings.clone();
        Left { name: self.name.trim_matches('"').to_owned(), key, rate, burst, left, wait }
    }

    /// The key, and the client that chose it, where one did. A request that does not say what the limit goes by is its client's.
    fn key(&self, number: u32, asked: &Asked<'_>, store: &Store) -> (store::Key, Option<store::Key>) {
        let client = store::Key::client(number, asked.client);
        let name = match &self.settings.key {
            Key::Ip | Key::Route => return (client, None),
            Key::Host => {
                let host = asked.host.as_bytes();
                return (store.chosen(number, [host].into_iter()), Some(client));
            }
            Key::Header(name) => name.as_bytes(),
        };
        // Which of several a backend goes by is not known here: all of them together are the key.
        let mut values = asked.fields.values(name).peekable();
        match values.peek() {
            Some(_) => (store.chosen(number, values), Some(client)),
            None => (client, None),
        }
    }
}

/// The quota of a rate and a burst.
pub(super) fn quota(rate: Rate, burst: u32) -> Quota {
    let one = Quota::with_period(rate.interval()).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN));
    one.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

impl Refusal {
    pub(super) fn new(limit: &Arc<Limit>, wait: Duration) -> Self {
        Self { limit: Arc::clone(limit), wait }
    }

    /// The whole seconds after which the client may ask again, at least one.
    fn seconds(&self) -> u64 {
        (self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0)).max(1)
    }

    /// Adds what the client has to know: `Retry-After`, and the limit with what is left of it (draft-ietf-httpapi-ratelimit-headers).
    pub fn add_fields(&self, response: &mut Response) {
        let (seconds, name, rate) = (self.seconds(), &self.limit.name, self.limit.settings.rate);
        let fields = &mut response.fields;
        fields.add(b"retry-after", seconds.to_string().as_bytes());
        fields.add(b"ratelimit-policy", format!("{name};q={};w={}", rate.count(), rate.seconds()).as_bytes());
        fields.add(b"ratelimit", format!("{name};r=0;t={seconds}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::Name;

    #[test]
    fn a_refusal_says_how_long_in_whole_seconds_and_of_which_limit() {
        let settings = LimitSettings { rate: "100/m".parse().unwrap(), burst: 20, key: Key::Ip };
        let limit = Arc::new(Limit::new(&settings, "per_ip", &Store::new(&Arc::default()), &mut Vec::new()));
        for (wait, seconds) in [(0, "1"), (1, "1"), (1_000_000_000, "1"), (1_000_000_001, "2"), (59_999_999_999, "60")]
        {
            let mut response = Response::default();
            Refusal::new(&limit, Duration::from_nanos(wait)).add_fields(&mut response);
            let text = |name: &[u8]| String::from_utf8_lossy(response.fields.values(name).next().unwrap()).into_owned();
            assert_eq!(response.fields.first(Name::RetryAfter), Some(seconds.as_bytes()));
            assert_eq!(text(b"ratelimit"), format!("\"per_ip\";r=0;t={seconds}"));
            assert_eq!(text(b"ratelimit-policy"), "\"per_ip\";q=100;w=60");
        }
    }
}
