//! A well-behaved HTTP/1.1 backend that says who it is and counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::script::{Received, Script};

/// Answers every request with its name.
pub(crate) struct Backend {
    script: Script,
    count: Arc<AtomicUsize>,
}

impl Backend {
    /// A backend of that name.
    pub(crate) fn named(name: &str) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", name.len());
        let whole = format!("{head}{name}");
        let script = Script::playing(move |conversation| {
            while let Some(request) = conversation.request() {
                counted.fetch_add(1, Ordering::SeqCst);
                conversation.send(if request.line.starts_with("HEAD ") { &head } else { &whole });
            }
        });
        Self { script, count }
    }

    /// How many requests it has answered.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The next request it got.
    pub(crate) fn received(&self) -> Received {
        self.script.received()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}
