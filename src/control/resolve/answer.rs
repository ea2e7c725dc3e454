//! What becomes of records: which addresses are dialled, with what share, and under which names a name is looked for.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::base::gcd::gcd;
use crate::proxy::balance::Found;

/// The most addresses that are taken of one name. More would cost every pick and every probe of its pool.
pub(super) const MOST_FOUND: usize = 256;

/// The largest share: the largest weight of a backend.
const LARGEST: u32 = 256;

/// A good answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Sorted, no address and port twice, at most [`MOST_FOUND`], never empty.
    pub(super) found: Vec<Found>,
    /// How many there were before the rest was left out.
    pub(super) total: usize,
    /// How many were left out because nobody can be dialled there: unspecified, multicast and broadcast addresses.
    pub(super) undialable: usize,
}

impl Answer {
    /// The answer with these addresses. Where the host has a route to some of them only, the others are left out: on a machine
    /// without IPv6, say. `routable` says to which.
    pub(super) fn of(mut found: Vec<Found>, routable: impl Fn(IpAddr) -> bool) -> Self {
        let all = found.len();
        found.iter_mut().for_each(|found| found.address = found.address.to_canonical());
        found.retain(|found| is_dialable(found.address));
        let undialable = all - found.len();
        found.sort_by_key(|found| (found.address, found.port, Reverse(found.weight)));
        found.dedup_by_key(|found| (found.address, found.port));
        let total = found.len();
        found.truncate(MOST_FOUND);
        if found.iter().any(|found| routable(found.address)) {
            found.retain(|found| routable(found.address));
        }
        Self { found, total, undialable }
    }
}

fn is_dialable(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) weight: u16,
}

/// The records that are used, with shares for weights: those of the lowest priority that name a host and a port.
///
/// Shares are as the weights are to each other, 1 to 256. RFC 2782 gives a weight of 0 beside others "a very small chance":
/// it has a share of 1 beside 256. Where all are 0, all are equal.
pub(super) fn services(mut records: Vec<Service>) -> Vec<Service> {
    records.retain(|record| record.port != 0 && !record.host.is_empty());
    let lowest = records.iter().map(|record| record.priority).min();
    records.retain(|record| Some(record.priority) == lowest);
    records.sort();
    records.dedup_by(|a, b| (&a.host, a.port) == (&b.host, b.port));
    records.truncate(MOST_FOUND);
    let common = records.iter().fold(0, |common, record| gcd(common, u32::from(record.weight))).max(1);
    let parts = || records.iter().map(|record| u32::from(record.weight) / common);
    let (most, some_are_zero) = (parts().max().unwrap_or(0), parts().any(|part| part == 0));
    let share = |part: u32| match most {
        0 => 1,
        most if most > LARGEST || some_are_zero => (part * LARGEST / most).max(1),
        _ => part,
    };
    let shares: Vec<u32> = parts().map(share).collect();
    for (record, share) in records.iter_mut().zip(shares) {
        record.weight = u16::try_from(share).unwrap_or(1);
    }
    records
}

