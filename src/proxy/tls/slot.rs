//! Where a certificate lives: its current pair, exchanged while connections run.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::cert::Pair;

/// The place of one `[[certificate]]`: holds the last good pair and tells the frontends that serve it when another takes its place.
/// Open connections keep what they have.
pub struct CertSlot {
    name: Arc<str>,
    current: ArcSwap<Pair>,
    followers: Mutex<Vec<Weak<dyn Follow>>>,
}

/// What serves a slot's pair and has to know when it changes.
pub(super) trait Follow: Send + Sync {
    /// The pair of a slot has changed.
    fn swapped(&self);
}

/// What became of a pair that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It is served from now on.
    Replaced,
    /// It is the one that is served already.
    Unchanged,
}

/// Why a pair that could be served does not take the place of the current one, which serves on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Routes need names that the current pair covers and the new one does not.
    #[error("the new certificate does not cover {}, which routes need and the current one covers; issue it with these names", names.join(", "))]
    LosesNames {
        /// The names.
        names: Vec<String>,
    },
    /// It was issued earlier and ends earlier than the current one.
    #[error(
        "the new certificate is older than the one in use; put the newer files in place; to go back on purpose, restart with the older ones"
    )]
    Older,
}

impl CertSlot {
    /// A slot for the certificate called `name`.
    pub fn new(name: impl Into<Arc<str>>, pair: Arc<Pair>) -> Self {
        Self { name: name.into(), current: ArcSwap::new(pair), followers: Mutex::default() }
    }

    /// The name of the certificate in the config.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The pair that new connections get.
    pub fn current(&self) -> Arc<Pair> {
        self.current.load_full()
    }

    /// Whether `pair` may take the place of the current one. `required` are the hosts that routes need (as
    /// [`Names::covers`](super::Names::covers) reads them) and that no other certificate covers.
    ///
    /// # Errors
    /// Where the pair would be a step back.
    pub fn judge<'a>(&self, pair: &Pair, required: impl IntoIterator<Item = &'a str>) -> Result<(), Refusal> {
        let current = self.current();
        if current.digest == pair.digest {
            return Ok(());
        }
        let names: Vec<String> = required
            .into_iter()
            .filter(|host| current.names.covers(host) && !pair.names.covers(host))
            .map(str::to_owned)
            .collect();
        if !names.is_empty() {
            return Err(Refusal::LosesNames { names });
        }
        if pair.not_after < current.not_after && pair.not_before < current.not_before {
            return Err(Refusal::Older);
        }
        Ok(())
    }

    /// Serves `pair`, which was judged, to new connections, on every frontend at once. Called by the control plane only, one call
    /// at a time for a slot.
    pub fn replace(&self, pair: Arc<Pair>) -> Swap {
        if self.current().digest == pair.digest {
            return Swap::Unchanged;
        }
        self.current.store(pair);
        self.tell();
        Swap::Replaced
    }

    /// Tells `follower` of every swap for as long as it exists.
    pub(super) fn follow(&self, follower: Weak<dyn Follow>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|known| known.strong_count() > 0);
        followers.push(follower);
    }

    /// Outside the lock, because a follower rebuilds its directory.
    fn tell(&self) {
        let followers: Vec<_> = {
            let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
            followers.retain(|known| known.strong_count() > 0);
            followers.iter().filter_map(Weak::upgrade).collect()
        };
        for follower in followers {
            follower.swapped();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{Ca, frontend};
    use super::*;

    #[test]
    fn a_pair_that_would_be_a_step_back_is_refused() {
        let ca = Ca::new();
        let dated = |names: &[&str], from: i32, to: i32| {
            let (cert, key) = ca.pem(names, |params| {
                params.not_before = rcgen::date_time_ymd(from, 1, 1);
                params.not_after = rcgen::date_time_ymd(to, 1, 1);
            });
            let (cert, key) = (("a.crt".as_ref(), cert.as_bytes()), ("a.key".as_ref(), key.as_bytes()));
            Arc::new(Pair::parse(cert, key, super::super::tests::support::now()).unwrap())
        };
        let first = dated(&["a.example", "b.example"], 2020, 2030);
        let slot = CertSlot::new("main", Arc::clone(&first));
        let required = ["a.example", "b.example", "elsewhere.example"];
        assert_eq!(slot.judge(&first, required), Ok(()));
        assert_eq!(slot.replace(Arc::clone(&first)), Swap::Unchanged);
        let refused = slot.judge(&dated(&["a.example"], 2021, 2031), required).unwrap_err();
        assert_eq!(refused, Refusal::LosesNames { names: vec!["b.example".to_owned()] });
        assert!(refused.to_string().contains("b.example"));
        assert_eq!(slot.judge(&dated(&["a.example", "b.example"], 2019, 2029), required), Err(Refusal::Older));
        assert!(Arc::ptr_eq(&slot.current(), &first));
        // Shorter, but issued later; and a name less that no route needs.
        let next = dated(&["a.example"], 2021, 2029);
        assert_eq!(slot.judge(&next, ["a.example"]), Ok(()));
        assert_eq!(slot.replace(next), Swap::Replaced);
        assert_eq!(slot.current().names.to_string(), "a.example");
    }

    #[test]
    fn frontends_that_are_gone_are_forgotten() {
        let ca = Ca::new();
        let slot = ca.slot("main", &["a.example"]);
        drop(frontend(&[&slot]));
        let _kept = frontend(&[&slot]);
        assert_eq!(slot.followers.lock().unwrap().len(), 1);
    }
}
