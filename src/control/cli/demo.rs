//! `portcullis demo`: the command; the show itself is in `control::demo`.

use std::process::ExitCode;

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis demo                        then try the lines it prints in a second terminal

Starts three small backends of weight 5, 3 and 1, makes a CA for localhost, 127.0.0.1 and ::1 in a directory
of its own, writes a config there and serves it by the ordinary path: HTTPS on 8443, HTTP on 8080, admin on 9901,
each on the next free port where one is taken. Ctrl-C stops it and removes the directory.";

pub(super) fn run() -> ExitCode {
    crate::control::demo::run()
}
