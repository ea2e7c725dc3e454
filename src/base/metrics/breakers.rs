//! The states of circuit breakers, which the control plane states, and their changes, which are counted where they happen.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::exposition::{Kind, Visitor};
use super::facts::count;
use super::family::MOST_SERIES;

/// The number of the state of each backend's breaker, by pool and backend.
pub type BreakerStates = BTreeMap<(String, String), u8>;

/// What a breaker may become.
const STATES: [&str; 3] = ["closed", "half_open", "open"];

/// How often breakers changed their state, by pool and backend. They change rarely, so that a lock does no harm.
#[derive(Debug, Default)]
pub struct Transitions(Mutex<Counts>);

type Counts = BTreeMap<(String, String), [u64; STATES.len()]>;

impl Transitions {
    /// Counts a change to the state of that name.
    pub fn count(&self, pool: &str, backend: &str, to: &'static str) {
        let Some(at) = STATES.iter().position(|state| *state == to) else { return };
        let mut counts = self.counts();
        let key = (pool.to_owned(), backend.to_owned());
        let full = counts.len() >= MOST_SERIES / STATES.len() && !counts.contains_key(&key);
        let key = if full { ("other".to_owned(), "other".to_owned()) } else { key };
        counts.entry(key).or_default()[at] += 1;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives both families. A backend whose breaker never changed is there with zeros, so that its first change is seen as one.
pub(super) fn visit(states: &BreakerStates, transitions: &Transitions, visitor: &mut dyn Visitor) {
    visitor.family(
        "portcullis_breaker_state",
        "Whether requests are kept away from a backend: 0 closed, 1 half-open, 2 open; of several addresses the worst.",
        Kind::Gauge,
    );
    for ((pool, backend), state) in states {
        visitor.sample("", &[("pool", pool), ("backend", backend)], f64::from(*state));
    }
    visitor.family("portcullis_breaker_transitions_total", "Changes of breakers, by what they became.", Kind::Counter);
    let mut all: Counts = states.keys().map(|key| (key.clone(), [0; STATES.len()])).collect();
    all.extend(transitions.counts().iter().map(|(key, counts)| (key.clone(), *counts)));
    for ((pool, backend), counts) in &all {
        for (to, number) in STATES.iter().zip(counts) {
            visitor.sample("", &[("pool", pool), ("backend", backend), ("to", to)], count(*number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exposition::Exposition;
    use super::*;

    #[test]
    fn a_breaker_that_never_changed_is_there_with_zeros_and_one_that_is_gone_with_its_counts() {
        let transitions = Transitions::default();
        transitions.count("p", "http://gone", "open");
        transitions.count("p", "http://gone", "unknown");
        let mut exposition = Exposition::default();
        visit(&[(("p".into(), "http://a".into()), 2)].into(), &transitions, &mut exposition);
        let text = exposition.text;
        for line in [
            "portcullis_breaker_state{pool=\"p\",backend=\"http://a\"} 2\n",
            "portcullis_breaker_transitions_total{pool=\"p\",backend=\"http://a\",to=\"half_open\"} 0\n",
            "portcullis_breaker_transitions_total{pool=\"p\",backend=\"http://gone\",to=\"open\"} 1\n",
            "portcullis_breaker_transitions_total{pool=\"p\",backend=\"http://gone\",to=\"closed\"} 0\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("portcullis_breaker_state{pool=\"p\",backend=\"http://gone\"}"), "{text}");
    }
}
