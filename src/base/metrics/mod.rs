//! Counters, gauges and histograms in the Prometheus text format.
//!
//! Each worker writes cells of its own, without locks and without atomic read-modify-write; a scrape sums them. Label
//! values are interned when a snapshot is built, so that a key on the hot path is a few small numbers. Series stay until
//! the process ends and are bounded: beyond `MOST_SERIES` per family everything new counts as `other`.

mod cell;
mod exposition;
mod facts;
mod family;
mod label;
mod process;
mod registry;
mod worker;

pub use facts::{OfBackends, Reload};
pub use label::Label;
pub use registry::{CONTENT_TYPE, Registry};
pub use worker::{Handshake, Worker};
