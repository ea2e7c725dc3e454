//! One attempt at one endpoint, over a pooled connection.
//!
//! `client` keeps each worker's connections, `forward` makes attempts until a response begins, `relay` moves the bytes both ways.

mod asked;
mod attempt;
mod client;
mod clocks;
mod connection;
mod dial;
mod forward;
mod relay;
mod sending;

pub use attempt::Begun;
pub use client::Client;
pub use forward::{Call, Timeouts, Trip, forward};
pub use relay::relay;
