//! What a list says: `allow`, `deny` and `mode`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::cidr::Cidr;
use crate::base::mode::Mode;
use crate::base::place::At;
use crate::base::settings::{Problem, Section, Table};

/// The most networks in one `allow` or `deny`.
const MOST: usize = 200_000;

/// The networks of one list. There may be very many; clones share them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// Who may come. Where there are any, the rest may not. Default none.
    pub allow: Arc<[At<Cidr>]>,
    /// Who may not come. Default none.
    pub deny: Arc<[At<Cidr>]>,
}

/// A route's `acl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The networks; one at least.
    pub lists: Lists,
    /// Whether it is enforced. Default: as `[acl]` says.
    pub mode: Option<Mode>,
}

impl Lists {
    /// Reads the two keys.
    pub fn keys(section: &mut Section<'_>) -> Self {
        let allow: Vec<At<Cidr>> = section
            .key(
                "allow",
                "Networks that may come. Where there are any, everybody else may not. Left out: everybody may.",
            )
            .up_to(MOST)
            .list();
        let deny: Vec<At<Cidr>> = section
            .key("deny", "Networks that may not come. Of several networks that hold an address the longest decides.")
            .up_to(MOST)
            .list();
        let lists = Self { allow: allow.into(), deny: deny.into() };
        lists.contradict(section);
        lists
    }

    /// Reads the two keys of a list that takes the place of a wider one. Without a network it would let everybody in, which
    /// `allow = []` does not look like.
    pub fn replacing(section: &mut Section<'_>) -> Self {
        let before = section.problems();
        let lists = Self::keys(section);
        let empty = lists.allow.is_empty() && lists.deny.is_empty();
        if empty && !section.is_recording() && section.problems() == before {
            let place = section.written("allow").or_else(|| section.written("deny"));
            let message = "this list has no network, so that it would let everybody in";
            let advice = "write the networks; to let everybody in: `allow = [\"0.0.0.0/0\", \"::/0\"]`";
            section.problem(place.unwrap_or_else(|| section.place()), message, advice);
        }
        lists
    }

    /// Reports what is both allowed and denied.
    fn contradict(&self, section: &Section<'_>) {
        let allowed: HashMap<Cidr, &At<Cidr>> = self.allow.iter().map(|network| (network.value, network)).collect();
        for denied in self.deny.iter() {
            if let Some(allowed) = allowed.get(&denied.value) {
                let message = format!("{} is both allowed and denied", denied.value);
                let problem = Problem::error(denied.place, message, "remove it from one of the two lists");
                section.report(problem.beside(allowed.place, "it is allowed here"));
            }
        }
    }
}

impl Table for Settings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let lists = Lists::replacing(section);
        let mode = section
            .key("mode", "Whether what it denies is refused, or only counted and logged. Left out: as [acl] says.")
            .optional();
        Some(Self { lists, mode })
    }
}
