//! The control plane: loads the config, builds snapshots, watches files, shows what is live.

pub mod config;
