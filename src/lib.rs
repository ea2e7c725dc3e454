//! Portcullis: a TLS edge gateway.

pub mod base;
pub mod control;
pub mod proxy;
