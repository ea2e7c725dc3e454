//! Who may come: lists of networks that are allowed and denied. Of all lists that could decide on a request the most specific
//! one does, alone.

mod settings;

use std::fmt;
use std::net::IpAddr;

use crate::base::cidr::{AddressSet, Cidr};
use crate::base::mode::Mode;
use crate::base::place::At;

pub use settings::{Lists, Settings};

/// One list, ready to be asked. The default allows everybody.
#[derive(Debug, Default)]
pub struct List {
    denied: AddressSet,
    mode: Mode,
    /// What it was made of, to say why it decides as it does.
    lists: Lists,
    /// Whose it is.
    pub of: Of,
}

/// What a list decides on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Of {
    /// Whatever no other list does.
    #[default]
    Global,
    /// Paths: those of a rule, as it is written.
    Rule(String),
    /// A route.
    Route,
}

/// Why a list decides on a client as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The network that decides. None where the list has none for the client: it is let in, unless there are networks that are.
    pub network: Option<Cidr>,
    /// What comes of it: see [`List::objection`].
    pub objection: Option<Mode>,
}

impl List {
    /// The longest network that holds an address decides, and a tie denies. Where none does, a list that allows somebody denies
    /// the rest.
    pub fn new(lists: &Lists, mode: Mode, of: Of) -> Self {
        let allowed = lists.allow.iter().map(|network| (network.value, false));
        let networks = allowed.chain(lists.deny.iter().map(|network| (network.value, true)));
        let networks: Vec<(Cidr, bool)> = networks.collect();
        Self {
            denied: AddressSet::by_longest_prefix(networks, !lists.allow.is_empty()),
            mode,
            lists: lists.clone(),
            of,
        }
    }

    /// What comes of the list's objection to a client; nothing where it has none.
    pub fn objection(&self, client: IpAddr) -> Option<Mode> {
        self.denied.contains(client).then_some(self.mode)
    }

    /// The same, and the network that it is for. Looks through all of them.
    pub fn evidence(&self, client: IpAddr) -> Evidence {
        let holding = |networks: &[At<Cidr>]| {
            networks
                .iter()
                .map(|network| network.value)
                .filter(|network| network.contains(client))
                .max_by_key(Cidr::length)
        };
        let network = match (holding(&self.lists.allow), holding(&self.lists.deny)) {
            (Some(allowed), Some(denied)) if allowed.length() > denied.length() => Some(allowed),
            (allowed, denied) => denied.or(allowed),
        };
        Evidence { network, objection: self.objection(client) }
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("the global list"),
            Self::Rule(path) => write!(f, "the rule for {path}"),
            Self::Route => f.write_str("the route's own list"),
        }
    }
}

