//! The config as a whole: every table assembled, every name resolved.

mod acl;
mod check;
mod draft;
mod environment;
mod failure;
mod files;
mod load;
mod pattern;
mod render;
mod schema;
mod settings;
mod sources;
mod syntax;
#[cfg(test)]
mod tests;

pub use crate::base::log::{
    Access as AccessLog, Format as LogFormat, Level as LogLevel, Settings as Log, Target as LogPath,
};
pub use acl::{Acl, AclRule};
pub use environment::{Overrides, of_process};
pub use failure::Failure;
pub use load::Loaded;
pub use pattern::Pattern;
pub use render::{line, marked};
pub use schema::schema;
pub use settings::{Admin, AdminListen, Config, NameServer, Server, Workers};
pub use sources::Sources;
