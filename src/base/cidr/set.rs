//! Sets of addresses that many networks make up: built once, asked often.
//!
//! Nested networks are flattened into stretches of addresses that are in the set and out of it by turns, IPv4 and IPv6 apart.
//! A look-up goes down a tree of blocks that lie side by side, without a pointer or a hash: 100,000 networks are six steps,
//! and take one megabyte of IPv4 or four of IPv6.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Cidr;

/// Stretches in a block: what one step of a look-up compares, without a branch.
const BLOCK: usize = 8;

/// The last address of each family, as a number.
const LAST_V4: u128 = u32::MAX as u128;
const LAST_V6: u128 = u128::MAX;

/// A set of addresses. The default has none.
#[derive(Clone, Debug, Default)]
pub struct AddressSet {
    v4: Stretches<u32>,
    v6: Stretches<u128>,
}

impl AddressSet {
    /// An address is in the set or not as the longest of `networks` that hold it says; of two equal ones `true` holds, and
    /// where none holds it, `otherwise`.
    pub fn by_longest_prefix(networks: impl IntoIterator<Item = (Cidr, bool)>, otherwise: bool) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (network, member) in networks {
            match network.0 {
                IpNet::V4(net) => v4.push(Network {
                    first: u32::from(net.network()).into(),
                    last: u32::from(net.broadcast()).into(),
                    member,
                }),
                IpNet::V6(net) => {
                    v6.push(Network { first: net.network().into(), last: net.broadcast().into(), member });
                }
            }
        }
        Self::of(&flattened(v4, LAST_V4, otherwise), &flattened(v6, LAST_V6, otherwise))
    }

    /// The addresses that are in all of `sets`.
    pub fn intersection(sets: &[&Self]) -> Self {
        if sets.iter().any(|set| set.is_empty()) {
            return Self::default();
        }
        let v4 = sets.iter().map(|set| (set.v4.first, set.v4.turns(LAST_V4)));
        let v6 = sets.iter().map(|set| (set.v6.first, set.v6.turns(LAST_V6)));
        Self::of(&common(v4), &common(v6))
    }

    /// Whether `address` is in the set; an IPv4-mapped one is the address it carries.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        let none = |first: bool, turns: usize| !first && turns == 0;
        none(self.v4.first, self.v4.turns(LAST_V4).take(1).count())
            && none(self.v6.first, self.v6.turns(LAST_V6).take(1).count())
    }

    fn of(v4: &Turns, v6: &Turns) -> Self {
        // What is flattened within the addresses of IPv4 fits.
        Self { v4: Stretches::of(v4, LAST_V4, |end| end as u32), v6: Stretches::of(v6, LAST_V6, |end| end) }
    }
}

/// The addresses of one family: stretches that are in the set and out of it by turns.
#[derive(Clone, Debug)]
struct Stretches<K> {
    /// Whether the first stretch is in the set.
    first: bool,
    /// The last address of each stretch, in the last level; each level above has the last address of each block below it. What
    /// a block has beyond its stretches is the last address of all, which nothing is greater than.
    levels: Box<[Box<[[K; BLOCK]]>]>,
}

impl<K> Default for Stretches<K> {
    fn default() -> Self {
        Self { first: false, levels: Box::default() }
    }
}

impl<K: Copy + Ord + Into<u128>> Stretches<K> {
    fn of(turns: &Turns, last: u128, key: impl Fn(u128) -> K) -> Self {
        let first = turns.0.first().is_some_and(|(_, member)| *member);
        let ends = turns.0.iter().skip(1).map(|(start, _)| start.wrapping_sub(1)).chain([last]);
        let mut keys: Vec<K> = ends.map(&key).collect();
        let mut levels = Vec::new();
        loop {
            let block = |part: &[K]| std::array::from_fn(|at| part.get(at).copied().unwrap_or_else(|| key(last)));
            let level: Box<[[K; BLOCK]]> = keys.chunks(BLOCK).map(block).collect();
            keys = level.iter().map(|block| block[BLOCK - 1]).collect();
            levels.push(level);
            if keys.len() <= 1 {
                levels.reverse();
                return Self { first, levels: levels.into() };
            }
        }
    }

