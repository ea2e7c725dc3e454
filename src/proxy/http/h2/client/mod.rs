//! HTTP/2 (RFC 9113) towards backends: one task per connection, which many exchanges share.
//!
//! `connection` opens and drives it, `handle` is what exchanges know of it, `stream` is one exchange's side of it with `head`,
//! `guard` watches what the backend sends, `pings` says whether it may be asked for a sign of life.

mod connection;
mod guard;
mod handle;
mod head;
mod pings;
mod stream;

pub use connection::{Connection, open};
pub use handle::{Handle, Health, Probe};
pub use stream::{Asking, Broken, Stream};
