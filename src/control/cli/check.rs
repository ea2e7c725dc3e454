//! `portcullis check`: load, build, drop. There is no second validator that could drift from the first.

use std::process::ExitCode;

use super::ConfigArguments;

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis check -c portcullis.toml && echo good

Reports all problems at once, each with its line and what to do. Certificates are read as well.
Never binds a port, resolves a name or contacts anyone.
Exit codes: 0 the config would be served, 2 it would be refused.";

pub(super) fn run(arguments: &ConfigArguments) -> ExitCode {
    crate::control::check(&arguments.source())
}
