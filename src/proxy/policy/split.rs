//! Weighted splits: one route, several pools, for canaries and for switching from one version to another.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::hex::hex;
use crate::base::settings::{Node, Setting, Shape};
use crate::base::stable;
use crate::proxy::message::{Name, Request};

/// The cookie of [`SplitBy::Cookie`]. What it holds means nothing but a place among the shares.
const COOKIE: &[u8] = b"portcullis_split";

/// The odd number next to 2^64 divided by the golden ratio: multiples of it fall evenly into every part of the whole.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// `split_by`: what stays with one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SplitBy {
    /// `"request"`: nothing; each request is shared out anew.
    #[default]
    Request,
    /// `"ip"`: a client address, for as long as the shares stay. IPv6 addresses by their /64.
    Ip,
    /// `"cookie"`: a browser, which is given a cookie.
    Cookie,
}

/// The shares of one route.
#[derive(Clone, Debug)]
pub struct Split<T> {
    /// Each target with the end of its share.
    ends: Box<[(u64, T)]>,
    by: SplitBy,
    seed: u64,
    turn: Arc<AtomicU64>,
}

/// What was chosen.
#[derive(Debug)]
pub struct Choice<'a, T> {
    /// The target.
    pub target: &'a T,
    /// The cookie that the client is to be given.
    pub cookie: Option<[u8; 16]>,
}

impl<T> Split<T> {
    /// Shares by weight, at least one of them above 0. Splits of other names place the same client elsewhere.
    pub fn new(name: &str, shares: impl IntoIterator<Item = (u32, T)>, by: SplitBy) -> Self {
        let mut end = 0;
        let ends = shares.into_iter().map(|(weight, target)| {
            end += u64::from(weight);
            (end, target)
        });
        Self { ends: ends.collect(), by, seed: stable::hash(name.as_bytes()), turn: Arc::default() }
    }

    /// Every target.
    pub fn targets(&self) -> impl Iterator<Item = &T> {
        self.ends.iter().map(|(_, target)| target)
    }

    /// The same shares of what `change` makes of each target.
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> Split<U> {
        let ends = self.ends.iter().map(|(end, target)| (*end, change(target))).collect();
        Split { ends, by: self.by, seed: self.seed, turn: Arc::clone(&self.turn) }
    }

    /// Chooses for one request. `fresh` makes the number of a new cookie. `None` only where every weight is 0.
    pub fn choose(&self, request: &Request, client: IpAddr, fresh: impl FnOnce() -> u64) -> Option<Choice<'_, T>> {
        let mut cookie = None;
        let point = match self.settled(request, client) {
            Some(point) => point,
            None if self.by == SplitBy::Cookie => self.place_of(cookie.insert(hex(fresh()))),
            None => self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN),
        };
        self.at(point).map(|target| Choice { target, cookie })
    }

    /// The target of a request where that is settled by who sends it, or since there is but one. Takes no turn.
    pub fn foresee(&self, request: &Request, client: IpAddr) -> Option<&T> {
        let mut shares = self.shares().filter(|(weight, _)| *weight > 0).map(|(_, target)| target);
        let only = shares.next().filter(|_| shares.next().is_none());
        only.or_else(|| self.at(self.settled(request, client)?))
    }

    /// Every target with its weight.
    pub fn shares(&self) -> impl Iterator<Item = (u64, &T)> {
        let starts = [0].into_iter().chain(self.ends.iter().map(|(end, _)| *end));
        self.ends.iter().zip(starts).map(|((end, target), start)| (end - start, target))
    }

    /// What stays with one target.
    pub fn by(&self) -> SplitBy {
        self.by
    }

    /// Where in the whole a request is by who sends it; none where each request is shared out anew, or the client is not known.
    fn settled(&self, request: &Request, client: IpAddr) -> Option<u64> {
        match self.by {
            SplitBy::Request => None,
            SplitBy::Ip => Some(self.place_of_client(client)),
            SplitBy::Cookie => known(request).map(|value| self.place_of(value)),
        }
    }

    fn place_of_client(&self, client: IpAddr) -> u64 {
        match client {
            IpAddr::V4(address) => self.place_of(&address.octets()),
            IpAddr::V6(address) => self.place_of(&address.octets()[..8]),
        }
    }

    /// Where in the whole a client is: for each split somewhere else.
    fn place_of(&self, client: &[u8]) -> u64 {
        stable::mix(stable::hash(client) ^ self.seed)
    }

    /// Whose share a point of the whole, 0 to 2^64, lies in.
    fn at(&self, point: u64) -> Option<&T> {
        let (total, _) = self.ends.last()?;
        let place = ((u128::from(point) * u128::from(*total)) >> 64) as u64;
        self.ends.iter().find(|(end, _)| place < *end).map(|(_, target)| target)
    }
}

/// The value of the client's cookie, where it is one of ours.
fn known(request: &Request) -> Option<&[u8]> {
    let cookies = request.fields.all(Name::Cookie).flat_map(|field| field.split(|byte| *byte == b';'));
    let value = cookies.filter_map(|cookie| cookie.trim_ascii().strip_prefix(COOKIE)?.strip_prefix(b"=")).next()?;
    (value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit)).then_some(value)
}

/// The `Set-Cookie` that gives a client its cookie.
pub fn set_cookie(value: &[u8; 16], secure: bool) -> Vec<u8> {
    let end: &[u8] =
        if secure { b"; Path=/; HttpOnly; SameSite=Lax; Secure" } else { b"; Path=/; HttpOnly; SameSite=Lax" };
    [COOKIE, b"=", value, end].concat()
}

