//! HTTP/1.1 (RFC 9112), both sides: one codec over the arena message.
//!
//! `channel` moves bytes, `head` and `chunked` read, `framing` decides how long a body is, `stream` is one message each way,
//! `server` is the client-facing connection.

pub mod channel;
pub mod chunked;
pub mod framing;
pub mod head;
pub mod server;
pub mod stream;
#[cfg(test)]
pub mod testing;
pub mod write;