/// The addresses that every one of `lists` refuses. A list that only observes refuses nobody.
pub fn refused_by_all(lists: &[&List]) -> AddressSet {
    if lists.iter().any(|list| list.mode == Mode::Observe) {
        return AddressSet::default();
    }
    AddressSet::intersection(&lists.iter().map(|list| &list.denied).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::Place;

    fn list<S: AsRef<str>>(allow: &[S], deny: &[S], mode: Mode) -> List {
        let networks =
            |texts: &[S]| texts.iter().map(|text| At::new(text.as_ref().parse().unwrap(), Place::default())).collect();
        List::new(&Lists { allow: networks(allow), deny: networks(deny) }, mode, Of::Global)
    }

    fn denied(list: &List, clients: &[&str]) -> Vec<bool> {
        clients.iter().map(|client| list.objection(client.parse().unwrap()).is_some()).collect()
    }

    #[test]
    fn the_longest_network_decides_and_a_tie_denies() {
        let clients = ["10.0.0.1", "10.1.0.1", "10.1.1.1", "192.0.2.1", "2001:db8::1", "::ffff:10.1.0.1"];
        for (allow, deny, expected) in [
            (&[][..], &[][..], [false, false, false, false, false, false]),
            (&[], &["10.0.0.0/8"], [true, true, true, false, false, true]),
            (&["10.0.0.0/8"], &[], [false, false, false, true, true, false]),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], [false, true, true, true, true, true]),
            (&["10.0.0.0/8", "10.1.1.0/24"], &["10.1.0.0/16"], [false, true, false, true, true, true]),
            (&["10.1.0.0/16"], &["10.1.0.0/16"], [true, true, true, true, true, true]),
            (&["0.0.0.0/0"], &["10.0.0.0/8"], [true, true, true, false, true, true]),
            (&["0.0.0.0/0", "::/0"], &["::ffff:10.1.0.1"], [false, true, false, false, false, true]),
            (&[], &["::/0"], [false, false, false, false, true, false]),
        ] {
            assert_eq!(denied(&list(allow, deny, Mode::Enforce), &clients), expected, "{allow:?} {deny:?}");
        }
    }

    /// What is told as the reason is the reason: whoever is in the network that is named and in no longer one is decided on alike.
    #[test]
    fn the_network_that_is_named_is_the_one_that_decides() {
        let told = |allow: &[&str], deny: &[&str], client: &str| {
            let Evidence { network, objection } = list(allow, deny, Mode::Enforce).evidence(client.parse().unwrap());
            (network.map(|network| network.to_string()).unwrap_or_default(), objection.is_some())
        };
        let (allow, deny) = (&["10.0.0.0/8", "10.1.1.0/24", "10.9.0.0/16"][..], &["10.1.0.0/16", "10.9.0.0/16"][..]);
        for (client, network, denied) in [
            ("10.0.0.1", "10.0.0.0/8", false),
            ("::ffff:10.1.0.1", "10.1.0.0/16", true),
            ("10.1.1.1", "10.1.1.0/24", false),
            ("10.9.0.1", "10.9.0.0/16", true),
            ("192.0.2.1", "", true),
            ("2001:db8::1", "", true),
        ] {
            assert_eq!(told(allow, deny, client), (network.to_owned(), denied), "{client}");
        }
        assert_eq!(told(&[], deny, "192.0.2.1"), (String::new(), false));

        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..500 {
            let mut some = || -> Vec<String> {
                let count = random.usize(..6);
                (0..count).map(|_| format!("10.0.0.{}/{}", random.u8(..), random.u8(24..=32))).collect()
            };
            let (allow, deny) = (some(), some());
            let denied: Vec<Cidr> = deny.iter().map(|text| text.parse().unwrap()).collect();
            let list = list(&allow, &deny, Mode::Enforce);
            for last in 0..=u8::MAX {
                let Evidence { network, objection } = list.evidence([10, 0, 0, last].into());
                let expected = network.map_or(!allow.is_empty(), |network| denied.contains(&network));
                assert_eq!(objection.is_some(), expected, "{allow:?} {deny:?} {last}");
            }
        }
    }

    #[test]
    fn nobody_is_refused_by_all_where_one_list_allows_or_observes() {
        let clients = ["192.0.2.1", "198.51.100.1", "203.0.113.1"];
        let global = list(&[], &["192.0.2.0/24", "203.0.113.0/24"], Mode::Enforce);
        let one = list(&["203.0.113.0/24"], &[], Mode::Enforce);
        let watching = list(&["203.0.113.0/24"], &[], Mode::Observe);
        for (lists, expected) in [
            (&[&global][..], [true, false, true]),
            (&[&global, &one], [true, false, false]),
            (&[&global, &watching], [false, false, false]),
            (&[&global, &List::default()], [false, false, false]),
        ] {
            let refused = refused_by_all(lists);
            assert_eq!(clients.map(|client| refused.contains(client.parse().unwrap())), expected);
        }
    }

    #[test]
    fn a_list_that_observes_objects_without_refusing() {
        let watching = list(&[], &["192.0.2.1"], Mode::Observe);
        assert_eq!(watching.objection("192.0.2.1".parse().unwrap()), Some(Mode::Observe));
        assert_eq!(watching.objection("192.0.2.2".parse().unwrap()), None);
    }
}
