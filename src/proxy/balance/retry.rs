//! `retry`: what is sent again, how long that waits, and how many may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::base::period::Period;
use crate::base::settings::{Node, Scalar, Section, Setting, Shape};

/// So many may be under way whatever else is: a pool that is asked little may still repeat what fails.
const ALWAYS: u32 = 3;

/// `retry`: a number of attempts, `false`, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// How often a request is sent again at most. 0 to 5, default 1. 0 or `false` switches it off.
    pub attempts: u8,
    /// The longest pause before the first time; each time it doubles. Up to 10 s, default 25 ms.
    pub backoff: Period,
    /// The longest pause. Up to 10 s, default 250 ms.
    pub max_backoff: Period,
    /// The share of the pool's requests in flight that may be retries; three always may. 0 to 1, default 0.2.
    pub budget: f64,
    /// After what. Default `["connect", "503"]`.
    pub on: RetryOn,
}

/// `on`: after what a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection could be opened.
    pub connect: bool,
    /// An answer with one of these statuses, where the request may be repeated.
    pub statuses: Vec<u16>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 1,
            backoff: Period(Duration::from_millis(25)),
            max_backoff: Period(Duration::from_millis(250)),
            budget: 0.2,
            on: RetryOn::default(),
        }
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self { connect: true, statuses: vec![503] }
    }
}

impl RetrySettings {
    /// A pause before the `nth` time, from 0: anything up to a bound that doubles, so that those who failed together do not come
    /// back together ("full jitter"). `luck` is from 0 to 1.
    pub fn pause(&self, nth: u32, luck: f64) -> Duration {
        let bound = self.backoff.0.saturating_mul(1 << nth.min(20)).min(self.max_backoff.0);
        bound.mul_f64(luck.clamp(0.0, 1.0))
    }

    /// How many retries may be under way beside so many requests in flight.
    pub fn most_at_once(&self, in_flight: u32) -> u32 {
        ((f64::from(in_flight) * self.budget) as u32).max(ALWAYS)
    }

    fn keys(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let longest = Period::seconds(0)..=Period::seconds(10);
        let attempts = section.key("attempts", "How often a request is sent again at most. 0 to 5.");
        let attempts = attempts.within(0..=5).or(default.attempts);
        let backoff = section
            .key("backoff", "The longest pause before the first time; each time it doubles. Up to 10s.")
            .within(longest.clone())
            .or(default.backoff);
        let max_backoff =
            section.key("max_backoff", "The longest pause. Up to 10s.").within(longest).or(default.max_backoff);
        let budget = section
            .key(
                "budget",
                "The share of the pool's requests in flight that may be retries; three always may. 0.0 to 1.0.",
            )
            .within(0.0..=1.0)
            .or(default.budget);
        let on = section
            .key(
                "on",
                "After what: connect (no connection could be opened), or statuses of answers to GET, HEAD and OPTIONS.",
            )
            .or(default.on);
        Self { attempts, backoff, max_backoff, budget, on }
    }
}

impl Setting for RetrySettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::Integer(0, 5),
            Shape::Constant(false),
            Shape::table(|section| _ = Self::keys(section)),
        ])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return node.table(Self::keys);
        }
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self { attempts: 0, ..Self::default() }),
            Scalar::Integer(_) | Scalar::Filled(_) => Some(node.short("attempts", Self::keys)),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        self.attempts.into()
    }
}

impl Setting for RetryOn {
    fn shape() -> Shape {
        let one = || Shape::text("connect, or a status from 400 to 599", "503");
        Shape::OneOf(vec![one(), Shape::List(Box::new(one()))])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let mut on = Self { connect: false, statuses: Vec::new() };
        let elements = node.elements();
        if elements.is_empty() {
            return node.problem("`on` is empty", "name what is to be repeated, or write `retry = false`");
        }
        for element in elements {
            let text = element.text::<Self>()?;
            match text.parse() {
                _ if text == "connect" => on.connect = true,
                Ok(status @ 400..=599) => on.statuses.push(status),
                _ => {
                    let message = format!("`{text}` is nothing that a request is repeated after");
                    return element.problem(message, "write \"connect\", or a status from 400 to 599, such as \"503\"");
                }
            }
        }
        Some(on)
    }

    fn shown(&self) -> serde_json::Value {
        let connect = self.connect.then(|| "connect".to_owned());
        connect.into_iter().chain(self.statuses.iter().map(u16::to_string)).collect()
    }
}

/// The retries of one pool that are under way, on all workers. Outlives reloads.
#[derive(Debug, Default)]
pub struct Retries(AtomicU32);

/// One retry under way, until it is dropped.
#[derive(Debug)]
pub struct Retrying(Arc<Retries>);

impl Retries {
    /// One more, where there are fewer than `most`.
    pub(super) fn begin(self: &Arc<Self>, most: u32) -> Option<Retrying> {
        let more = |count| (count < most).then_some(count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Retrying(Arc::clone(self)))
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_anything_below_it_may_be() {
        let retry = RetrySettings::default();
        let longest = |nth| retry.pause(nth, 1.0).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 40].map(longest), [25, 50, 100, 200, 250, 250]);
        assert_eq!(retry.pause(3, 0.0), Duration::ZERO);
        assert_eq!(retry.pause(3, 0.25), Duration::from_millis(50));
    }

    #[test]
    fn a_fifth_of_what_is_in_flight_may_be_retries_and_three_always() {
        let retry = RetrySettings::default();
        assert_eq!([0, 15, 19, 20, 1_000].map(|in_flight| retry.most_at_once(in_flight)), [3, 3, 3, 4, 200]);
        let retries = Arc::<Retries>::default();
        let mut under_way: Vec<Retrying> = (0..3).map(|_| retries.begin(3).unwrap()).collect();
        assert!(retries.begin(3).is_none());
        assert!(retries.begin(4).is_some(), "given back at once");
        under_way.pop();
        assert!(retries.begin(3).is_some());
    }
}
