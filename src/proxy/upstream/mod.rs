//! One attempt at one endpoint, over a pooled connection.
