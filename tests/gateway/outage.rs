//! A backend goes away and comes back under load.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::configs::HTTPS;
use crate::support::gateway::Gateway;
use crate::support::load::{H2load, Wrk};
use crate::support::stoppable::Stoppable;

/// How often it goes.
const OUTAGES: usize = 5;

/// Numbered posts by curl, one after another until it is told to stop, and the status of each.
struct Posts {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Posts {
    fn to(gateway: &Gateway) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, ca) = (Arc::clone(&is_over), gateway.home().path("ca.crt"));
        let url = gateway.url("https", "/post/");
        let thread = std::thread::spawn(move || {
            let mut statuses = Vec::new();
            for version in ["--http1.1", "--http2"].iter().cycle() {
                if told.load(Ordering::SeqCst) {
                    break;
                }
                // One curl posts many times on its connection.
                let first = statuses.len();
                let mut command = Command::new("curl");
                command.args(["--silent", "--max-time", "60", "--data", "paid", "--cacert"]).arg(&ca);
                command.args([version, "--write-out", "%{stderr}%{http_code}\n"]);
                let output = command.arg(format!("{url}[{first}-{}]", first + 99)).output().unwrap();
                statuses.extend(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned));
            }
            statuses
        });
        Self { is_over, thread }
    }

    fn stop(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

#[test]
fn one_backend_of_three_stopped_and_back_is_seen_by_no_reader_and_nothing_is_posted_twice() {
    let mut backends = [Stoppable::running(), Stoppable::running(), Stoppable::running()];
    let [one, two, three] = &backends;
    // Without a breaker, which would leave the one that stopped alone for longer than it is away.
    let pool = format!("[pool.p]\nbreaker = false\nbackends = [\"{one}\", \"{two}\", \"{three}\"]\n");
    let gateway = Gateway::serving(&format!("{HTTPS}[[route]]\nname = \"all\"\npool = \"p\"\n{pool}"));
    let wrk = Wrk::on(&gateway.url("https", "/"), 8);
    let h2load = H2load::on(&gateway.url("https", "/"), (2, 5));
    let posts = Posts::to(&gateway);

    for _ in 0..OUTAGES {
        backends[0].wait_for_more(200);
        backends[0].stop();
        backends[1].wait_for_more(200);
        backends[2].wait_for_more(200);
        backends[0].start();
    }
    backends[0].wait_for_more(200);

    let answered = (wrk.stop(), h2load.stop());
    let statuses = posts.stop();
    let mut times = BTreeMap::<String, usize>::new();
    for line in backends.iter().flat_map(|backend| backend.received("POST ")) {
        *times.entry(line).or_default() += 1;
    }
    for (number, status) in statuses.iter().enumerate() {
        let sent = times.get(&format!("POST /post/{number} HTTP/1.1")).copied().unwrap_or(0);
        match status.as_str() {
            "200" => assert_eq!(sent, 1, "post {number}"),
            // Torn in the middle: it may have been acted on, so the client is told.
            "502" => assert!(sent <= 1, "post {number} was sent {sent} times"),
            other => panic!("post {number}: {other}\n{}", gateway.output()),
        }
    }
    let torn = statuses.iter().filter(|status| *status == "502").count();
    println!(
        "answered: {} to wrk, {} to h2load; {} posts, {torn} of them torn",
        answered.0,
        answered.1,
        statuses.len()
    );
    assert!(statuses.len() > torn, "{statuses:?}");
}
