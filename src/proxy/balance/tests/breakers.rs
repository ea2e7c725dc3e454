//! Laws of breakers, with time told to them: what opens one, whom that spares, how it closes, and how many may be open.

use std::sync::Arc;

use super::breaker::{Admission, Got, Probe, State, Trial};
use super::*;
use crate::base::mode::Mode;

const SECOND: Duration = Duration::from_secs(1);

/// A pool of so many endpoints, whose breakers are like this.
fn pool_of(endpoints: usize, change: impl Fn(&mut BreakerSettings)) -> Pool {
    built(endpoints, None, |settings| settings.breaker.iter_mut().for_each(&change))
}

fn built(endpoints: usize, previous: Option<&Pool>, change: impl FnOnce(&mut Settings)) -> Pool {
    let urls: Vec<String> = (1..=endpoints).map(|number| format!("http://10.0.0.1:{number}")).collect();
    let mut settings = settings(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    change(&mut settings);
    Pool::build(&settings, &Registry::new(), None, &Resolution::default(), previous)
}

fn trial(status: u16, took: Duration) -> Trial {
    Trial { got: Got::Status(status), error: status >= 500, took, patient: false }
}

/// One request to an endpoint, which is answered so at once. Whether it was let in.
fn ask(pool: &Pool, index: usize, status: u16, now: Instant) -> bool {
    let endpoint = &pool.endpoints[index];
    let probe = match pool.admit(endpoint, now) {
        Admission::Refused => return false,
        Admission::Free => None,
        Admission::Probing(probe) => Some(probe),
    };
    pool.judge(endpoint, probe, &trial(status, Duration::from_millis(1)), now);
    true
}

fn asks(pool: &Pool, index: usize, statuses: impl IntoIterator<Item = u16>, now: Instant) {
    statuses.into_iter().for_each(|status| _ = ask(pool, index, status, now));
}

/// So many bad answers.
fn bad(count: usize) -> impl Iterator<Item = u16> {
    std::iter::repeat_n(503, count)
}

fn good(count: usize) -> impl Iterator<Item = u16> {
    std::iter::repeat_n(200, count)
}

fn state(pool: &Pool, index: usize) -> State {
    pool.endpoints[index].breaker.state()
}

fn at(now: Instant) -> Asking<'static> {
    Asking { now, ..asking(&[]) }
}

/// The moments that a test tells; none is before an endpoint was made.
fn start() -> Instant {
    Instant::now() + SECOND
}

#[test]
fn five_errors_in_a_row_open_it_and_four_do_not() {
    let (pool, now) = (pool_of(1, |_| ()), start());
    asks(&pool, 0, bad(4), now);
    asks(&pool, 0, good(1), now);
    asks(&pool, 0, bad(4), now);
    assert_eq!(state(&pool, 0), State::Closed);
    asks(&pool, 0, bad(1), now);
    assert_eq!(state(&pool, 0), State::Open);
    assert!(!ask(&pool, 0, 200, now));
    let report = pool.endpoints[0].breaker.report();
    assert_eq!((report.opened, report.changes[0].why.to_string()), (1, "5 errors in a row".into()));
    assert_eq!(report.changes[0].evidence.len(), 5);
    let pool = pool_of(1, |breaker| breaker.errors = 0);
    asks(&pool, 0, bad(19), now);
    assert_eq!(state(&pool, 0), State::Closed, "switched off");
}

#[test]
fn half_of_twenty_requests_open_it_and_nothing_less() {
    let (off, now) = (|breaker: &mut BreakerSettings| breaker.errors = 0, start());
    let pool = pool_of(1, off);
    asks(&pool, 0, good(10).chain(bad(9)), now);
    assert_eq!(state(&pool, 0), State::Closed, "nineteen say nothing");
    asks(&pool, 0, bad(1), now);
    assert_eq!(state(&pool, 0), State::Open);
    let why = pool.endpoints[0].breaker.report().changes[0].why.to_string();
    assert_eq!(why, "10 of 20 requests failed within 10s");

    let pool = pool_of(1, off);
    asks(&pool, 0, good(52).chain(bad(49)), now);
    asks(&pool, 0, bad(2), now);
    assert_eq!(state(&pool, 0), State::Closed, "51 of 103");
    asks(&pool, 0, bad(1), now);
    assert_eq!(state(&pool, 0), State::Open, "52 of 104");

    let pool = pool_of(1, |breaker| (breaker.errors, breaker.error_rate) = (0, 0.0));
    asks(&pool, 0, bad(1_000), now);
    assert_eq!(state(&pool, 0), State::Closed, "both switched off");
}

