//! One attempt at one endpoint, over a pooled connection.
//!
//! `client` keeps each worker's connections, which `opening` and `dial` make; `forward` makes attempts until a response begins, as `tries` says,
//! `relay` moves its bytes both ways, or `tunnel` those of a WebSocket. `backend` is the other end: an HTTP/1.1 `connection` or a
//! stream of HTTP/2. `probe` is a connection and an exchange of the control plane's own.

mod asked;
mod attempt;
mod backend;
mod client;
mod clocks;
mod connection;
mod dial;
mod forward;
mod opening;
mod probe;
mod queued;
mod relay;
mod repeat;
mod sending;
mod tries;
mod tunnel;

pub use attempt::Begun;
pub use client::Client;
pub use dial::Failure;
pub use forward::{Call, Timeouts, Trip, forward};
pub use probe::{Exchange, Opened, Way};
pub use relay::relay;
pub use tunnel::tunnel;
