//! One table of laws for all algorithms: whom they may pick, in what shares, and what slow endpoints get.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::*;
use crate::base::metrics::Registry;
use crate::base::period::Period;
use crate::base::place::{At, Place};
use crate::proxy::message::Request;

mod availability;

/// Enough that shares are seen to half a percent.
const PICKS: u32 = 100_000;

/// Settings of a pool of these backends, each of weight 2.
pub(super) fn settings(urls: &[&str]) -> Settings {
    let backend = |url: &&str| BackendSettings {
        url: At::new(url.parse::<BackendUrl>().unwrap(), Place::default()),
        weight: 2,
        backup: false,
    };
    Settings {
        name: At::new("p".into(), Place::default()),
        balance: Algorithm::RoundRobin,
        hash_by: None,
        backends: urls.iter().map(backend).collect(),
        sticky: StickySettings::default(),
        health: HealthSettings::default(),
        slow_start: Period::seconds(0),
        panic: 0.5,
        retry: RetrySettings::default(),
        queue: QueueSettings::default(),
        pool_idle: Period::seconds(55),
        pool_lifetime: Period::seconds(3_600),
        protocol: Protocol::Auto,
        send_proxy: SendProxy::Off,
        resolve: Resolve::default(),
        tls: None,
    }
}

/// A request like any other, which was at `tried`.
pub(super) fn asking(tried: &[u64]) -> Asking<'_> {
    static REQUEST: OnceLock<Request> = OnceLock::new();
    let request = REQUEST.get_or_init(Request::default);
    Asking { tried, client: [192, 0, 2, 1].into(), request, now: Instant::now() }
}

/// A request of the client with that number.
fn client(number: u32) -> Asking<'static> {
    Asking { client: IpAddr::from((0x0a00_0000 + number).to_be_bytes()), ..asking(&[]) }
}

/// A pool of endpoints with these weights; backups where it says so.
fn pool(algorithm: Algorithm, weights: &[(u16, bool)]) -> Pool {
    let urls: Vec<String> = (1..=weights.len()).map(|number| format!("http://10.0.0.1:{number}")).collect();
    let mut settings = settings(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    settings.balance = algorithm;
    for (backend, (weight, backup)) in settings.backends.iter_mut().zip(weights) {
        (backend.weight, backend.backup) = (*weight, *backup);
    }
    Pool::build(&settings, &Registry::new(), None, &Resolution::default(), None)
}

fn plain(algorithm: Algorithm, weights: &[u16]) -> Pool {
    pool(algorithm, &weights.iter().map(|weight| (*weight, false)).collect::<Vec<_>>())
}

/// Which endpoint of the pool is picked.
fn picked(pool: &Pool, asking: &Asking<'_>) -> Option<usize> {
    let id = pool.pick(asking).ok()?.id;
    pool.endpoints.iter().position(|endpoint| endpoint.id == id)
}

fn is_by_key(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::IpHash | Algorithm::Hash)
}

#[test]
fn there_are_eight_algorithms() {
    let names: Vec<_> = Algorithm::all().map(Algorithm::name).collect();
    let known = ["round_robin", "random", "least_connections", "ip_hash", "hash", "p2c", "ewma", "adaptive"];
    assert_eq!(names, known);
}

#[test]
fn none_and_one() {
    for algorithm in Algorithm::all() {
        assert_eq!(picked(&plain(algorithm, &[]), &client(1)), None, "{algorithm:?}");
        let one = plain(algorithm, &[3]);
        for number in 0..100 {
            assert_eq!(picked(&one, &client(number)), Some(0), "{algorithm:?}");
        }
        let again = [one.endpoints[0].id];
        let asking = Asking { tried: &again, ..client(1) };
        assert_eq!(picked(&one, &asking), Some(0), "{algorithm:?}: the same again is better than none");
    }
}

#[test]
fn what_was_tried_is_not_picked_while_there_is_another() {
    for algorithm in Algorithm::all() {
        let pool = plain(algorithm, &[1, 5, 2, 9]);
        let ids: Vec<u64> = pool.endpoints.iter().map(|endpoint| endpoint.id).collect();
        for number in 0..2_000_u32 {
            // Every set of endpoints but that of all.
            let set = number % 15;
            let tried: Vec<u64> = (0..4).filter(|index| set >> index & 1 == 1).map(|index| ids[index]).collect();
            let asking = Asking { tried: &tried, ..client(number) };
            let index = picked(&pool, &asking).unwrap();
            assert!(!tried.contains(&ids[index]), "{algorithm:?} {tried:?}");
        }
    }
}

