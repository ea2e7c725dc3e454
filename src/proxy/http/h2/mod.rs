//! HTTP/2 (RFC 9113) on the `h2` crate driven directly: one task per connection, none per stream, and all
//! that became ready in a turn leaves in one TLS write.
//!
//! `turn` lets the task run until nothing more can move, `wire` holds back what `h2` writes and shows what passes to `guard`, which
//! watches it with `frames` and `budget`, `unseen` tells what `h2` refuses by itself, `fragment` and `huffman` find what the `http`
//! crate drops, `server` is the connection, `incoming` a stream that it has opened, `stream` one exchange's side of it with
//! `request`, `response`, `fields`, `flow` and `piece`. `client` is the same towards backends.

mod budget;
pub mod client;
mod fields;
mod flow;
pub mod fragment;
pub mod frames;
mod guard;
mod huffman;
pub mod incoming;
mod piece;
pub mod request;
mod response;
pub mod server;
pub mod stream;
pub mod turn;
mod unseen;
mod wire;
