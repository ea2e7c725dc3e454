//! When a burst of events is over: after a while of quiet, but at the latest a fixed time after it began.

use std::time::{Duration, Instant};

/// Gathers a burst of events into one look at the files. Time comes from outside.
#[derive(Debug)]
pub(super) struct Debounce {
    quiet: Duration,
    longest: Duration,
    /// The first and the last event of the burst.
    burst: Option<(Instant, Instant)>,
}

impl Debounce {
    /// A burst is over after `quiet` without an event, or `longest` after its first.
    pub(super) fn new(quiet: Duration, longest: Duration) -> Self {
        Self { quiet, longest, burst: None }
    }

    /// Something happened. Answers whether it begins a burst.
    pub(super) fn touch(&mut self, now: Instant) -> bool {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst.replace((first, now)).is_none()
    }

    /// When the burst is over, as far as is known by now; none when nothing happened.
    pub(super) fn due(&self) -> Option<Instant> {
        self.burst.map(|(first, last)| (last + self.quiet).min(first + self.longest))
    }

    /// The burst has been dealt with.
    pub(super) fn clear(&mut self) {
        self.burst = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_millis(400);

    #[test]
    fn a_burst_ends_with_quiet() {
        let (start, mut debounce) = (Instant::now(), Debounce::new(QUIET, LONGEST));
        assert_eq!(debounce.due(), None);
        assert!(debounce.touch(start));
        assert_eq!(debounce.due(), Some(start + QUIET));
        assert!(!debounce.touch(start + Duration::from_millis(60)));
        assert_eq!(debounce.due(), Some(start + Duration::from_millis(160)));
        debounce.clear();
        assert_eq!(debounce.due(), None);
    }

    #[test]
    fn events_without_end_do_not_put_it_off() {
        let (start, mut debounce) = (Instant::now(), Debounce::new(QUIET, LONGEST));
        for step in 0..1_000 {
            debounce.touch(start + Duration::from_millis(10 * step));
            assert!(debounce.due() <= Some(start + LONGEST));
        }
    }
}
