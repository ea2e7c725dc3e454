//! Who calls: listening sockets, their limits, and the address a connection came from.

pub mod limit;
mod settings;
pub mod tcp;

pub use settings::{Bind, Limits, RedirectHttps, Settings, Timeouts};