#[test]
fn what_is_longer_ago_than_the_window_does_not_count() {
    let (pool, now) = (pool_of(1, |breaker| breaker.errors = 0), start());
    asks(&pool, 0, bad(19), now);
    asks(&pool, 0, good(19).chain(bad(1)), now + SECOND * 10);
    assert_eq!(state(&pool, 0), State::Closed, "1 of 20");
    asks(&pool, 0, bad(18), now + SECOND * 19);
    assert_eq!(state(&pool, 0), State::Open, "19 of 38");
}

#[test]
fn half_of_twenty_slow_answers_open_it_and_so_do_failures_that_took_long() {
    let now = start();
    for status in [200, 502] {
        let pool = pool_of(1, |breaker| (breaker.errors, breaker.error_rate) = (0, 0.0));
        let endpoint = &pool.endpoints[0];
        let judge = |took, patient| {
            let trial = Trial { patient, ..trial(status, took) };
            pool.judge(endpoint, None, &trial, now);
        };
        (0..10).for_each(|_| judge(SECOND * 5 - Duration::from_nanos(1), false));
        (0..10).for_each(|_| judge(SECOND * 3_600, true));
        (0..19).for_each(|_| judge(SECOND * 5, false));
        assert_eq!(state(&pool, 0), State::Closed, "19 of 39");
        judge(SECOND * 5, false);
        assert_eq!(state(&pool, 0), State::Open, "20 of 40");
        let why = endpoint.breaker.report().changes[0].why.to_string();
        assert_eq!(why, "20 of 40 requests took 5s or more within 10s");
    }
    let pool = pool_of(1, |breaker| breaker.slow = Period::seconds(0));
    (0..100).for_each(|_| _ = pool.judge(&pool.endpoints[0], None, &trial(200, SECOND * 3_600), now));
    assert_eq!(state(&pool, 0), State::Closed, "switched off");
}

#[test]
fn an_answer_that_breaks_off_is_no_good_one() {
    let (pool, now) = (pool_of(1, |_| ()), start());
    let endpoint = &pool.endpoints[0];
    let break_off = |others: &dyn Fn()| {
        let run = pool.judge(endpoint, None, &trial(200, SECOND), now);
        others();
        let broken = Trial { error: true, got: Got::Fault("backend_reset"), ..trial(0, SECOND) };
        pool.judge_broken(endpoint, (run, Duration::ZERO), &broken, now);
    };
    (0..3).for_each(|_| break_off(&|| ()));
    asks(&pool, 0, good(1), now);
    (0..2).for_each(|_| break_off(&|| ()));
    break_off(&|| break_off(&|| ()));
    assert_eq!(state(&pool, 0), State::Closed, "four since the good one");
    break_off(&|| ());
    assert_eq!(state(&pool, 0), State::Open);
}

#[test]
fn it_is_tried_after_its_time_by_one_request_and_then_by_three() {
    for algorithm in Algorithm::all() {
        let pool = built(1, None, |settings| settings.balance = algorithm);
        let now = start();
        asks(&pool, 0, bad(5), now);
        let wait = |seconds: f64| pool.pick(&at(now + Duration::from_secs_f64(seconds))).err();
        let Some(Nobody::BreakerOpen(left)) = wait(20.0) else { panic!("{:?}", wait(20.0)) };
        assert_eq!(left, SECOND * 10, "not a moment more, or a client waits for another second");
        assert!(wait(29.9).is_some());

        let now = now + SECOND * 30 + Duration::from_millis(1);
        let probe = || {
            let endpoint = pool.pick(&at(now)).ok()?;
            match pool.admit(endpoint, now) {
                Admission::Probing(probe) => Some(probe),
                other => panic!("{algorithm:?} {other:?}"),
            }
        };
        let answer = |probe, status| pool.judge(&pool.endpoints[0], probe, &trial(status, SECOND), now);
        let first = probe();
        assert!(first.is_some() && probe().is_none(), "{algorithm:?}: one at once");
        assert_eq!(wait(30.1), Some(Nobody::BreakerOpen(Duration::ZERO)), "nobody knows how long it takes");
        assert!(matches!(pool.admit(&pool.endpoints[0], now), Admission::Refused));
        drop(first);
        let first = probe();
        assert!(first.is_some(), "{algorithm:?}: its client left, so there is another");
        answer(first, 200);
        let three = [(); 3].map(|()| probe());
        assert!(three.iter().all(Option::is_some) && probe().is_none(), "{algorithm:?}");
        for (probe, expected) in three.into_iter().zip([State::HalfOpen, State::HalfOpen, State::Closed]) {
            answer(probe, 404);
            assert_eq!(state(&pool, 0), expected);
        }
        assert!(pool.endpoints[0].standing.is_whole());
        asks(&pool, 0, bad(4), now);
        assert_eq!(state(&pool, 0), State::Closed, "what was before does not count");
    }
}

