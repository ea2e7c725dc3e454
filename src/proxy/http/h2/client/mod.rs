//! HTTP/2 (RFC 9113) towards backends: one task per connection, which many exchanges share.
//!
//! `connection` opens and drives it, `handle` is what exchanges know of it, `stream` is one exchange's side of it with `head`,
//! `wire` holds back what is written, so that all that became ready in a turn is one write, `pings` says whether the backend may be
//! asked for a sign of life.

mod connection;
mod handle;
mod head;
mod pings;
mod stream;
mod wire;

pub use connection::{Connection, open};
pub use handle::{Handle, Health, Probe};
pub use stream::{Asking, Broken, Stream};
