//! `jwks_url`: the keys of an issuer that are fetched, and what is known of them. When they are fetched is decided here; how, by
//! an exchange.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::keys::Keys;
use super::service::ServiceSettings;
use crate::proxy::balance::Pool;
use crate::proxy::message::{Name, Request};

/// How old keys become before they are fetched again.
const FRESH_FOR: Duration = Duration::from_secs(300);

/// How old they may be while newer ones are waited for, and how old at all where there are none to be had.
const RECENT: Duration = Duration::from_secs(600);
const OLDEST: Duration = Duration::from_secs(86_400);

/// How long nothing is asked again, for whatever reason: with keys that are known, and without any.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_WITHOUT: Duration = Duration::from_secs(1);

/// Where keys are fetched, and those that were.
#[derive(Clone)]
pub struct Remote {
    /// Where the issuer is.
    pub pool: Arc<Pool>,
    /// What is known of the keys.
    pub known: Arc<Known>,
    target: Box<[u8]>,
    authority: Box<[u8]>,
}

/// The keys that were fetched last. One for all routes with the same URL, and for every config that follows.
#[derive(Default)]
pub struct Known {
    keys: ArcSwapOption<Fetched>,
    state: Mutex<State>,
    fetched: Notify,
}

/// Keys, and when they were fetched.
struct Fetched {
    keys: Arc<Keys>,
    at: Instant,
}

#[derive(Default)]
struct State {
    /// When they were asked for last.
    asked: Option<Instant>,
    /// When they were last asked for because a token named one that was not among them.
    missed: Option<Instant>,
    asking: bool,
    /// Why they could not be had, so that it is told once.
    problem: Option<String>,
}

/// Whether keys have to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// By whoever is told so.
    Now,
    /// Somebody does already.
    Soon,
    /// No.
    No,
}

impl Remote {
    /// What the settings say. `pool` is the service's.
    pub fn new(settings: &ServiceSettings, pool: Arc<Pool>, known: Arc<Known>) -> Self {
        let host = |text: &str| text.split_once("://").map_or("localhost", |(_, host)| host).as_bytes().into();
        let authority = pool.backends.first().map_or_else(|| host(""), |backend| host(&backend.url.text));
        Self { pool, known, target: settings.target.as_bytes().into(), authority }
    }

    /// The same with what `now` makes of the pool.
    pub(super) fn map(&self, now: impl FnOnce(&Arc<Pool>) -> Arc<Pool>) -> Self {
        Self { pool: now(&self.pool), ..self.clone() }
    }

    /// The request for the keys.
    pub fn question(&self) -> Request {
        let mut request = Request::default();
        let get = request.fields.store(b"GET");
        request.set_method(get);
        request.rewrite_target(&self.target);
        let authority = request.fields.store(&self.authority);
        request.set_authority(authority);
        request.set_authority_field(Name::Host);
        request.fields.add(b"accept", b"application/jwk-set+json, application/json");
        request
    }
}

impl Known {
    /// The keys; none before the first good answer.
    pub(super) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load().as_ref().map(|fetched| Arc::clone(&fetched.keys))
    }

    /// Whether there are any that are not old.
    pub fn has_recent(&self, now: Instant) -> bool {
        self.keys.load().as_ref().is_some_and(|fetched| now.saturating_duration_since(fetched.at) < RECENT)
    }

    /// Whether keys have to be fetched: because there are none, because they are old, or, where they are `missed`, because a token
    /// names one that is not among them.
    pub fn due(&self, now: Instant, missed: bool) -> Due {
        let good = self.keys.load().as_ref().map(|fetched| fetched.at);
        let old = good.is_none_or(|at| now.saturating_duration_since(at) >= FRESH_FOR);
        if !old && !missed {
            // So it is nearly always, and nothing is locked for it.
            return Due::No;
        }
        let mut state = self.state();
        if state.asking {
            return Due::Soon;
        }
        let longer_than =
            |since: Option<Instant>, limit| since.is_none_or(|since| now.saturating_duration_since(since) >= limit);
        // Tokens that name keys that nobody has are no reason to ask all the time.
        let missed = missed && good.is_some() && longer_than(state.missed, PAUSE);
        let pause = if good.is_some() { PAUSE } else { PAUSE_WITHOUT };
        let due = missed || (old && longer_than(state.asked, pause));
        if due {
            state.asking = true;
            state.asked = Some(now);
        }
        if missed {
            state.missed = Some(now);
        }
        if due { Due::Now } else { Due::No }
    }

    /// Takes up keys, or keeps those that are there. Answers why there are no new ones, where that was not told.
    pub fn take(&self, fetched: Result<Keys, String>, now: Instant) -> Option<String> {
        let mut state = self.state();
        match fetched {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(Fetched { keys: Arc::new(keys), at: now })));
                state.problem = None;
                None
            }
            Err(problem) => {
                let old = |fetched: &Arc<Fetched>| now.saturating_duration_since(fetched.at) >= OLDEST;
                if self.keys.load().as_ref().is_some_and(old) {
                    // Who keeps the issuer from being asked must not keep a withdrawn key alive for ever.
                    self.keys.store(None);
                }
                let fresh = state.problem.as_ref() != Some(&problem);
                state.problem = Some(problem.clone());
                fresh.then_some(problem)
            }
        }
    }

    /// Whoever was told to fetch has done so, well or not.
    pub fn settle(&self) {
        self.state().asking = false;
        self.fetched.notify_waiters();
    }

    /// Ends once a fetch that is under way has.
    pub fn fetched(&self) -> impl Future<Output = ()> + '_ {
        self.fetched.notified()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KEYS: &[u8] = br#"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#;

    fn keys() -> Result<Keys, String> {
        Keys::parse(Path::new("keys"), KEYS).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_fetched_by_one_when_they_are_wanted() {
        let (known, start) = (Known::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([known.due(start, false), known.due(start, true)], [Due::Now, Due::Soon]);
        assert_eq!(known.take(Err("down".into()), start), Some("down".into()));
        known.settle();
        assert_eq!(known.due(start, false), Due::No, "not at once again");
        assert_eq!(known.due(at(1), false), Due::Now);
        assert_eq!(known.take(Err("down".into()), at(1)), None, "told once");
        known.settle();
        assert!(known.keys().is_none());

        assert_eq!(known.due(at(2), false), Due::Now);
        assert_eq!(known.take(keys(), at(2)), None);
        known.settle();
        assert!(known.keys().is_some());
        assert_eq!(known.due(at(10), false), Due::No);
        assert_eq!(known.due(at(10), true), Due::Now);
        known.settle();
        assert_eq!(known.due(at(11), true), Due::No, "not for every token that says so");
        assert_eq!(known.due(at(40), true), Due::Now);
        known.settle();
        assert_eq!(known.due(at(2 + 299), false), Due::No);
        assert_eq!(known.due(at(2 + 300), false), Due::Now);
        assert_eq!(known.take(Err("down".into()), at(302)), Some("down".into()));
        known.settle();
        assert_eq!(known.due(at(310), false), Due::No);
        assert!(known.keys().is_some(), "the last good ones are used on");
    }
}
