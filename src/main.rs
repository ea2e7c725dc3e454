//! The `portcullis` binary: picks the process-wide TLS provider, then hands over to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: rustls looks its provider up when the first config is built, and there must be exactly one.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("portcullis: another TLS provider was installed before main; this build is broken");
        return ExitCode::FAILURE;
    }
    portcullis::control::cli::main(std::env::args_os())
}
