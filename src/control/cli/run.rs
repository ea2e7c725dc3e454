//! `portcullis run`: the gateway.

use std::process::ExitCode;

use super::ConfigArguments;

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis run                         serves config/portcullis.toml
  portcullis run -c /etc/portcullis.toml
  PORTCULLIS_LOG_FORMAT=json portcullis run

Events go to standard error, one access log line per request to standard output unless [log] says otherwise.
Saving the config or a certificate makes it live; a bad file changes nothing and is reported.
Signals: SIGHUP reloads and reopens logs, SIGTERM and SIGINT drain and stop.
Exit codes: 0 stopped after a drain, 1 a port is taken or a permission is missing, 2 bad config.";

pub(super) fn run(arguments: &ConfigArguments) -> ExitCode {
    crate::control::run(&arguments.source(), || ())
}