    fn contains(&self, address: K) -> bool {
        let mut at = 0;
        for level in &self.levels {
            let Some(ends) = level.get(at) else { break };
            let passed: u32 = ends.iter().map(|end| u32::from(*end < address)).sum();
            at = at * BLOCK + passed as usize;
        }
        self.first == at.is_multiple_of(2)
    }

    /// Where every stretch but the first starts.
    fn turns(&self, last: u128) -> impl Iterator<Item = u128> {
        let ends = self.levels.last().into_iter().flat_map(|level| level.iter().flatten());
        ends.map(|end| (*end).into()).take_while(move |end| *end < last).map(|end| end + 1)
    }
}

/// Stretches in the making: where each starts, and whether it is in the set. No two neighbours are alike.
struct Turns(Vec<(u128, bool)>);

impl Turns {
    fn begin(member: bool) -> Self {
        Self(vec![(0, member)])
    }

    /// From `start` on, which is never before an earlier one, addresses are in the set or not.
    fn turn(&mut self, start: u128, member: bool) {
        if self.0.last().is_some_and(|(last, _)| *last == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|(_, last)| *last != member) {
            self.0.push((start, member));
        }
    }
}

/// One network, by its first and last address.
#[derive(Clone, Copy)]
struct Network {
    first: u128,
    last: u128,
    member: bool,
}

/// Networks lie within each other or apart: the innermost that is open says what holds.
fn flattened(mut networks: Vec<Network>, last: u128, otherwise: bool) -> Turns {
    // The outer before the inner, and of two equal ones the member last, as if it lay within the other.
    networks.sort_unstable_by_key(|network| (network.first, Reverse(network.last), network.member));
    let mut turns = Turns::begin(otherwise);
    let mut open: Vec<Network> = Vec::new();
    let close = |open: &mut Vec<Network>, turns: &mut Turns, before: u128| {
        while let Some(inner) = open.pop_if(|inner| inner.last < before) {
            turns.turn(inner.last + 1, open.last().map_or(otherwise, |outer| outer.member));
        }
    };
    for network in networks {
        close(&mut open, &mut turns, network.first);
        turns.turn(network.first, network.member);
        open.push(network);
    }
    close(&mut open, &mut turns, last);
    turns
}

