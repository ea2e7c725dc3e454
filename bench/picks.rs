//! What choosing a backend costs: nanoseconds per pick, for every algorithm.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use portcullis::base::metrics::Registry;
use portcullis::base::period::Period;
use portcullis::base::place::{At, Place};
use portcullis::proxy::balance::{
    Active, Algorithm, Asking, BackendSettings, BackendUrl, HashBy, HealthSettings, Outcome, Pool, Protocol,
    QueueSettings, Resolution, Resolve, RetrySettings, SendProxy, Settings, StickySettings,
};
use portcullis::proxy::message::Request;

const SIZES: [usize; 3] = [3, 100, 1_000];

/// Each figure is the best of so many, each of so long: the machine may be doing other things.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(50);

const ALGORITHMS: [(Algorithm, HashBy); 8] = [
    (Algorithm::RoundRobin, HashBy::Ip),
    (Algorithm::Random, HashBy::Ip),
    (Algorithm::LeastConnections, HashBy::Ip),
    (Algorithm::PowerOfTwo, HashBy::Ip),
    (Algorithm::Ewma, HashBy::Ip),
    (Algorithm::Adaptive, HashBy::Ip),
    (Algorithm::IpHash, HashBy::Ip),
    (Algorithm::Hash, HashBy::Path),
];

fn main() {
    println!("| ns per pick | {} |", SIZES.map(|size| format!("{size}, 1 thread | {size}, 2 threads")).join(" | "));
    println!("|---|{}", "---:|".repeat(2 * SIZES.len()));
    for (algorithm, by) in &ALGORITHMS {
        let figures = SIZES.map(|size| {
            let (pool, _flights) = pool(*algorithm, by, size);
            [1, 2].map(|threads| format!("{:.0}", nanoseconds(&pool, threads))).join(" | ")
        });
        println!("| {} | {} |", algorithm.name(), figures.join(" | "));
    }
}

/// A pool whose endpoints are all busy and measured.
fn pool(algorithm: Algorithm, by: &HashBy, size: usize) -> (Pool, Vec<Active>) {
    let backend = |index: usize| BackendSettings {
        url: At::new(url(index), Place::default()),
        weight: if index.is_multiple_of(3) { 2 } else { 1 },
        backup: false,
    };
    let settings = Settings {
        name: At::new("picks".to_owned(), Place::default()),
        balance: algorithm,
        hash_by: Some(At::new(by.clone(), Place::default())),
        backends: (0..size).map(backend).collect(),
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
    };
    let pool = Pool::build(&settings, &Registry::new(), None, &Resolution::default(), None);
    let mut flights = Vec::new();
    for (index, endpoint) in pool.endpoints.iter().enumerate() {
        flights.extend((0..=index % 4).filter_map(|_| endpoint.begin(None)));
        let outcome = Outcome::Answered { status: 200, retry_after: None };
        let took = Duration::from_millis(5 + index as u64 % 7);
        (0..100).for_each(|_| endpoint.load.learn(pool.measures(), outcome, took, Instant::now()));
    }
    (pool, flights)
}

fn url(index: usize) -> BackendUrl {
    let text = format!("http://10.0.{}.{}:80", index / 250, 1 + index % 250);
    text.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

/// The best of some rounds, in which each thread picks for as long as the round lasts.
fn nanoseconds(pool: &Pool, threads: usize) -> f64 {
    let round = || {
        let start = Barrier::new(threads);
        let times = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let start = &start;
                    scope.spawn(move || picks(pool, thread as u32, start))
                })
                .collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).collect::<Vec<_>>()
        });
        times.iter().sum::<f64>() / threads as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn picks(pool: &Pool, thread: u32, start: &Barrier) -> f64 {
    const BATCH: u32 = 1_000;
    let mut request = Request::default();
    let target = request.fields.store(b"/some/path/of/an/image.png");
    request.set_target(target);
    let mut number = thread << 16;
    start.wait();
    let begin = Instant::now();
    let (mut now, mut count) = (begin, 0_u64);
    while now.duration_since(begin) < ROUND {
        for _ in 0..BATCH {
            number = number.wrapping_add(1);
            let asking = Asking { tried: &[], client: IpAddr::from(number.to_be_bytes()), request: &request, now };
            _ = black_box(pool.pick(black_box(&asking)));
        }
        count += u64::from(BATCH);
        now = Instant::now();
    }
    now.duration_since(begin).as_nanos() as f64 / count as f64
}
