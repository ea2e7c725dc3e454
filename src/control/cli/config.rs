//! `portcullis config`: what concerns the config as such.

use std::process::ExitCode;

use clap::Subcommand;

use crate::control::config;

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis config schema > portcullis.schema.json

An editor that knows TOML schemas completes and checks keys: begin the config with
#:schema ./portcullis.schema.json";

/// What to do with the config.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Prints the JSON schema of the config
    Schema,
}

pub(super) fn run(action: &Action) -> ExitCode {
    match action {
        Action::Schema => super::print(&config::schema()),
    }
}
