//! Whether connections to one endpoint can be opened, so that the log says it once when that changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An endpoint that fails now and then has a line at most this often.
const APART: Duration = Duration::from_secs(10);

/// What was last known of one endpoint, over all workers.
#[derive(Debug, Default)]
pub struct Reach {
    failing: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Why it fails, as the log has it; nothing where the log has it as good.
    reason: Option<&'static str>,
    /// When the log last had a line about a failure.
    at: Option<Instant>,
}

impl Reach {
    /// Notes that no connection could be opened at the moment `now`. Whether to say so: the reason is new, and the last line is
    /// long enough ago.
    pub fn failed(&self, reason: &'static str, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.failing.store(true, Ordering::Relaxed);
        let recent = told.at.is_some_and(|at| now.saturating_duration_since(at) < APART);
        if told.reason == Some(reason) || recent {
            return false;
        }
        *told = Told { reason: Some(reason), at: Some(now) };
        true
    }

    /// Notes that a connection was opened. Whether to say so: the log has it as failing. One load where all is well.
    pub fn opened(&self) -> bool {
        if !self.failing.load(Ordering::Relaxed) {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.failing.store(false, Ordering::Relaxed);
        told.reason.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_it_once_when_it_fails_and_once_when_it_is_good_again() {
        let (reach, start) = (Reach::default(), Instant::now());
        assert!(!reach.opened());
        assert!(reach.failed("refused", start));
        assert!(!reach.failed("refused", start + APART * 3));
        assert!(reach.opened());
        assert!(!reach.opened());
        assert!(reach.failed("refused", start + APART));
    }

    #[test]
    fn an_endpoint_that_comes_and_goes_is_told_now_and_then() {
        let (reach, start) = (Reach::default(), Instant::now());
        assert!(reach.failed("refused", start) && reach.opened());
        let soon = start + APART / 2;
        assert!(!reach.failed("refused", soon) && !reach.opened(), "neither the failure nor its end");
        // One that stays is told in the end, and so is one whose reason is another.
        assert!(!reach.failed("refused", soon));
        assert!(reach.failed("refused", start + APART));
        assert!(reach.failed("expired", start + APART * 2));
    }
}
