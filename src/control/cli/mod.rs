//! The command line: one file per command, and here the frame they hang in.
//!
//! Exit codes: 0 done, 1 failed, 2 bad config or usage.

mod ask;
mod check;
mod completions;
mod config;
mod counts;
mod demo;
mod explain;
mod health;
mod run;
mod shown;
mod status;
mod table;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::control;
use crate::control::accept::Source;
use crate::control::config::{LogFormat, LogLevel, Overrides};

/// Reads the command line, runs the one command in it and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match CommandLine::try_parse_from(arguments) {
        Ok(line) => dispatch(line.command),
        Err(usage) => refuse(&usage),
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Demo => demo::run(),
        Command::Config { action } => config::run(&action),
        Command::Status(options) => status::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Completions(options) => completions::run(&options),
    }
}

/// A wrong command line, and also `--help` and `--version`, which clap returns the same way.
fn refuse(usage: &clap::Error) -> ExitCode {
    // Nothing is left to say when the terminal itself is gone.
    let _ = usage.print();
    u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Writes the output of a command. A reader that went away (`| head`) is no failure; a full disk is.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  portcullis demo                        see it work: three backends, a local CA, HTTPS on 8443
  portcullis check -c portcullis.toml    every problem of a config, each with its line
  portcullis run -c portcullis.toml      the gateway; saving the file makes it live

Exit codes: 0 done, 1 failed, 2 bad config or usage.";

/// A TLS edge gateway: one TOML file, live when saved.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, after_help = EXAMPLES, max_term_width = 100, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway until SIGTERM or SIGINT, then finishes what is in flight
    #[command(after_help = run::EXAMPLES)]
    Run(ConfigArguments),
    /// Loads and builds a config without serving it, and reports every problem
    #[command(after_help = check::EXAMPLES)]
    Check(ConfigArguments),
    /// Shows the gateway at work on this machine: no file, no root, nothing else needed
    #[command(after_help = demo::EXAMPLES)]
    Demo,
    /// Shows what a config can hold
    #[command(after_help = config::EXAMPLES)]
    Config {
        #[command(subcommand)]
        action: config::Action,
    },
    /// Shows what is live: listeners, pools, certificates, problems
    #[command(after_help = status::EXAMPLES)]
    Status(status::Options),
    /// Says what would become of a request, and why, without sending it
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Options),
    /// Prints a completion script for a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Options),
}

/// Which config a command works on, and what beats it.
#[derive(Debug, Args)]
struct ConfigArguments {
    /// The config
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "config/portcullis.toml")]
    file: PathBuf,
    /// Overrides log.level
    #[arg(long, value_name = "LEVEL", value_parser = levels())]
    log_level: Option<LogLevel>,
    /// Overrides log.format
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    log_format: Option<LogFormat>,
    /// Overrides admin.listen
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<SocketAddr>,
}

impl ConfigArguments {
    fn source(&self) -> Source {
        let overrides = Overrides { log_level: self.log_level, log_format: self.log_format, admin_listen: self.admin };
        Source { file: self.file.clone(), environment: control::config::of_process(), overrides, serves: false }
    }
}

fn levels() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]).map(|name| match name.as_str() {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Info,
    })
}

fn formats() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["text", "json"]).map(|name| match name.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn run_reads_the_default_config_unless_told_otherwise() {
        let line = CommandLine::try_parse_from(["portcullis", "run"]).unwrap();
        let Command::Run(arguments) = line.command else { panic!("{line:?}") };
        assert_eq!(arguments.file, PathBuf::from("config/portcullis.toml"));

        let line = CommandLine::try_parse_from(["portcullis", "run", "-c", "other.toml"]).unwrap();
        let Command::Run(arguments) = line.command else { panic!("{line:?}") };
        assert_eq!(arguments.file, PathBuf::from("other.toml"));
    }

    #[test]
    fn flags_override_what_the_config_says() {
        let line = ["portcullis", "run", "--log-level", "debug", "--log-format", "json", "--admin", "127.0.0.1:1"];
        let Command::Run(arguments) = CommandLine::try_parse_from(line).unwrap().command else { panic!("{line:?}") };
        let expected = Overrides {
            log_level: Some(LogLevel::Debug),
            log_format: Some(LogFormat::Json),
            admin_listen: Some("127.0.0.1:1".parse().unwrap()),
        };
        assert_eq!(arguments.source().overrides, expected);
    }

    #[test]
    fn a_wrong_command_line_is_exit_code_2_and_help_is_0() {
        for (arguments, code) in [
            (&["portcullis", "fly"][..], 2),
            (&["portcullis"], 2),
            (&["portcullis", "--help"], 0),
            (&["portcullis", "help", "run"], 0),
        ] {
            let usage = CommandLine::try_parse_from(arguments).unwrap_err();
            assert_eq!(usage.exit_code(), code, "{arguments:?}");
        }
    }
}
