//! The config as a whole: every table assembled, every name resolved.

mod settings;

pub use settings::{AccessLog, Admin, AdminListen, Config, Log, LogFormat, LogLevel, LogPath, Server, Workers};
