//! Floor 0: checked value types, settings reading, time, tasks, counters and logs. Imports nothing from above.

pub mod alarm;
pub mod buffers;
pub mod cidr;
pub mod clock;
pub mod decimal;
pub mod gcd;
pub mod hex;
pub mod host;
pub mod log;
pub mod metrics;
pub mod mode;
pub mod period;
pub mod place;
pub mod rate;
pub mod secret;
pub mod settings;
pub mod size;
pub mod stable;
pub mod task;
pub mod token;
