//! The control plane: loads the config, builds snapshots, watches files, probes backends, shows what is live.

pub mod accept;
pub mod admin;
pub mod build;
pub mod cli;
pub mod config;
pub mod demo;
pub mod explain;
pub mod gateway;
pub mod health;
pub mod inventory;
pub mod ports;
pub mod reload;
pub mod resolve;
pub mod signals;
pub mod state;
pub mod supervisor;

use supervisor::BAD_CONFIG;
pub use supervisor::{check, run};
