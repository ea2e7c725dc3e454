//! A backend whose health the test decides.

use std::fmt;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;
use super::script::{Received, Script};

/// Answers probes, which ask for `/health`, with the status that the test says, and everything else with its name.
pub(crate) struct Patient {
    script: Script,
    status: Arc<AtomicU16>,
    requests: Arc<AtomicUsize>,
    probes: Arc<(Mutex<Vec<Probe>>, Condvar)>,
}

/// A probe that came.
#[derive(Clone)]
pub(crate) struct Probe {
    pub(crate) request: Received,
    /// What it was answered with.
    pub(crate) status: u16,
}

impl Patient {
    /// One that is well.
    pub(crate) fn named(name: &'static str) -> Self {
        let (status, requests) = (Arc::new(AtomicU16::new(200)), Arc::<AtomicUsize>::default());
        let probes = Arc::<(Mutex<Vec<Probe>>, Condvar)>::default();
        let (says, counted, came) = (Arc::clone(&status), Arc::clone(&requests), Arc::clone(&probes));
        let script = Script::playing(move |conversation| {
            while let Some(request) = conversation.request() {
                if !request.line.starts_with("GET /health ") {
                    counted.fetch_add(1, Ordering::SeqCst);
                    conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
                    continue;
                }
                let status = says.load(Ordering::SeqCst);
                conversation.send(format!("HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\nso"));
                came.0.lock().unwrap().push(Probe { request, status });
                came.1.notify_all();
            }
        });
        Self { script, status, requests, probes }
    }

    /// Probes are answered with this status from now on.
    pub(crate) fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// How many requests other than probes it has got.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The probes so far.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        self.probes.0.lock().unwrap().clone()
    }

    /// Waits for so many more probes.
    pub(crate) fn wait_for_probes(&self, count: usize) {
        let probes = self.probes.0.lock().unwrap();
        let wanted = probes.len() + count;
        let (probes, _) = self.probes.1.wait_timeout_while(probes, PATIENCE, |probes| probes.len() < wanted).unwrap();
        assert!(probes.len() >= wanted, "{} probes of {wanted}", probes.len());
    }
}

impl fmt::Display for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}
