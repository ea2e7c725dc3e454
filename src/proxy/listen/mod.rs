//! Who calls: listening sockets, their limits, and the address a connection came from.

mod settings;

pub use settings::{Bind, Limits, RedirectHttps, Settings, Timeouts};
