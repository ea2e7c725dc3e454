//! Limits as a config has them, over requests and reloads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::proxy::message::Fields;

fn limit(rate: &str, burst: u32, key: Key) -> LimitSettings {
    LimitSettings { rate: rate.parse().unwrap(), burst, key }
}

fn header(name: &str) -> Key {
    Key::Header(name.to_owned())
}

fn built(settings: &Settings, previous: Option<&RateLimits>) -> RateLimits {
    RateLimits::build(settings, &Arc::default(), previous)
}

fn own(limits: &[LimitSettings]) -> RouteSettings {
    RouteSettings::Own(limits.to_vec())
}

/// One request: who, to which host, with which value of `x-key`.
#[derive(Clone, Copy)]
struct Sent<'a>(&'a str, &'a str, Option<&'a str>);

/// Whether a request passes the limits of its client and route, and then that of all.
fn passes(limits: &RateLimits, route: &RouteLimits, sent: Sent<'_>, at: Instant) -> bool {
    let mut fields = Fields::default();
    if let Some(value) = sent.2 {
        fields.add(b"X-Key", value.as_bytes());
    }
    let asked = Asked { client: sent.0.parse().unwrap(), host: sent.1, fields: &fields };
    limits.check(route, &asked, at).and_then(|()| limits.check_all(route, &asked, at)).is_ok()
}

const ONE: Sent<'_> = Sent("10.0.0.1", "a.example", Some("k1"));

#[test]
fn each_key_has_buckets_of_its_own() {
    let limits = built(&Settings::default(), None);
    let now = Instant::now();
    for (key, others, same) in [
        (Key::Ip, Sent("10.0.0.2", "a.example", Some("k1")), Sent("10.0.0.1", "b.example", Some("k2"))),
        (Key::Host, Sent("10.0.0.1", "b.example", Some("k1")), Sent("10.0.0.2", "a.example", Some("k2"))),
        (header("x-key"), Sent("10.0.0.1", "a.example", Some("k2")), Sent("10.0.0.2", "b.example", Some("k1"))),
    ] {
        let route = limits.of_route(&own(&[limit("1/h", 1, key.clone())]), None);
        assert!(passes(&limits, &route, ONE, now), "{key}");
        assert!(!passes(&limits, &route, same, now), "{key}");
        assert!(passes(&limits, &route, others, now), "{key}");
    }
    let route = limits.of_route(&own(&[limit("1/h", 1, Key::Route)]), None);
    assert!(passes(&limits, &route, ONE, now));
    assert!(!passes(&limits, &route, Sent("10.0.0.2", "b.example", None), now));
    assert!(passes(&limits, &RouteLimits::default(), ONE, now), "another route");
}

#[test]
fn who_leaves_the_field_out_is_limited_as_a_client() {
    let limits = built(&Settings::default(), None);
    let route = limits.of_route(&own(&[limit("1/h", 1, header("x-key"))]), None);
    let now = Instant::now();
    assert!(passes(&limits, &route, Sent("10.0.0.1", "a", None), now));
    assert!(!passes(&limits, &route, Sent("10.0.0.1", "a", None), now));
    assert!(passes(&limits, &route, Sent("10.0.0.2", "a", None), now));
}

#[test]
fn a_client_with_a_million_values_neither_passes_nor_pushes_others_out() {
    let limits = built(&Settings::default(), None);
    let route = limits.of_route(&own(&[limit("1/h", 1, header("x-key"))]), None);
    let now = Instant::now();
    assert!(passes(&limits, &route, Sent("10.0.0.2", "a", Some("theirs")), now));
    let values = (0..100_000).map(|number| number.to_string());
    let passed = values.filter(|value| passes(&limits, &route, Sent("10.0.0.1", "a", Some(value)), now)).count();
    assert_eq!(passed, 1_001, "its share, and the one bucket of all others");
    assert!(!passes(&limits, &route, Sent("10.0.0.2", "a", Some("theirs")), now));
}

#[test]
fn a_refused_request_costs_no_token_of_all() {
    let settings = Settings {
        per_ip: Some(limit("1/h", 1, Key::Ip)),
        global: Some(limit("1/h", 3, Key::Ip)),
        ..Settings::default()
    };
    let limits = built(&settings, None);
    // Written the other way round: what is each client's own comes first.
    let route = limits.of_route(&own(&[limit("1/h", 2, Key::Route), limit("1/h", 1, header("x-key"))]), None);
    let now = Instant::now();
    assert!(passes(&limits, &route, ONE, now));
    for _ in 0..10 {
        assert!(!passes(&limits, &route, ONE, now), "by per_ip");
    }
    assert!(!passes(&limits, &route, Sent("10.0.0.2", "a", Some("k1")), now), "by the field, not by the route");
    assert!(passes(&limits, &route, Sent("10.0.0.3", "a", Some("k3")), now));
    assert!(!passes(&limits, &route, Sent("10.0.0.4", "a", Some("k4")), now), "by the route");
    let free = RouteLimits::default();
    assert!(passes(&limits, &free, Sent("10.0.0.5", "a", None), now), "one token of all is left");
    assert!(!passes(&limits, &free, Sent("10.0.0.6", "a", None), now));
}

