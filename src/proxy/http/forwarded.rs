//! Who the client is, and what a backend is told about it.
