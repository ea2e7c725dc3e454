//! The control plane: loads the config, builds snapshots, watches files, shows what is live.

pub mod cli;
pub mod config;
pub mod demo;
pub mod reload;

use std::path::Path;
use std::process::ExitCode;

/// Runs the gateway on a config file until a signal stops it. `serving` is called once, when every listener accepts.
pub fn run(file: &Path, serving: impl FnOnce()) -> ExitCode {
    let _ = serving;
    eprintln!("portcullis: {} cannot be served yet: this build has no data plane", file.display());
    ExitCode::FAILURE
}

/// Loads and builds a config file and reports every problem; exit code 0 or 2.
pub fn check(file: &Path) -> ExitCode {
    eprintln!("portcullis: {} cannot be checked yet: this build has no data plane", file.display());
    ExitCode::FAILURE
}
