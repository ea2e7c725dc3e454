//! Keys of one table that exclude each other.

use super::{Problem, Section};
use crate::base::place::Place;

impl Section<'_> {
    /// Reports a problem unless one of `names` is written, and one if several are.
    pub fn exactly_one(&self, names: &[&str]) {
        if self.is_recording() {
            return;
        }
        self.at_most_one(names);
        if names.iter().all(|name| self.written(name).is_none()) {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("this table has none of {}", names.join(", "));
            self.problem(self.place(), message, "add one of them");
        }
    }

    /// Reports a problem if several of `names` are written.
    pub fn at_most_one(&self, names: &[&str]) {
        let there = names.iter().filter_map(|name| self.written(name).map(|place| (name, place)));
        let mut there: Vec<(&&str, Place)> = there.collect();
        there.sort_by_key(|(_, place)| place.start);
        let mut there = there.into_iter();
        let Some((first, at)) = there.next() else { return };
        for (name, place) in there {
            let message = format!("`{first}` and `{name}` exclude each other");
            let problem = Problem::error(place, message, "keep one of them").beside(at, format!("`{first}` is here"));
            self.report(problem);
        }
    }
}