#[test]
fn weight_0_is_never_picked_and_backups_only_when_nothing_else_is_left() {
    for algorithm in Algorithm::all() {
        let pool = pool(algorithm, &[(0, false), (2, false), (1, true), (0, true), (4, true)]);
        let tried = [pool.endpoints[1].id];
        let mut backups = [0; 5];
        for number in 0..1_000 {
            assert_eq!(picked(&pool, &client(number)), Some(1), "{algorithm:?}");
            backups[picked(&pool, &Asking { tried: &tried, ..client(number) }).unwrap()] += 1;
        }
        assert_eq!(backups[0] + backups[1] + backups[3], 0, "{algorithm:?}");
        assert!(backups[2] > 0 && backups[4] > backups[2], "{algorithm:?}: by weight among themselves, too");
        let all = [pool.endpoints[1].id, pool.endpoints[2].id, pool.endpoints[4].id];
        let last = Asking { tried: &all, ..client(1) };
        assert_eq!(picked(&pool, &last), Some(1), "{algorithm:?}: once more, no backup");
    }
    for algorithm in Algorithm::all() {
        assert_eq!(picked(&plain(algorithm, &[0, 0]), &client(1)), None, "{algorithm:?}");
        let idle = pool(algorithm, &[(0, false), (1, true)]);
        assert_eq!(picked(&idle, &client(1)), Some(1), "{algorithm:?}");
    }
}

#[test]
fn shares_are_within_one_percent_of_the_weights() {
    for algorithm in Algorithm::all() {
        for weights in [&[1, 1, 1][..], &[5, 3, 1], &[1, 256], &[2; 50], &[7, 0, 1, 1]] {
            fastrand::seed(7);
            let pool = plain(algorithm, weights);
            let mut counts = vec![0_u32; weights.len()];
            (0..PICKS).for_each(|number| counts[picked(&pool, &client(number)).unwrap()] += 1);
            let whole: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
            for (weight, count) in weights.iter().zip(&counts) {
                let expected = PICKS * u32::from(*weight) / whole;
                let off = count.abs_diff(expected);
                assert!(off <= PICKS / 100, "{algorithm:?} {weights:?} {counts:?}");
                let exact = matches!(algorithm, Algorithm::RoundRobin | Algorithm::LeastConnections);
                assert!(!exact || off <= 1, "{algorithm:?} {weights:?} {counts:?}");
            }
        }
    }
}

#[test]
fn a_key_stays_where_it_is_unless_its_endpoint_comes_or_goes() {
    const KEYS: u32 = 20_000;
    for algorithm in Algorithm::all().filter(|algorithm| is_by_key(*algorithm)) {
        for (count, weight) in [(2, 1), (3, 1), (10, 4), (40, 1)] {
            let weights =
                |count: u16| (0..count).map(|index| if index % 2 == 0 { weight } else { 1 }).collect::<Vec<_>>();
            let (fewer, more) = (plain(algorithm, &weights(count)), plain(algorithm, &weights(count + 1)));
            let whole: u32 = weights(count + 1).iter().map(|weight| u32::from(*weight)).sum();
            let last = u32::from(*weights(count + 1).last().unwrap());
            let mut moved = 0;
            for number in 0..KEYS {
                let (before, after) = (picked(&fewer, &client(number)), picked(&more, &client(number)));
                assert_eq!(after, picked(&more, &client(number)));
                if before != after {
                    moved += 1;
                    assert_eq!(after, Some(usize::from(count)), "to the new one, and nowhere else");
                }
            }
            let most = KEYS * last / whole + KEYS / 50;
            assert!(moved > 0 && moved <= most, "{algorithm:?} {count} {moved} of {KEYS}, at most {most}");
        }
    }
}

#[test]
fn a_key_has_the_same_endpoint_on_every_gateway() {
    // In another order, in another process, with other ids.
    let urls = ["http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80"];
    let build = |urls: &[&str]| {
        let settings = Settings { balance: Algorithm::IpHash, ..settings(urls) };
        Pool::build(&settings, &Registry::new(), None, &Resolution::default(), None)
    };
    let (here, there) = (build(&urls), build(&[urls[2], urls[0], urls[1]]));
    let url = |pool: &Pool, number| pool.pick(&client(number)).unwrap().url.text.clone();
    assert!((0..1_000).all(|number| url(&here, number) == url(&there, number)));
    // In another version: who changes this moves every client of everybody.
    let known: String = (0..20).map(|number| url(&here, number).chars().nth(14).unwrap()).collect();
    assert_eq!(known, "32212331222323332123");
}

/// A fleet of clients that ask again as soon as they are answered, in a time that the test tells.
struct Simulation {
    pool: Pool,
    now: Instant,
    /// When each request in flight ends, and where it is.
    flying: BinaryHeap<Reverse<(Instant, usize)>>,
    active: Vec<Vec<Active>>,
}

impl Simulation {
    fn of(algorithm: Algorithm, endpoints: usize) -> Self {
        fastrand::seed(7);
        let pool = plain(algorithm, &vec![1; endpoints]);
        let active = (0..endpoints).map(|_| Vec::new()).collect();
        Self { pool, now: Instant::now(), flying: BinaryHeap::new(), active }
    }

    /// So many clients, until there are so many answers; how many each endpoint has given. `answer` is how an endpoint answers.
    fn run(&mut self, clients: usize, answers: u32, answer: impl Fn(usize) -> (Duration, u16)) -> Vec<u32> {
        let mut counts = vec![0; self.active.len()];
        while self.flying.len() < clients {
            self.ask(&answer);
        }
        for _ in 0..answers {
            let Reverse((end, index)) = self.flying.pop().unwrap();
            self.now = end;
            let (took, status) = answer(index);
            let outcome = Outcome::Answered { status, retry_after: None };
            self.pool.endpoints[index].load.learn(self.pool.measures(), outcome, took, self.now);
            self.active[index].pop();
            counts[index] += 1;
            self.ask(&answer);
        }
        counts
    }

