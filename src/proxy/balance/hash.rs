//! Consistent hashing: the same key goes to the same endpoint, on every gateway with the same endpoints and after every restart,
//! and where an endpoint comes or goes, only the keys that it gets or had move.
//!
//! Keys fall into slots, always as many, and each slot belongs to the endpoint that wins it by weighted rendezvous hashing: each
//! draws a number out of the slot's and its own name, and the largest for the weight wins. So whoever leaves gives away its own
//! slots only. The winners stand in a table, so that a pick costs the same whatever the number of endpoints.

use std::sync::Arc;

use super::asking::{Members, Pick};
use super::foresight::Foresight;
use super::key::Key;
use super::{Address, Balancer, Endpoint, HashBy, round_robin::RoundRobin};
use crate::base::stable;

/// How many slots there are, in bits: with 3 endpoints the shares are within half a percent, with 100 within a few of theirs.
const SLOT_BITS: u32 = 16;

/// `hash` and `ip_hash`.
#[derive(Debug)]
pub(super) struct Hash {
    key: Key,
    contest: Contest,
    /// Whose each slot is. Empty where there is no choice.
    owners: Box<[u16]>,
    /// For requests without a key.
    order: RoundRobin,
}

impl Hash {
    pub(super) fn new(members: &Members, by: &HashBy) -> Self {
        let contest = Contest::new(members);
        let slots = if members.count() > 1 { 0..1_u64 << SLOT_BITS } else { 0..0 };
        let owner = |slot| contest.winner(slot, |_| true).unwrap_or(0) as u16;
        let owners = slots.map(owner).collect();
        Self { key: Key::of(by), owners, contest, order: RoundRobin::new(members.weights()) }
    }
}

impl Balancer for Hash {
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        match self.key.hash(pick.asking) {
            Some(hash) => self.owner(hash, members, pick),
            None => self.order.pick(members, pick),
        }
    }

    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight {
        match self.key.hash(pick.asking) {
            Some(hash) => Foresight { pick: self.owner(hash, members, pick), scores: None },
            None => self.order.foresee(members, pick),
        }
    }
}

impl Hash {
    /// Whose a key is.
    fn owner(&self, hash: u64, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        let slot = hash >> (u64::BITS - SLOT_BITS);
        // Where an endpoint begins slowly, the same keys go there first each time.
        let pick = &pick.of_key(stable::mix(hash));
        let owner = self.owners.get(slot as usize).map_or(0, |owner| usize::from(*owner));
        if owner < members.count() && members.may(owner, pick) {
            return Some(owner);
        }
        // The next in line for this slot: everybody who sends again goes to the same one.
        self.contest.winner(slot, |index| members.may(index, pick))
    }
}

/// Who takes part in the contest for slots.
#[derive(Debug)]
struct Contest(Vec<Contestant>);

#[derive(Debug)]
struct Contestant {
    /// A number made of its name.
    seed: u64,
    weight: u32,
    index: u16,
}

impl Contest {
    /// Every member; of more than the table can tell apart, which are as many as it has slots, the first.
    fn new(members: &Members) -> Self {
        let weighted = members.endpoints().iter().zip(members.weights());
        let contestant = |(index, (endpoint, weight)): (u16, (&Arc<Endpoint>, &u32))| Contestant {
            seed: seed(endpoint),
            weight: *weight,
            index,
        };
        let mut list: Vec<Contestant> = (0..=u16::MAX).zip(weighted).map(contestant).collect();
        list.sort_by_key(|contestant| contestant.weight);
        Self(list)
    }

    /// Who wins a slot among those that `may`.
    fn winner(&self, slot: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let number = stable::mix(slot + 1);
        let mut best: Option<(f64, u16)> = None;
        // Of contestants of one weight the largest number wins; only the winners of each weight are held against each other.
        for alike in self.0.chunk_by(|a, b| a.weight == b.weight) {
            let drawn = alike.iter().filter(|one| may(usize::from(one.index)));
            let drawn = drawn.map(|one| (stable::mix(number ^ one.seed), one.seed, one.index, one.weight));
            let Some((hash, _, index, weight)) = drawn.max() else { continue };
            let length = arrival(hash, weight);
            if best.is_none_or(|(least, _)| length < least) {
                best = Some((length, index));
            }
        }
        best.map(|(_, index)| usize::from(index))
    }
}

/// When something that happens as often as the weight says happens first, by a random number. The larger the number, the sooner.
fn arrival(hash: u64, weight: u32) -> f64 {
    let part = (hash as f64 + 1.0) / (u64::MAX as f64 + 2.0);
    -part.ln() / f64::from(weight)
}

/// A number that an endpoint has on every gateway. A relative path of a socket is another file on each, but the same backend.
fn seed(endpoint: &Endpoint) -> u64 {
    let url = stable::hash(endpoint.url.text.as_bytes());
    match &endpoint.address {
        Address::Tcp(address) => stable::mix(url ^ stable::hash(address.to_string().as_bytes())),
        Address::Unix(_) => stable::mix(url),
    }
}
