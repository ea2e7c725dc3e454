//! The config as a whole: every table assembled, every name resolved.

mod settings;

pub use crate::base::log::{
    Access as AccessLog, Format as LogFormat, Level as LogLevel, Settings as Log, Target as LogPath,
};
pub use settings::{Admin, AdminListen, Config, Server, Workers};
