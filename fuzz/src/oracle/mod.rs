//! Readers that are held against each other, and what each took a message for.

pub mod gateway;
pub mod hyper_client;
pub mod hyper_server;
pub mod meaning;
mod memory;
pub mod upstream;
