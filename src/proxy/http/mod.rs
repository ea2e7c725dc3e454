//! Bytes to messages and back: the HTTP/1.1 codec of both sides, HTTP/2 downstream, hosts and paths.

pub mod body;
pub mod h1;