    fn ask(&mut self, answer: impl Fn(usize) -> (Duration, u16)) {
        let index = picked(&self.pool, &Asking { now: self.now, ..asking(&[]) }).unwrap();
        self.active[index].push(self.pool.endpoints[index].begin(None).unwrap());
        self.flying.push(Reverse((self.now + answer(index).0, index)));
    }
}

#[test]
fn an_endpoint_ten_times_as_slow_gets_less_than_a_fifth_of_its_fair_share() {
    let slow_first = |index| (Duration::from_millis(if index == 0 { 100 } else { 10 }), 200);
    for algorithm in [Algorithm::PowerOfTwo, Algorithm::Ewma, Algorithm::Adaptive, Algorithm::LeastConnections] {
        for endpoints in [3, 4, 10] {
            let mut simulation = Simulation::of(algorithm, endpoints);
            // They may take some seconds to find out.
            simulation.run(16 * endpoints, 10_000 * endpoints as u32, slow_first);
            let counts = simulation.run(16 * endpoints, 50_000, slow_first);
            let fair = 50_000 / endpoints as u32;
            assert!(counts[0] * 5 < fair, "{algorithm:?} {counts:?}");
            assert!(counts[0] > 0 || algorithm == Algorithm::Ewma, "{algorithm:?} {counts:?}: it may recover");
        }
    }
}

#[test]
fn an_endpoint_that_answers_badly_is_left_alone_and_comes_back() {
    let bad_first = |index| if index == 0 { (Duration::from_millis(1), 500) } else { (Duration::from_millis(10), 200) };
    let good = |_| (Duration::from_millis(10), 200);
    for algorithm in [Algorithm::Ewma, Algorithm::Adaptive] {
        let mut simulation = Simulation::of(algorithm, 3);
        simulation.run(8, 10_000, bad_first);
        let counts = simulation.run(8, 10_000, bad_first);
        assert!(counts[0] < 10_000 / 3 / 5, "{algorithm:?} {counts:?}: however fast it fails");
        // Two minutes are enough to be forgiven.
        simulation.run(8, 100_000, good);
        let counts = simulation.run(8, 10_000, good);
        assert!(counts[0] > 10_000 / 3 / 2, "{algorithm:?} {counts:?}");
    }
}

#[test]
fn an_endpoint_that_asks_to_be_left_alone_is() {
    let pool = plain(Algorithm::Ewma, &[1, 1, 1]);
    let now = Instant::now();
    let at = |seconds| Asking { now: now + Duration::from_secs(seconds), ..asking(&[]) };
    let busy = Outcome::Answered { status: 503, retry_after: Some(Duration::from_secs(5)) };
    for index in [0, 1] {
        pool.endpoints[index].load.learn(Measures::Peak, busy, Duration::from_millis(1), now);
    }
    let flights: Vec<Active> = (0..100).map(|_| pool.endpoints[2].begin(None).unwrap()).collect();
    assert!((0..1_000).all(|_| picked(&pool, &at(4)) == Some(2)), "however much the other one has");
    assert!((0..1_000).any(|_| picked(&pool, &at(6)) != Some(2)));
    pool.endpoints[2].load.learn(Measures::Peak, busy, Duration::from_millis(1), now);
    assert!(picked(&pool, &at(4)).is_some(), "nobody is left, so somebody is asked all the same");
    drop(flights);
    assert_eq!(pool.endpoints[2].load.active(), 0);
}

#[test]
fn the_least_connections_are_counted_by_weight() {
    let pool = plain(Algorithm::LeastConnections, &[1, 3]);
    let mut flights: Vec<Active> = Vec::new();
    let mut counts = [0; 2];
    for _ in 0..40 {
        let index = picked(&pool, &asking(&[])).unwrap();
        counts[index] += 1;
        flights.push(pool.endpoints[index].begin(None).unwrap());
    }
    assert_eq!(counts, [10, 30]);
}

#[test]
fn what_adaptive_has_learnt_outlives_a_reload_and_is_shown() {
    let mut simulation = Simulation::of(Algorithm::Adaptive, 2);
    let slow_first = |index| (Duration::from_millis(if index == 0 { 100 } else { 10 }), 200);
    simulation.run(16, 20_000, slow_first);
    let urls = ["http://10.0.0.1:1", "http://10.0.0.1:2", "http://10.0.0.1:3"];
    let settings = Settings { balance: Algorithm::Adaptive, ..settings(&urls) };
    let none = Resolution::default();
    let reloaded = Pool::build(&settings, &Registry::new(), None, &none, Some(&simulation.pool));
    let weights: Vec<f64> = reloaded.backends.iter().map(|backend| reloaded.current_weight(backend)).collect();
    assert!(weights[0] < 0.4 && weights[1..] == [2.0, 2.0], "{weights:?}");
}