/// The whole names that are tried for `name`, in this order, as resolv.conf(5) says: a name with at least `ndots` dots as it
/// is first, any other with the search domains first; an absolute one only as it is. Each ends in a dot.
pub(super) fn candidates(name: &str, absolute: bool, search: &[String], ndots: usize) -> Vec<String> {
    let whole = format!("{name}.");
    if absolute {
        return vec![whole];
    }
    let searched = search.iter().map(|domain| match domain.trim_end_matches('.') {
        "" => whole.clone(),
        domain => format!("{name}.{domain}."),
    });
    let mut names: Vec<String> = Vec::with_capacity(search.len() + 1);
    let first = name.matches('.').count() >= ndots;
    names.extend(first.then(|| whole.clone()));
    for candidate in searched.chain([whole.clone()]) {
        if !names.contains(&candidate) {
            names.push(candidate);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str, port: Option<u16>, weight: u16) -> Found {
        Found { address: address.parse().unwrap(), port, weight, host: "h".into() }
    }

    fn plain(addresses: &[&str]) -> Vec<Found> {
        addresses.iter().map(|address| found(address, None, 1)).collect()
    }

    #[test]
    fn addresses_are_sorted_and_told_once() {
        let given = plain(&["::1", "10.0.0.2", "10.0.0.1", "::ffff:10.0.0.2", "10.0.0.1"]);
        let answer = Answer::of(given, |_| true);
        assert_eq!(answer, Answer { found: plain(&["10.0.0.1", "10.0.0.2", "::1"]), total: 3, undialable: 0 });
    }

    #[test]
    fn addresses_that_are_nobody_are_left_out() {
        let answer =
            Answer::of(plain(&["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "10.0.0.1"]), |_| true);
        assert_eq!(answer, Answer { found: plain(&["10.0.0.1"]), total: 1, undialable: 5 });
        assert!(Answer::of(plain(&["0.0.0.0"]), |_| true).found.is_empty());
    }

    #[test]
    fn addresses_without_a_route_are_used_only_where_there_is_no_other() {
        let both = || plain(&["10.0.0.1", "2001:db8::1"]);
        assert_eq!(Answer::of(both(), |address| address.is_ipv4()).found, plain(&["10.0.0.1"]));
        assert_eq!(Answer::of(both(), |_| false).found, both());
    }

    #[test]
    fn two_thousand_records_are_bounded_to_the_same_ones_each_time() {
        let many: Vec<Found> = (0..2_000_u32)
            .map(|number| Found { address: IpAddr::V4((0x0a00_0000 + number).into()), ..found("::1", None, 1) })
            .collect();
        let reversed = many.iter().rev().cloned().collect();
        let answer = Answer::of(many, |_| true);
        assert_eq!((answer.found.len(), answer.total), (MOST_FOUND, 2_000));
        assert_eq!(answer, Answer::of(reversed, |_| true));
    }

    fn shares(records: &[(u16, u16)]) -> Vec<u16> {
        let record = |(index, (priority, weight)): (usize, &(u16, u16))| Service {
            priority: *priority,
            host: format!("h{index}"),
            port: 80,
            weight: *weight,
        };
        services(records.iter().enumerate().map(record).collect()).iter().map(|record| record.weight).collect()
    }

    #[test]
    fn shares_are_as_weights_are_to_each_other() {
        assert_eq!(shares(&[(1, 60), (1, 20), (1, 10)]), [6, 2, 1]);
        assert_eq!(shares(&[(1, 0), (1, 0)]), [1, 1]);
        assert_eq!(shares(&[(1, 0), (1, 1)]), [1, 256]);
        assert_eq!(shares(&[(1, 0), (1, 10), (1, 30)]), [1, 85, 256]);
        assert_eq!(shares(&[(1, 65_535), (1, 1)]), [256, 1]);
        assert_eq!(shares(&[]), Vec::<u16>::new());
    }

    #[test]
    fn only_the_lowest_priority_is_used() {
        assert_eq!(shares(&[(20, 5), (10, 4), (10, 2), (30, 9)]), [2, 1]);
    }

    #[test]
    fn records_without_a_host_or_a_port_say_that_there_is_no_service() {
        let record = |host: &str, port| Service { priority: 0, host: host.into(), port, weight: 1 };
        assert_eq!(services(vec![record("", 80), record("a", 0)]), []);
    }

    #[test]
    fn search_domains_are_tried_in_the_order_of_resolv_conf() {
        let search = ["ns.svc.".to_owned(), "svc".to_owned()];
        let of = |name, absolute, ndots| candidates(name, absolute, &search, ndots);
        assert_eq!(of("a", false, 1), ["a.ns.svc.", "a.svc.", "a."]);
        assert_eq!(of("a.b", false, 1), ["a.b.", "a.b.ns.svc.", "a.b.svc."]);
        assert_eq!(of("a.b", false, 5), ["a.b.ns.svc.", "a.b.svc.", "a.b."]);
        assert_eq!(of("a", true, 1), ["a."]);
        assert_eq!(candidates("a", false, &[".".to_owned()], 1), ["a."]);
    }
}
