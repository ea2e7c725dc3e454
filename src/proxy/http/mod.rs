//! Bytes to messages and back: HTTP/1.1 and HTTP/2 of both sides, hosts and paths.

pub mod answer;
pub mod body;
pub mod forwarded;
pub mod grpc;
pub mod h1;
pub mod h2;
pub mod hop_by_hop;
pub mod host;
pub mod path;
pub mod target;
pub mod trace;
pub mod websocket;

pub use host::Host;
pub use path::Deciding;
