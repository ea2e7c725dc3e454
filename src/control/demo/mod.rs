//! `portcullis demo`: the gateway at work on one machine, with backends, certificates and a config made on the spot.
//!
//! Everything lives in one temporary directory. The gateway itself runs by the ordinary path on the file in there, so
//! whatever works in the demo works outside it: editing the file, replacing the certificate, asking for the status.

mod authority;
mod backends;
mod guide;
mod stage;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use backends::Backends;
use stage::Stage;

use crate::base::settings::Environment;
use crate::control::accept::Source;
use crate::control::config::{self, Overrides};

/// Why the demo did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The directory or a file in it.
    #[error("cannot write {path}: {error}; set TMPDIR to a directory with room that you may write to")]
    Write { path: PathBuf, error: io::Error },
    /// The CA or a certificate.
    #[error("cannot make the demo's certificates: {0}; this is a bug, please report it")]
    Certificate(#[from] rcgen::Error),
    /// A backend.
    #[error(
        "cannot start a backend on 127.0.0.1: {0}; see that `ip address` shows it, and raise the limit of open files (`ulimit -n`)"
    )]
    Backend(io::Error),
    /// A listening port.
    #[error("no free port from {first} to {last} on 127.0.0.1: stop what listens there")]
    Ports { first: u16, last: u16 },
}

/// Sets the stage, runs the gateway on it until Ctrl-C, and clears it away.
pub fn run() -> ExitCode {
    match prepare() {
        Ok((stage, _backends)) => {
            let source = Source {
                file: stage.config_file(),
                environment: environment(),
                overrides: Overrides::default(),
                serves: true,
            };
            crate::control::run(&source, || guide::show(&stage))
        }
        Err(failure) => {
            eprintln!("portcullis demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What beats a config beats the demo's only where its guide does not speak of it: in the logs.
fn environment() -> Environment {
    let process = config::of_process();
    let harmless = |name: &str| !name.starts_with("PORTCULLIS_") || name.starts_with("PORTCULLIS_LOG_");
    let kept = process.iter().filter(|(name, _)| harmless(name));
    kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn prepare() -> Result<(Stage, Backends), Failure> {
    let backends = Backends::start().map_err(Failure::Backend)?;
    let stage = Stage::set(&backends)?;
    Ok((stage, backends))
}
