//! Laws of who gets requests while some endpoints are down or have just come back.

use super::*;

/// How often each endpoint is picked.
fn counts(pool: &Pool, picks: u32, asking: impl Fn(u32) -> Asking<'static>) -> Vec<u32> {
    let mut counts = vec![0; pool.endpoints.len()];
    (0..picks).for_each(|number| counts[picked(pool, &asking(number)).unwrap()] += 1);
    counts
}

fn fail(pool: &Pool, indexes: &[usize]) {
    indexes.iter().for_each(|index| pool.endpoints[*index].standing.fail());
}

fn recover(pool: &Pool, index: usize) {
    pool.endpoints[index].standing.recover(Instant::now(), None);
}

#[test]
fn what_is_down_is_not_picked_and_the_others_keep_their_shares() {
    for algorithm in Algorithm::all() {
        fastrand::seed(7);
        let pool = plain(algorithm, &[3, 1, 2, 4, 2]);
        fail(&pool, &[1, 3]);
        let counted = counts(&pool, PICKS, client);
        assert_eq!((counted[1], counted[3]), (0, 0), "{algorithm:?}");
        for (index, weight) in [(0, 3), (2, 2), (4, 2)] {
            assert!(counted[index].abs_diff(PICKS * weight / 7) <= PICKS / 100, "{algorithm:?} {counted:?}");
        }
        recover(&pool, 1);
        recover(&pool, 3);
        let counted = counts(&pool, PICKS, client);
        for (index, weight) in [(0, 3), (1, 1), (2, 2), (3, 4), (4, 2)] {
            assert!(counted[index].abs_diff(PICKS * weight / 12) <= PICKS / 100, "{algorithm:?} {counted:?}");
        }
    }
}

#[test]
fn keys_of_what_is_down_move_and_no_others_and_they_come_back() {
    for algorithm in Algorithm::all().filter(|algorithm| is_by_key(*algorithm)) {
        let pool = plain(algorithm, &[1, 1, 1, 1]);
        let places = || (0..5_000).map(|number| picked(&pool, &client(number))).collect::<Vec<_>>();
        let before = places();
        fail(&pool, &[2]);
        let meanwhile = places();
        assert!(before.iter().zip(&meanwhile).all(|(before, now)| before == now || *before == Some(2)));
        recover(&pool, 2);
        assert_eq!(places(), before);
    }
}

#[test]
fn where_too_few_are_available_all_are_asked() {
    for algorithm in Algorithm::all() {
        let pool = plain(algorithm, &[1, 1, 1, 1]);
        fail(&pool, &[0, 1]);
        let counted = counts(&pool, 1_000, client);
        assert_eq!((counted[0], counted[1]), (0, 0), "{algorithm:?}: half of them are enough");
        fail(&pool, &[2]);
        assert!(counts(&pool, 1_000, client).iter().all(|count| *count > 100), "{algorithm:?}: one of four is not");
        // What is sent again goes where it may be answered.
        let tried = [pool.endpoints[0].id];
        let index = picked(&pool, &Asking { tried: &tried, ..client(1) });
        assert_eq!(index, Some(3), "{algorithm:?}");
        let tried = [pool.endpoints[3].id];
        assert_eq!(picked(&pool, &Asking { tried: &tried, ..client(1) }), Some(3), "{algorithm:?}: of all, the best");
    }
}

#[test]
fn without_panic_whoever_is_left_gets_everything_and_nobody_left_is_no_reason_to_refuse() {
    for algorithm in Algorithm::all() {
        let mut settings = settings(&["http://10.0.0.1:1", "http://10.0.0.1:2", "http://10.0.0.1:3"]);
        (settings.balance, settings.panic) = (algorithm, 0.0);
        let pool = Pool::build(&settings, &Registry::new(), None, &Resolution::default(), None);
        fail(&pool, &[0, 2]);
        assert_eq!(counts(&pool, 1_000, client), [0, 1_000, 0], "{algorithm:?}");
        fail(&pool, &[1]);
        assert!(counts(&pool, 1_000, client).iter().all(|count| *count > 100), "{algorithm:?}");
    }
}

#[test]
fn backups_are_asked_before_what_is_down() {
    for algorithm in Algorithm::all() {
        let pool = pool(algorithm, &[(1, false), (1, false), (1, true), (1, true)]);
        fail(&pool, &[0]);
        assert_eq!(counts(&pool, 1_000, client), [0, 1_000, 0, 0], "{algorithm:?}: one is left");
        fail(&pool, &[1, 2]);
        assert_eq!(counts(&pool, 1_000, client), [0, 0, 0, 1_000], "{algorithm:?}: none is, but a backup");
        fail(&pool, &[3]);
        let counted = counts(&pool, 1_000, client);
        assert!(counted[0] > 100 && counted[1] > 100 && counted[2] + counted[3] == 0, "{algorithm:?} {counted:?}");
    }
}

#[test]
fn what_begins_slowly_gets_a_growing_part_of_its_share() {
    let slow = Some(Duration::from_secs(10));
    for algorithm in Algorithm::all() {
        fastrand::seed(7);
        let mut settings = settings(&["http://10.0.0.1:1", "http://10.0.0.1:2"]);
        (settings.balance, settings.slow_start) = (algorithm, Period::seconds(10));
        let build = |previous| Pool::build(&settings, &Registry::new(), None, &Resolution::default(), previous);
        let pool = build(None);
        assert!(pool.endpoints.iter().all(|endpoint| endpoint.standing.is_whole()), "nobody is there to help out");
        let now = Instant::now();
        fail(&pool, &[0]);
        pool.endpoints[0].standing.recover(now, slow);
        let part = |seconds| {
            let now = now + Duration::from_secs(seconds);
            counts(&pool, 10_000, |number| Asking { now, ..client(number) })[0]
        };
        // Of ten thousand five are its whole share. Whom it is not picked for, the other gets.
        for (seconds, least, most) in [(0, 300, 1_100), (5, 2_000, 3_800), (10, 4_800, 5_200)] {
            let part = part(seconds);
            assert!((least..=most).contains(&part), "{algorithm:?} after {seconds} s: {part}");
        }
        assert!(pool.endpoints[0].standing.is_whole());
    }
}

#[test]
fn what_comes_at_a_reload_begins_slowly_and_what_was_down_stays_down() {
    let both = ["http://10.0.0.1:1", "http://10.0.0.1:2"];
    let settings = |urls: &[&str]| Settings { slow_start: Period::seconds(10), ..settings(urls) };
    let build = |urls: &[&str], previous: Option<&Pool>| {
        Pool::build(&settings(urls), &Registry::new(), None, &Resolution::default(), previous)
    };
    let old = build(&both[..1], None);
    fail(&old, &[0]);
    let new = build(&both, Some(&old));
    assert!(new.endpoints[0].standing.is_down());
    assert!(new.endpoints[1].standing.is_available() && !new.endpoints[1].standing.is_whole());
    // What is noted at an endpoint is seen by every snapshot that has it.
    old.endpoints[0].standing.recover(Instant::now(), None);
    assert!(counts(&new, 1_000, client)[0] > 0);
}
