//! Who calls: listening sockets, their limits, and the address a connection came from.

pub mod accepting;
mod bind;
pub mod limit;
mod settings;
pub mod tcp;
pub mod unix;

pub use bind::Bind;
pub use settings::{Limits, RedirectHttps, Settings, Timeouts};