#[test]
fn a_probe_that_fails_or_is_slow_opens_it_again_for_twice_as_long() {
    for bad_probe in [trial(500, Duration::ZERO), trial(200, SECOND * 5)] {
        let pool = pool_of(1, |_| ());
        let mut now = start();
        asks(&pool, 0, bad(5), now);
        for seconds in [30, 60, 120, 240, 300, 300] {
            assert!(!ask(&pool, 0, 200, now + SECOND * seconds - Duration::from_millis(1)));
            now += SECOND * seconds;
            let Admission::Probing(probe) = pool.admit(&pool.endpoints[0], now) else { panic!("{seconds}") };
            pool.judge(&pool.endpoints[0], Some(probe), &bad_probe, now);
            assert_eq!(state(&pool, 0), State::Open, "{seconds}");
        }
        let report = pool.endpoints[0].breaker.report();
        assert_eq!((report.opened, report.changes.len()), (7, 8));
        assert_eq!(report.changes[7].evidence.len(), 1, "the probe");
    }
}

#[test]
fn an_open_one_is_spared_and_the_others_keep_their_shares() {
    let now = start();
    for algorithm in Algorithm::all() {
        fastrand::seed(7);
        let pool = plain(algorithm, &[3, 1, 2, 4]);
        asks(&pool, 3, bad(5), now);
        let mut counts = [0_u32; 4];
        (0..PICKS).for_each(|number| {
            counts[picked(&pool, &Asking { now: now + SECOND, ..client(number) }).unwrap()] += 1;
        });
        assert_eq!(counts[3], 0, "{algorithm:?}");
        for (index, weight) in [(0, 3), (1, 1), (2, 2)] {
            assert!(counts[index].abs_diff(PICKS * weight / 6) <= PICKS / 100, "{algorithm:?} {counts:?}");
        }
        // Nobody else is left, and panic does not make it an endpoint that answers.
        (0..3).for_each(|index| pool.endpoints[index].standing.fail());
        assert!(
            (0..1_000).all(|number| picked(&pool, &Asking { now, ..client(number) }).is_some_and(|index| index < 3))
        );
        let tried: Vec<u64> = pool.endpoints[..3].iter().map(|endpoint| endpoint.id).collect();
        let again = picked(&pool, &Asking { tried: &tried, now, ..client(1) });
        assert!(again.is_some_and(|index| index < 3), "{algorithm:?}: one that was asked is better");
    }
}

#[test]
fn half_of_a_pool_may_be_open_and_one_at_least() {
    let now = start();
    for (endpoints, most) in [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)] {
        let pool = pool_of(endpoints, |_| ());
        (0..endpoints).for_each(|index| asks(&pool, index, bad(100), now));
        let open = (0..endpoints).filter(|index| state(&pool, *index) == State::Open).count();
        assert_eq!(open, most, "of {endpoints}");
        // Once it is closed, or nobody asks it any more, another may open.
        let later = now + SECOND * 40;
        (0..4).for_each(|_| assert!(ask(&pool, 0, 200, later)));
        assert_eq!(state(&pool, 0), State::Closed);
        asks(&pool, endpoints - 1, bad(5), later);
        assert_eq!(state(&pool, endpoints - 1), State::Open, "of {endpoints}");
    }
}

#[test]
fn a_reload_keeps_it_and_the_new_numbers_hold() {
    let now = start();
    let old = pool_of(4, |_| ());
    asks(&old, 0, bad(5), now);
    asks(&old, 1, bad(5), now);
    let new = built(4, Some(&old), |settings| {
        settings.breaker.iter_mut().for_each(|breaker| (breaker.errors, breaker.open) = (2, Period::seconds(60)));
    });
    new.settle();
    assert_eq!([0, 1, 2].map(|index| state(&new, index)), [State::Open, State::Open, State::Closed]);
    asks(&new, 2, bad(100), now);
    assert_eq!(state(&new, 2), State::Closed, "the places are taken, by whatever snapshot");
    asks(&new, 0, bad(1), now + SECOND * 30);
    assert!(!ask(&new, 0, 200, now + SECOND * 89) && ask(&new, 0, 200, now + SECOND * 90));

    // One goes, and one gets no more requests: both places are free.
    old.endpoints[0].remove();
    let fewer = built(4, Some(&new), |settings| {
        settings.backends.remove(0);
        settings.backends[0].weight = 0;
    });
    fewer.settle();
    assert_eq!((state(&fewer, 0), fewer.endpoints[0].id), (State::Closed, old.endpoints[1].id));
    asks(&fewer, 0, bad(100), now);
    assert_eq!(state(&fewer, 0), State::Closed, "it is not asked");
    asks(&fewer, 1, bad(5), now + SECOND * 2);
    assert_eq!(state(&fewer, 1), State::Open);
}

