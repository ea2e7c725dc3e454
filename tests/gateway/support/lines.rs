//! What a process wrote so far, line by line, and waiting for more.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::PATIENCE;

/// The lines of one stream, read on a thread of their own.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `stream` to its end.
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let writer = Arc::clone(&shared);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                writer.0.lock().unwrap().lines.push(line);
                writer.1.notify_all();
            }
            writer.0.lock().unwrap().ended = true;
            writer.1.notify_all();
        });
        Self { shared }
    }

    /// The first result of `pick` on any line, past or to come. Nothing when the stream ends or the time is over.
    pub(crate) fn wait_for<T>(&self, mut pick: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut state = self.shared.0.lock().unwrap();
        loop {
            if let Some(found) = state.lines[seen..].iter().find_map(|line| pick(line)) {
                return Some(found);
            }
            seen = state.lines.len();
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for the end of the stream; says whether it came.
    pub(crate) fn wait_for_end(&self) -> bool {
        let (state, condition) = &*self.shared;
        let guard = condition.wait_timeout_while(state.lock().unwrap(), PATIENCE, |state| !state.ended).unwrap().0;
        guard.ended
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().lines.clone()
    }

    /// Everything so far, as it was written.
    pub(crate) fn text(&self) -> String {
        self.all().join("\n")
    }
}
