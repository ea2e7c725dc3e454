//! What limits have for a request, without taking any of it.

use std::net::IpAddr;
use std::time::Instant;

use super::limit::{Asked, Left};
use super::{RateLimits, RouteLimits};
use crate::base::cidr::Cidr;

/// What the limits would say to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The limits of its client and of its route, in the order in which they are asked: the first that makes it wait refuses it.
    pub own: Vec<Left>,
    /// The limit of all together, which is asked where nothing else refuses.
    pub all: Option<Left>,
    /// Why none holds for it, where there would be some.
    pub exempt: Option<Exempt>,
}

/// Why no limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// The route says so.
    Route,
    /// The client is in this network.
    Client(Cidr),
}

impl RateLimits {
    /// What [`check`](Self::check) and [`check_all`](Self::check_all) would say at `at`.
    pub fn look(&self, route: &RouteLimits, asked: &Asked<'_>, at: Instant) -> Look {
        let any = self.global.is_some() || self.of_client(route).next().is_some();
        if !self.holds(route, asked.client) {
            return Look { exempt: self.exempt(asked.client).filter(|_| any), ..Look::default() };
        }
        let check = self.check_at(at);
        Look {
            own: self.of_client(route).map(|limit| limit.look(asked, check)).collect(),
            all: self.global.as_ref().map(|limit| limit.look(asked, check)),
            exempt: None,
        }
    }

    /// Why none holds, where none does.
    fn exempt(&self, client: IpAddr) -> Option<Exempt> {
        let network = self.exempt.iter().find(|network| network.contains(client));
        Some(network.map_or(Exempt::Route, |network| Exempt::Client(*network)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Key, LimitSettings, PenaltySettings, RouteSettings, Settings};
    use super::*;
    use crate::base::period::Period;
    use crate::proxy::message::Fields;

    fn limit(rate: &str, burst: u32, key: Key) -> LimitSettings {
        LimitSettings { rate: rate.parse().unwrap(), burst, key }
    }

    /// Whatever was asked before: a look says what the next request gets, and changes nothing.
    #[test]
    fn a_look_foretells_what_is_then_said() {
        let settings = Settings {
            global: Some(limit("100/h", 90, Key::Route)),
            per_ip: Some(limit("2/s", 3, Key::Ip)),
            exempt: vec!["192.0.2.0/30".parse().unwrap()],
            penalty: Some(PenaltySettings { factor: 2.0, max: Period::seconds(60) }),
            ..Settings::default()
        };
        let limits = RateLimits::build(&settings, &std::sync::Arc::default(), None);
        let own = vec![limit("5/m", 8, Key::Host), limit("1/s", 2, Key::Header("x-key".into()))];
        let routes = [
            limits.of_route(&RouteSettings::Own(own), None),
            limits.of_route(&RouteSettings::Own(Vec::new()), None),
            limits.of_route(&RouteSettings::Off, None),
        ];
        let mut random = fastrand::Rng::with_seed(3);
        let mut at = Instant::now();
        let mut refused = [0, 0];
        for _ in 0..3_000 {
            at += Duration::from_millis(random.u64(..300));
            let mut fields = Fields::default();
            if random.bool() {
                fields.add(b"x-key", &[random.u8(b'a'..=b'c')]);
            }
            let client = [192, 0, 2, random.u8(2..8)].into();
            let asked = Asked { client, host: ["a", "b"][random.usize(..2)], fields: &fields };
            let route = &routes[random.usize(..3)];
            let look = limits.look(route, &asked, at);
            assert_eq!(look, limits.look(route, &asked, at), "a look changes nothing");
            let waits = look.own.iter().find_map(|left| left.wait);
            let said = limits.check(route, &asked, at);
            assert_eq!(said.is_err(), waits.is_some(), "{look:?} {said:?}");
            assert!(look.own.iter().all(|left| left.wait.is_some() || left.left > 0), "{look:?}");
            refused[0] += usize::from(said.is_err());
            if said.is_ok() {
                let said = limits.check_all(route, &asked, at);
                assert_eq!(said.is_err(), look.all.is_some_and(|left| left.wait.is_some()), "{said:?}");
                refused[1] += usize::from(said.is_err());
            }
            assert_eq!(look.exempt.is_some(), look.own.is_empty(), "per_ip holds for everybody else");
        }
        assert!(refused.iter().all(|count| *count > 100), "{refused:?}");
    }

    #[test]
    fn who_is_exempt_is_told_why() {
        let settings = Settings {
            per_ip: Some(limit("2/s", 3, Key::Ip)),
            exempt: vec!["192.0.2.0/30".parse().unwrap()],
            ..Settings::default()
        };
        let limits = RateLimits::build(&settings, &std::sync::Arc::default(), None);
        let fields = Fields::default();
        let look = |route: &RouteSettings, client: [u8; 4]| {
            let asked = Asked { client: client.into(), host: "a", fields: &fields };
            limits.look(&limits.of_route(route, None), &asked, Instant::now())
        };
        let own = RouteSettings::default();
        assert_eq!(look(&own, [192, 0, 2, 1]).exempt, Some(Exempt::Client("192.0.2.0/30".parse().unwrap())));
        assert_eq!(look(&RouteSettings::Off, [192, 0, 2, 9]).exempt, Some(Exempt::Route));
        let left = look(&own, [192, 0, 2, 9]).own.remove(0);
        assert_eq!((left.name.as_str(), left.left, left.wait), ("per_ip", 3, None));
    }
}
