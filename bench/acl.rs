//! What a look-up in an ACL costs, by the number of networks: `cargo bench --bench acl`. Each look-up waits for the one before,
//! as a request does.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use portcullis::base::cidr::{AddressSet, Cidr};

/// Look-ups measured at a time, and addresses that they go through: more than a cache near the core holds.
const LOOK_UPS: u32 = 2_000_000;
const ADDRESSES: usize = 1 << 16;
/// The best of so many is what the machine can do.
const ROUNDS: u32 = 7;

fn main() {
    println!("| networks | family | build, ms | ns per check |\n|---:|---|---:|---:|");
    for count in [0, 10, 1_000, 100_000] {
        for (family, v6) in [("IPv4", false), ("IPv6", true)] {
            let mut random = fastrand::Rng::with_seed(7);
            let networks: Vec<(Cidr, bool)> =
                (0..count).map(|_| (network(&mut random, v6), random.u8(0..10) > 0)).collect();
            let started = Instant::now();
            let set = AddressSet::by_longest_prefix(networks.iter().copied(), false);
            let build = started.elapsed().as_secs_f64() * 1e3;
            println!("| {count} | {family} | {build:.1} | {:.1} |", nanoseconds(&set, &addresses(&mut random, v6)));
        }
    }
}

/// As lists of unwanted networks have them: single addresses and small networks all over, few large ones.
fn network(random: &mut fastrand::Rng, v6: bool) -> Cidr {
    let length = match (random.u8(0..10), v6) {
        (0..4, false) => 32,
        (0..4, true) => 64,
        (4..9, false) => random.u8(20..=24),
        (4..9, true) => random.u8(32..=48),
        (_, false) => random.u8(12..20),
        (_, true) => random.u8(24..32),
    };
    format!("{}/{length}", address(random, v6)).parse().expect("an address and a length")
}

fn addresses(random: &mut fastrand::Rng, v6: bool) -> Vec<IpAddr> {
    (0..ADDRESSES).map(|_| address(random, v6)).collect()
}

/// IPv6 addresses are spread over what has been given out, not over all there could be.
fn address(random: &mut fastrand::Rng, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::from(Ipv6Addr::from((0x2a_u128 << 120) | (random.u128(..) >> 8)))
    } else {
        IpAddr::from(Ipv4Addr::from(random.u32(..)))
    }
}

fn nanoseconds(set: &AddressSet, addresses: &[IpAddr]) -> f64 {
    let round = |_| {
        let started = Instant::now();
        let mut at = 0;
        for _ in 0..LOOK_UPS {
            // Which address comes next hangs on this one's answer.
            at = (at + 1 + usize::from(set.contains(addresses[at]))) % ADDRESSES;
        }
        black_box(at);
        started.elapsed().as_secs_f64() * 1e9 / f64::from(LOOK_UPS)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
