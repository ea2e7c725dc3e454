//! Who calls: listening sockets, their limits, and the address a connection came from.

pub mod accepting;
mod bind;
mod ends;
pub mod limit;
pub mod proxy_protocol;
mod settings;
pub mod tcp;
pub mod unix;

pub use bind::Bind;
pub use ends::Ends;
pub use settings::{Limits, RedirectHttps, Settings, Timeouts};
