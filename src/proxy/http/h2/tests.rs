//! The connection and its streams, with the h2 crate as client.
