//! Load from the tools that operators use, and what they say about it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::Signal;

use super::process::Process;

/// wrk: HTTP/1.1 on connections that are kept, until it is stopped.
pub(crate) struct Wrk(Process);

impl Wrk {
    /// Begins on so many connections.
    pub(crate) fn on(url: &str, connections: usize) -> Self {
        let mut command = Command::new("wrk");
        // Longer than any test; it is interrupted. Nothing may be answered later than the gateway's own deadlines.
        command.args(["-t1", &format!("-c{connections}"), "-d10m", "--timeout", "20s"]).arg(url);
        Self(Process::start(&mut command))
    }

    /// Stops it; how many answers it got. Fails the test where one was no success or a connection broke.
    pub(crate) fn stop(mut self) -> usize {
        self.0.signal(Signal::INT);
        self.0.wait();
        answered(&self.0.stdout.text())
    }
}

/// How many answers wrk got, all of them good.
pub(crate) fn answered(report: &str) -> usize {
    // Both lines are there only where there is something to tell.
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let requests = report.lines().find_map(|line| line.split_once(" requests in "));
    requests.and_then(|(count, _)| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {report}"))
}

/// One run of h2load on so many connections with so many streams each. Fails the test where a request does.
pub(crate) fn h2load(url: &str, requests: usize, (connections, streams): (usize, usize), arguments: &[&str]) {
    let mut command = Command::new("h2load");
    command.arg(format!("-n{requests}")).arg(format!("-c{connections}")).arg(format!("-m{streams}"));
    let output = command.args(arguments).arg(url).output();
    let output = output.unwrap_or_else(|error| panic!("{error}; tests/run installs nghttp2-client"));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains(&format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout")), "{report}");
    assert!(report.contains(&format!("status codes: {requests} 2xx")), "{report}");
}

/// h2load: HTTP/2, run after run on new connections, until it is stopped.
pub(crate) struct H2load {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl H2load {
    /// How many requests a run has.
    const RUN: usize = 500;

    /// Begins on so many connections with so many streams each.
    pub(crate) fn on(url: &str, shape: (usize, usize)) -> Self {
        let (is_over, url) = (Arc::new(AtomicBool::new(false)), url.to_owned());
        let told = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut answered = 0;
            while answered == 0 || !told.load(Ordering::SeqCst) {
                h2load(&url, Self::RUN, shape, &[]);
                answered += Self::RUN;
            }
            answered
        });
        Self { is_over, thread }
    }

    /// Stops it; how many answers it got. Fails the test where a request failed.
    pub(crate) fn stop(self) -> usize {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_else(|said| std::panic::resume_unwind(said))
    }
}
