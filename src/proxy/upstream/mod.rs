//! One attempt at one endpoint, over a pooled connection.
//!
//! `client` keeps each worker's connections, `forward` tries until a response begins, `relay` moves the bytes both ways.

mod asked;
mod client;
mod clocks;
mod connection;
mod forward;
mod relay;
mod sending;

pub use client::Client;
pub use forward::{Begun, Call, Timeouts, Trip, forward};
pub use relay::relay;