/// Where all of the sets have what one address after the other: each is whether its first stretch is in it, and where the
/// others start.
fn common(sets: impl Iterator<Item = (bool, impl Iterator<Item = u128>)>) -> Turns {
    let mut without = 0_i64;
    let mut turning = Vec::new();
    for (first, turns) in sets {
        without += i64::from(!first);
        let mut member = first;
        for start in turns {
            member = !member;
            turning.push((start, if member { -1 } else { 1 }));
        }
    }
    turning.sort_unstable();
    let mut turns = Turns::begin(without == 0);
    for (start, change) in turning {
        without += change;
        turns.turn(start, without == 0);
    }
    turns
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    type List = Vec<(Cidr, bool)>;

    fn naive(list: &List, otherwise: bool, address: IpAddr) -> bool {
        let holding = list.iter().filter(|(network, _)| network.contains(address));
        holding
            .max_by_key(|(network, member)| (network.0.prefix_len(), *member))
            .map_or(otherwise, |(_, member)| *member)
    }

    /// Networks that often lie in each other, of both families, up to `most`.
    fn random_list(random: &mut fastrand::Rng, most: usize) -> List {
        let network = |random: &mut fastrand::Rng| {
            let length = random.u8(0..=32);
            if random.bool() {
                let address = Ipv4Addr::from(random_v4(random));
                return format!("{address}/{length}").parse().unwrap();
            }
            format!("{}/{}", Ipv6Addr::from(random_v6(random)), length * 4).parse().unwrap()
        };
        (0..random.usize(0..=most)).map(|_| (network(random), random.bool())).collect()
    }

    /// Few values for each byte, the smallest and the largest among them.
    fn random_v4(random: &mut fastrand::Rng) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|_| *random.choice(&[0, 1, 127, 128, 254, 255]).unwrap()))
    }

    fn random_v6(random: &mut fastrand::Rng) -> u128 {
        let high = if random.bool() { 0 } else { u128::from(random_v4(random)) << 96 };
        high | u128::from(random_v4(random)) << random.u32(0..64) | u128::from(random.bool())
    }

    /// Addresses where something may change, and others.
    fn probes(random: &mut fastrand::Rng, list: &List) -> Vec<IpAddr> {
        let mut probes: Vec<IpAddr> = vec![
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::BROADCAST.into(),
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::from(u128::MAX).into(),
        ];
        for (network, _) in list {
            match network.0 {
                IpNet::V4(net) => {
                    let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                    let near = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                    probes.extend(near.map(|address| IpAddr::from(Ipv4Addr::from(address))));
                }
                IpNet::V6(net) => {
                    let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
                    let near = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
                    probes.extend(near.map(|address| IpAddr::from(Ipv6Addr::from(address))));
                }
            }
        }
        probes.extend((0..20).map(|_| IpAddr::from(Ipv4Addr::from(random_v4(random)))));
        probes.extend((0..20).map(|_| IpAddr::from(Ipv6Addr::from(random_v6(random)))));
        // A mapped address is another one than the number it is.
        probes.into_iter().map(|address| address.to_canonical()).collect()
    }

    #[test]
    fn a_set_says_what_the_longest_network_of_a_list_says() {
        let mut random = fastrand::Rng::with_seed(11);
        for round in 0..2_000 {
            let list = random_list(&mut random, if round % 50 == 0 { 600 } else { 12 });
            let otherwise = random.bool();
            let set = AddressSet::by_longest_prefix(list.iter().copied(), otherwise);
            for address in probes(&mut random, &list).into_iter().take(400) {
                assert_eq!(set.contains(address), naive(&list, otherwise, address), "{address} {otherwise} {list:?}");
            }
        }
    }

    #[test]
    fn an_intersection_holds_what_all_of_its_sets_hold() {
        let mut random = fastrand::Rng::with_seed(12);
        for _ in 0..1_000 {
            let lists: Vec<(List, bool)> =
                (0..random.usize(1..5)).map(|_| (random_list(&mut random, 40), random.bool())).collect();
            let sets: Vec<AddressSet> = lists
                .iter()
                .map(|(list, otherwise)| AddressSet::by_longest_prefix(list.iter().copied(), *otherwise))
                .collect();
            let common = AddressSet::intersection(&sets.iter().collect::<Vec<_>>());
            let mut seen = common.is_empty();
            for address in lists.iter().flat_map(|(list, _)| probes(&mut random, list)).collect::<Vec<_>>() {
                let expected = sets.iter().all(|set| set.contains(address));
                assert_eq!(common.contains(address), expected, "{address} {lists:?}");
                assert!(!(expected && common.is_empty()), "{address} {lists:?}");
                seen |= expected;
            }
            assert!(seen, "a set with something in it begins or ends somewhere: {lists:?}");
        }
    }

    #[test]
    fn many_networks_are_few_stretches_where_they_are_neighbours() {
        let all: List = (0..=255_u8).map(|byte| (format!("10.0.{byte}.0/24").parse().unwrap(), true)).collect();
        let set = AddressSet::by_longest_prefix(all, false);
        assert_eq!(set.v4.turns(LAST_V4).collect::<Vec<_>>(), [0x0a00_0000, 0x0a01_0000]);
        assert!(set.contains("::ffff:10.0.7.7".parse().unwrap()) && !set.contains("10.1.0.0".parse().unwrap()));
        assert!(AddressSet::default().is_empty() && !set.is_empty());
        let one = AddressSet::by_longest_prefix([("::1".parse().unwrap(), true)], false);
        assert!(!one.is_empty() && one.contains("::1".parse().unwrap()));
    }
}
