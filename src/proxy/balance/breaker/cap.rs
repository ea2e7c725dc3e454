//! How many breakers of a pool may be other than closed, so that a fault which is not the backends' does not take all of them
//! away.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The breakers of one pool that are not closed. Asked only where one changes its state.
#[derive(Debug, Default)]
pub(in crate::proxy::balance) struct Cap(Mutex<Vec<Place>>);

#[derive(Debug)]
struct Place {
    /// The endpoint, by its id.
    of: u64,
    /// Until when it is certainly needed. Nobody may have asked that endpoint since: then another may have the place.
    until: Instant,
}

impl Cap {
    /// A place for an endpoint until that moment, where there are `most`. It keeps one that it has.
    pub(super) fn take(&self, of: u64, (now, until): (Instant, Instant), most: usize) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.iter_mut().find(|place| place.of == of) {
            place.until = until;
            return true;
        }
        if places.len() >= most {
            // Where fewer are allowed than before, nobody is sent away.
            let Some(over) = places.iter().position(|place| place.until <= now) else { return false };
            places.swap_remove(over);
            if places.len() >= most {
                return false;
            }
        }
        places.push(Place { of, until });
        true
    }

    /// Gives back the place of an endpoint, where it has one.
    pub(super) fn give_back(&self, of: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|place| place.of != of);
    }
}

/// How many may be open of so many endpoints: half of them, and one at least.
pub(super) fn most_of(endpoints: usize) -> usize {
    (endpoints / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn half_of_a_pool_and_one_at_least() {
        assert_eq!([0, 1, 2, 3, 4, 5, 100].map(most_of), [1, 1, 1, 1, 2, 2, 50]);
    }

    #[test]
    fn a_place_is_held_until_it_is_given_back_or_nobody_needs_it() {
        let (cap, start) = (Cap::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(cap.take(1, (start, after(30)), 2) && cap.take(2, (start, after(60)), 2));
        assert!(!cap.take(3, (after(29), after(90)), 2));
        assert!(cap.take(1, (after(29), after(50)), 2), "who has one keeps it");
        assert!(!cap.take(3, (after(30), after(90)), 2));
        cap.give_back(2);
        cap.give_back(9);
        assert!(cap.take(3, (after(30), after(90)), 2));
        assert!(cap.take(4, (after(50), after(90)), 2), "the first is not asked any more");
        assert!(!cap.take(1, (after(50), after(90)), 2), "and has to see when it is");
    }

    #[test]
    fn fewer_places_send_nobody_away() {
        let (cap, start) = (Cap::default(), Instant::now());
        let later = start + Duration::from_secs(30);
        assert!((1..=4).all(|of| cap.take(of, (start, later), 4)));
        assert!(!cap.take(5, (start, later), 2));
        cap.give_back(1);
        cap.give_back(2);
        assert!(!cap.take(5, (start, later), 2), "two are left");
        cap.give_back(3);
        assert!(cap.take(5, (start, later), 2));
    }
}
