//! Who does the work: workers among themselves, backends by their weights.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::Gateway;
use crate::support::load::{answered, h2load};

/// The processor time that each worker had so far, in nanoseconds.
fn worker_times(gateway: &Gateway) -> [u64; 2] {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let mut times = [0; 2];
    for task in tasks.map(|task| task.unwrap().path()) {
        let name = std::fs::read_to_string(task.join("comm")).unwrap();
        let Some(worker) = name.trim().strip_prefix("worker-") else { continue };
        let times_of_it = std::fs::read_to_string(task.join("schedstat")).unwrap();
        times[worker.parse::<usize>().unwrap()] = times_of_it.split(' ').next().unwrap().parse().unwrap();
    }
    times
}

#[test]
fn eight_connections_keep_two_workers_both_busy() {
    let backend = Backend::named("one");
    let config = format!("[server]\nworkers = 2\n{HTTPS}\n[[route]]\npool = [\"{backend}\"]\n");
    let gateway = Gateway::serving(&config);

    let before = worker_times(&gateway);
    let wrk = Command::new("wrk").args(["-t1", "-c8", "-d2s"]).arg(gateway.url("https", "/")).output().unwrap();
    let after = worker_times(&gateway);

    let requests = answered(&String::from_utf8_lossy(&wrk.stdout));
    let busy = [after[0] - before[0], after[1] - before[1]];
    println!("{requests} requests; the workers ran {} and {} ms", busy[0] / 1_000_000, busy[1] / 1_000_000);
    // The machine may be doing other things on one core, so half of an even share is asked for.
    assert!(busy.iter().all(|time| time * 4 >= busy[0] + busy[1]), "{busy:?}");
}

#[test]
fn two_workers_share_one_limit() {
    let limits = "[rate_limit]\nper_ip = { rate = \"1/h\", burst = 300 }\nglobal = { rate = \"1/h\", burst = 200 }\n";
    let route = "[[route]]\nrespond = { status = 200 }\n";
    let gateway = Gateway::serving(&format!("[server]\nworkers = 2\n{limits}{HTTP}{route}"));
    let (before, address) = (worker_times(&gateway), gateway.address("http"));

    let counts = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(move || served(address, 100))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>()
    });

    assert_eq!(counts, 200, "the global limit, to the request");
    let after = worker_times(&gateway);
    assert!(before.iter().zip(after).all(|(before, after)| after > *before), "one worker did it all");
    gateway.wait_for_metric("portcullis_refused_total{reason=\"rate_limited\",route=\"*/*\"} ", 600);
}

/// How many of so many requests on one connection are served.
fn served(address: SocketAddr, requests: usize) -> usize {
    let mut client = Client::tcp(address);
    let statuses = (0..requests).map(|_| client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status);
    statuses.filter(|status| *status == 200).count()
}

#[test]
fn weights_hold_exactly_whichever_worker_asks_and_however_many_at_once() {
    let backends = [Backend::named("five"), Backend::named("three"), Backend::named("one")];
    let [five, three, one] = &backends;
    let gateway = Gateway::serving(&format!(
        r#"[server]
        workers = 2
        {HTTPS}
        [[route]]
        pool = "weighted"
        [pool.weighted]
        backends = [
          {{ url = "{five}", weight = 5 }},
          {{ url = "{three}", weight = 3 }},
          {{ url = "{one}", weight = 1 }},
        ]
        "#
    ));
    let before = worker_times(&gateway);

    h2load(&gateway.url("https", "/"), 1_800, (8, 5), &[]);
    h2load(&gateway.url("https", "/"), 1_800, (8, 1), &["--h1"]);

    assert_eq!(backends.each_ref().map(Backend::count), [2_000, 1_200, 400]);
    let after = worker_times(&gateway);
    assert!(before.iter().zip(after).all(|(before, after)| after > *before), "one worker did it all");
}