#[test]
fn switched_off_it_closes_and_counts_no_more() {
    let now = start();
    let old = pool_of(2, |_| ());
    asks(&old, 0, bad(5), now);
    let new = built(2, Some(&old), |settings| settings.breaker = None);
    assert!(old.endpoints[0].standing.is_shut(), "not before it is live");
    new.settle();
    assert!(new.endpoints[0].standing.is_whole() && new.breaker_mode().is_none());
    asks(&new, 0, bad(100), now);
    assert_eq!(state(&new, 0), State::Closed);
    let again = built(2, Some(&new), |_| ());
    again.settle();
    asks(&again, 0, bad(5), now);
    assert_eq!(state(&again, 0), State::Open);
}

#[test]
fn observed_only_it_keeps_nobody_away_and_tells_the_same() {
    let observing = |settings: &mut Settings| {
        settings.breaker.iter_mut().for_each(|breaker| breaker.mode = Mode::Observe);
    };
    let (pool, now) = (built(1, None, observing), start());
    asks(&pool, 0, bad(5), now);
    assert_eq!(state(&pool, 0), State::Open);
    assert!(pool.endpoints[0].standing.is_whole());
    assert!((0..100).all(|_| ask(&pool, 0, 200, now)));
    assert_eq!(state(&pool, 0), State::Open, "what is not its probe says nothing");
    assert!((0..4).all(|_| ask(&pool, 0, 200, now + SECOND * 30)));
    assert_eq!(state(&pool, 0), State::Closed);

    asks(&pool, 0, bad(5), now + SECOND * 40);
    let enforcing = built(1, Some(&pool), |_| ());
    enforcing.settle();
    assert!(enforcing.endpoints[0].standing.is_shut(), "from then on");
    let observing = built(1, Some(&enforcing), observing);
    observing.settle();
    assert!(!observing.endpoints[0].standing.is_shut());
}

#[test]
fn one_that_closes_begins_slowly_where_the_pool_does() {
    let (pool, now) = (built(2, None, |settings| settings.slow_start = Period::seconds(10)), start());
    asks(&pool, 0, bad(5), now);
    (0..4).for_each(|_| assert!(ask(&pool, 0, 200, now + SECOND * 30)));
    let standing = &pool.endpoints[0].standing;
    assert!(standing.is_available() && !standing.is_whole());
    let warmth = standing.warmth(now + SECOND * 35, pool.slow_start());
    assert!((0.45..=0.55).contains(&warmth), "{warmth}");
}

/// Whatever is answered in whatever order: no more than half are open, and nobody is picked who lets nothing through.
#[test]
fn in_any_order_the_cap_holds_and_nobody_is_picked_in_vain() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let endpoints = random.usize(1..6);
        let (pool, mut now) = (pool_of(endpoints, |_| ()), start());
        let mut flying: Vec<(usize, Option<Probe>)> = Vec::new();
        for _ in 0..2_000 {
            now += Duration::from_millis(random.u64(0..500));
            if random.bool() || flying.is_empty() {
                let Some(index) = picked(&pool, &at(now)) else { continue };
                match pool.admit(&pool.endpoints[index], now) {
                    Admission::Refused => panic!("{seed}: picked in vain"),
                    Admission::Free => flying.push((index, None)),
                    Admission::Probing(probe) => flying.push((index, Some(probe))),
                }
            } else {
                let (index, probe) = flying.swap_remove(random.usize(0..flying.len()));
                // The first one fails most of the time, and some clients leave.
                let status = if random.usize(0..4) > 0 && index == 0 || random.usize(0..4) == 0 { 500 } else { 200 };
                if random.usize(0..8) > 0 {
                    pool.judge(&pool.endpoints[index], probe, &trial(status, SECOND), now);
                }
            }
            let shut = pool.endpoints.iter().filter(|one| one.standing.is_shut());
            let busy = shut.filter(|one| one.breaker.wait(now) > Duration::ZERO).count();
            assert!(busy <= (endpoints / 2).max(1), "{seed}: {busy} of {endpoints}");
            let agree = |one: &Arc<Endpoint>| one.standing.is_shut() != one.breaker.is_closed();
            assert!(pool.endpoints.iter().all(agree), "{seed}");
        }
        drop(flying);
        let mut quiet = now;
        for _ in 0..100 {
            quiet += SECOND * 300;
            (0..endpoints).for_each(|index| _ = ask(&pool, index, 200, quiet));
        }
        assert!((0..endpoints).all(|index| state(&pool, index) == State::Closed), "{seed}: all recover");
    }
}
