//! Wall time, from one place.

use std::time::SystemTime;

/// The time of day. Code that decides by it takes it as an argument and so can be tested at any hour.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}
