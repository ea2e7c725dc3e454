//! A backend whose answers a test switches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::script::Script;

/// Answers everything with one status until the test says another.
pub(crate) struct Switched {
    script: Script,
    status: Arc<AtomicU16>,
}

/// In place of a status: nothing is answered.
const SILENT: u16 = 0;

impl Switched {
    /// A backend that answers with this status.
    pub(crate) fn answering(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let shared = Arc::clone(&status);
        let script = Script::playing(move |conversation| {
            while let Some(request) = conversation.request() {
                let asked = request.line.split('/').nth(1).and_then(|path| path.split(' ').next());
                // `/503` asks for that status, whatever is switched on.
                let asked = asked.and_then(|path| path.parse().ok());
                let status = asked.unwrap_or_else(|| shared.load(Ordering::SeqCst));
                if status == SILENT {
                    return conversation.hold();
                }
                conversation.send(format!("HTTP/1.1 {status} Switched\r\nContent-Length: 8\r\n\r\nswitched"));
            }
        });
        Self { script, status }
    }

    /// From now on it answers with this status.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// From now on it answers nothing.
    pub(crate) fn fall_silent(&self) {
        self.answer(SILENT);
    }

    /// Requests that came since this was last asked.
    pub(crate) fn count(&self) -> usize {
        self.script.left()
    }

    /// Waits for a request that was not counted.
    pub(crate) fn wait_for_request(&self) {
        self.script.received();
    }
}

impl fmt::Display for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}
