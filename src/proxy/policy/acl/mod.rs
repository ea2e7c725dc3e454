//! Who may come: lists of networks that are allowed and denied. Of all lists that could decide on a request the most specific
//! one does, alone.

mod settings;

use std::net::IpAddr;

use crate::base::cidr::{AddressSet, Cidr};
use crate::base::mode::Mode;

pub use settings::{Lists, Settings};

/// One list, ready to be asked. The default allows everybody.
#[derive(Debug, Default)]
pub struct List {
    denied: AddressSet,
    mode: Mode,
}

impl List {
    /// The longest network that holds an address decides, and a tie denies. Where none does, a list that allows somebody denies
    /// the rest.
    pub fn new(lists: &Lists, mode: Mode) -> Self {
        let allowed = lists.allow.iter().map(|network| (network.value, false));
        let networks = allowed.chain(lists.deny.iter().map(|network| (network.value, true)));
        let networks: Vec<(Cidr, bool)> = networks.collect();
        Self { denied: AddressSet::by_longest_prefix(networks, !lists.allow.is_empty()), mode }
    }

    /// What comes of the list's objection to a client; nothing where it has none.
    pub fn objection(&self, client: IpAddr) -> Option<Mode> {
        self.denied.contains(client).then_some(self.mode)
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
    use crate::base::place::{At, Place};

    fn list(allow: &[&str], deny: &[&str], mode: Mode) -> List {
        let networks = |texts: &[&str]| {
            texts.iter().map(|text| At::new(text.parse().unwrap(), Place::default())).collect::<Vec<_>>()
        };
        List::new(&Lists { allow: networks(allow), deny: networks(deny) }, mode)
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