#[test]
fn no_limit_holds_for_the_exempt_and_for_a_route_that_says_so() {
    let settings = Settings {
        per_ip: Some(limit("1/h", 1, Key::Ip)),
        global: Some(limit("1/h", 1, Key::Ip)),
        exempt: vec!["10.0.0.0/24".parse().unwrap()],
        ..Settings::default()
    };
    let limits = built(&settings, None);
    let route = limits.of_route(&own(&[limit("1/h", 1, Key::Route)]), None);
    let off = limits.of_route(&RouteSettings::Off, None);
    let now = Instant::now();
    let stranger = Sent("192.0.2.1", "a", None);
    for _ in 0..3 {
        assert!(passes(&limits, &route, ONE, now) && passes(&limits, &off, stranger, now));
        assert!(passes(&limits, &route, Sent("::ffff:10.0.0.7", "a", None), now));
    }
    assert!(passes(&limits, &route, stranger, now) && !passes(&limits, &route, stranger, now));
}

#[test]
fn buckets_outlive_reloads_as_long_as_their_quota_stays() {
    let settings = |rate: &str| Settings {
        per_ip: Some(limit(rate, 1, Key::Ip)),
        global: Some(limit("1/h", 4, Key::Ip)),
        ..Settings::default()
    };
    let now = Instant::now();
    let first = built(&settings("1/h"), None);
    let route = first.of_route(&own(&[limit("1/h", 1, header("x-key")), limit("1/h", 2, Key::Route)]), None);
    assert!(passes(&first, &route, ONE, now));

    let second = built(&Settings { exempt: vec!["192.0.2.0/24".parse().unwrap()], ..settings("1/h") }, Some(&first));
    // In another order, and with one more.
    let again = [limit("1/h", 2, Key::Route), limit("2/h", 1, header("x-key")), limit("1/h", 1, header("x-key"))];
    let kept = second.of_route(&own(&again), Some(&route));
    assert!(!passes(&second, &kept, ONE, now), "by per_ip");
    assert!(!passes(&second, &kept, Sent("10.0.0.2", "a", Some("k1")), now), "by the field");
    assert!(passes(&second, &kept, Sent("10.0.0.3", "a", Some("k3")), now));
    assert!(!passes(&second, &kept, Sent("10.0.0.4", "a", Some("k4")), now), "by the route");

    let third = built(&settings("2/h"), Some(&second));
    let free = RouteLimits::default();
    assert!(passes(&third, &free, ONE, now), "another quota begins anew");
    assert!(passes(&third, &free, Sent("10.0.0.9", "a", None), now));
    assert!(!passes(&third, &free, Sent("10.0.0.8", "a", None), now), "all together had four");
}

#[test]
fn the_time_is_that_of_the_exchange() {
    let settings = Settings { per_ip: Some(limit("10/s", 1, Key::Ip)), ..Settings::default() };
    let limits = built(&settings, None);
    let (route, start) = (RouteLimits::default(), Instant::now());
    let allowed = (0..1_000).filter(|tick| passes(&limits, &route, ONE, start + Duration::from_millis(tick * 10)));
    assert_eq!(allowed.count(), 100);
}

#[test]
fn a_penalty_is_each_clients_own_and_never_of_who_is_only_observed() {
    let settings = Settings {
        per_ip: Some(limit("1/s", 1, Key::Ip)),
        penalty: Some(PenaltySettings { factor: 10.0, max: "1h".parse().unwrap() }),
        ..Settings::default()
    };
    let route = RouteLimits::default();
    let knocking = |limits: &RateLimits| {
        let start = Instant::now();
        assert!(passes(limits, &route, ONE, start));
        (0..3).for_each(|_| assert!(!passes(limits, &route, ONE, start)));
        passes(limits, &route, ONE, start + Duration::from_secs(1))
    };
    let limits = built(&settings, None);
    assert!(!knocking(&limits));
    assert!(passes(&limits, &route, Sent("10.0.0.2", "a", None), Instant::now()));
    assert!(knocking(&built(&Settings { mode: Mode::Observe, ..settings }, None)));
}