impl Setting for SplitBy {
    fn shape() -> Shape {
        Shape::Choice(vec!["request", "ip", "cookie"])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&[("request", Self::Request), ("ip", Self::Ip), ("cookie", Self::Cookie)])
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Request => "request".into(),
            Self::Ip => "ip".into(),
            Self::Cookie => "cookie".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn split(shares: &[(u32, &'static str)], by: SplitBy) -> Split<&'static str> {
        Split::new("route", shares.iter().copied(), by)
    }

    fn asks(cookies: &[&str]) -> Request {
        let mut request = Request::default();
        cookies.iter().for_each(|cookie| request.fields.add(b"cookie", cookie.as_bytes()));
        request
    }

    fn client(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    fn counts(split: &Split<&'static str>, requests: u32) -> HashMap<&'static str, u32> {
        let mut counts = HashMap::new();
        for number in 0..requests {
            let choice = split.choose(&asks(&[]), client(number), || u64::from(number) * 7919).unwrap();
            *counts.entry(*choice.target).or_default() += 1;
        }
        counts
    }

    #[test]
    fn requests_are_shared_out_by_weight() {
        let counts = counts(&split(&[(90, "stable"), (0, "none"), (10, "canary")], SplitBy::Request), 10_000);
        assert!((8_995..=9_005).contains(&counts["stable"]), "{counts:?}");
        assert_eq!((counts["stable"] + counts["canary"], counts.get("none")), (10_000, None));
    }

    #[test]
    fn clients_and_browsers_are_shared_out_by_weight_too() {
        for by in [SplitBy::Ip, SplitBy::Cookie] {
            let counts = counts(&split(&[(3, "a"), (1, "b")], by), 40_000);
            assert!((29_400..30_600).contains(&counts["a"]), "{by:?} {counts:?}");
        }
    }

    #[test]
    fn what_is_foreseen_is_chosen_and_takes_no_turn() {
        let mut foreseen = 0;
        for by in [SplitBy::Request, SplitBy::Ip, SplitBy::Cookie] {
            for shares in [&[(3, "a"), (1, "b")][..], &[(0, "a"), (1, "b")]] {
                let (split, unasked) = (split(shares, by), split(shares, by));
                for number in 0..400 {
                    let request = asks(if number % 2 == 0 { &["portcullis_split=0123456789abcdef"] } else { &[] });
                    let seen = split.foresee(&request, client(number)).copied();
                    let chosen = split.choose(&request, client(number), || u64::from(number) * 7919).unwrap();
                    let undisturbed = unasked.choose(&request, client(number), || u64::from(number) * 7919).unwrap();
                    assert_eq!((chosen.target, chosen.cookie), (undisturbed.target, undisturbed.cookie));
                    let settled = by == SplitBy::Ip || shares[0].0 == 0 || (by == SplitBy::Cookie && number % 2 == 0);
                    assert_eq!(seen, settled.then_some(*chosen.target), "{by:?} {shares:?} {number}");
                    foreseen += u32::from(settled);
                }
            }
        }
        assert_eq!(foreseen, 1_800);
        let split = split(&[(90, "stable"), (0, "none"), (10, "canary")], SplitBy::Ip);
        let shares: Vec<_> = split.shares().collect();
        assert_eq!(shares, [(90, &"stable"), (0, &"none"), (10, &"canary")]);
    }

    #[test]
    fn a_client_stays_and_moves_only_with_its_share() {
        let before = split(&[(90, "stable"), (10, "canary")], SplitBy::Ip);
        let after = split(&[(80, "stable"), (20, "canary")], SplitBy::Ip);
        let mut moved = 0;
        for number in 0..10_000 {
            let of = |split: &Split<&'static str>| *split.choose(&asks(&[]), client(number), || 0).unwrap().target;
            assert_eq!(of(&before), of(&before));
            assert!(of(&before) == "stable" || of(&after) == "canary", "nobody moves back");
            moved += u32::from(of(&before) != of(&after));
        }
        assert!((850..1_150).contains(&moved), "{moved}");
        let near = |last: u16| IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last));
        assert_eq!(before.place_of_client(near(1)), before.place_of_client(near(2)), "one /64");
    }

    #[test]
    fn a_cookie_keeps_a_browser_where_it_is() {
        let split = split(&[(1, "a"), (1, "b")], SplitBy::Cookie);
        for number in 0..100u64 {
            let first = split.choose(&asks(&["x=1"]), client(1), || number.wrapping_mul(GOLDEN)).unwrap();
            let value = String::from_utf8(first.cookie.unwrap().to_vec()).unwrap();
            let again =
                split.choose(&asks(&["x=1", &format!("y=2; portcullis_split={value}")]), client(2), || 0).unwrap();
            assert_eq!((again.target, again.cookie), (first.target, None));
        }
        for wrong in [
            "portcullis_split=",
            "portcullis_split=zzzzzzzzzzzzzzzz",
            "portcullis_split=0123",
            "portcullis_splitt=0123456789abcdef",
        ] {
            assert!(split.choose(&asks(&[wrong]), client(1), || 1).unwrap().cookie.is_some(), "{wrong}");
        }
        let text = |secure| String::from_utf8(set_cookie(b"0123456789abcdef", secure)).unwrap();
        assert_eq!(text(true), "portcullis_split=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert!(!text(false).contains("Secure"));
    }

    #[test]
    fn all_of_it_may_go_to_one() {
        let split = split(&[(0, "blue"), (100, "green")], SplitBy::Request);
        assert_eq!(counts(&split, 100), HashMap::from([("green", 100)]));
        assert!(Split::new("none", [(0, "a")], SplitBy::Request).choose(&asks(&[]), client(1), || 0).is_none());
    }
}
