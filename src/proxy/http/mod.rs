//! Bytes to messages and back: the HTTP/1.1 codec of both sides, HTTP/2 downstream, hosts and paths.

pub mod answer;
pub mod body;
pub mod forwarded;
pub mod h1;
pub mod h2;
pub mod hop_by_hop;
pub mod host;
pub mod path;
pub mod target;

pub use host::Host;
pub use path::Deciding;
