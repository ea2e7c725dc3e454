//! `portcullis explain`: what would become of a request.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::ask::{Address, AskError};
use super::shown::shown;
use crate::base::metrics::Registry;
use crate::control::accept::{Source, accept};
use crate::control::admin::EXPLAIN_PATH;
use crate::control::config::{self, Overrides};
use crate::control::explain::{Texts, explained, query};
use crate::proxy::balance::Resolution;
use crate::proxy::explain::{Explanation, Question, Seen};

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis explain https://example.com/admin --from 203.0.113.7
  portcullis explain https://example.com/ -c portcullis.toml        before it is served
  portcullis explain http://localhost:8080/ -c portcullis.toml --running
  portcullis explain https://example.com/up --method POST -H 'Content-Length: 99999999'
  portcullis explain https://example.com/ -H 'X-Forwarded-For: 203.0.113.7' --from 10.0.0.1

Says which listener, certificate and route take the request and why, what limits, lists and
other policies say to it, whom the pool would pick, and how it ends. Nothing is sent or counted.
Without -c it asks the gateway that serves config/portcullis.toml; with -c it reads that file;
with --running as well it asks the gateway that serves that file.
The request is taken for one of HTTP/1.1.
Exit codes: 0 explained, also where the request would be refused; 1 the gateway cannot be asked; 2 bad config or URL.";

/// The request, and whom to ask about it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the request goes to: `https://example.com/path`
    url: String,
    /// Where it comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    from: IpAddr,
    /// Its method
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// A header field of it; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The listener, where the port does not say which
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// A config to go by, instead of what the gateway serves
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Asks the gateway that serves the config
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    address: Address,
    /// Prints everything as JSON
    #[arg(long)]
    json: bool,
}

/// Why there is nothing to show, and the exit code.
struct Failed(String, ExitCode);

impl Failed {
    fn wrong(problem: impl std::fmt::Display) -> Self {
        Self(problem.to_string(), ExitCode::from(crate::control::BAD_CONFIG))
    }
}

pub(super) fn run(options: &Options) -> ExitCode {
    let question = Question {
        url: options.url.clone(),
        from: options.from,
        method: options.method.clone(),
        fields: options.headers.clone(),
        listener: options.listener.clone(),
    };
    let elsewhere = options.running || options.address.admin.is_some() || options.address.token_file.is_some();
    let explained = match &options.file {
        Some(file) if !elsewhere => of_file(file, &question),
        file => of_gateway(&options.address, file.as_deref(), &question),
    };
    match explained.and_then(|explanation| text(&explanation, options.json)) {
        Ok(text) => super::print(&text),
        Err(Failed(problem, code)) => {
            eprintln!("{}", problem.trim_end());
            code
        }
    }
}

fn text(explanation: &Explanation, json: bool) -> Result<String, Failed> {
    if !json {
        return Ok(shown(explanation));
    }
    let text = serde_json::to_string_pretty(explanation);
    text.map(|text| text + "\n").map_err(|error| Failed(format!("portcullis: {error}"), ExitCode::FAILURE))
}

/// What the config in `file` says.
fn of_file(file: &Path, question: &Question) -> Result<Explanation, Failed> {
    check(question)?;
    let overrides = Overrides::default();
    let source = Source { file: file.to_owned(), environment: config::of_process(), overrides, serves: false };
    let accepted = accept(&source, &Registry::new(), &Resolution::default(), None);
    let (accepted, warnings) = accepted.map_err(|refused| Failed::wrong(refused.marked))?;
    for warning in &warnings {
        eprintln!("{}", config::marked(warning, &accepted.sources));
    }
    let listeners = &accepted.config.listeners;
    let binds = listeners
        .iter()
        .flat_map(|listener| listener.bind.iter().map(|bind| (listener.name.value.clone(), bind.value.clone())));
    let places: Vec<_> = binds.collect();
    let snapshot = &accepted.built.snapshot;
    let seen = Seen { snapshot, places: &places, now: Instant::now(), draining: false, resolved: false };
    let texts = Texts { config: accepted.config, sources: accepted.sources };
    explained(seen, question, Some(&texts)).map_err(|wrong| Failed::wrong(format!("portcullis: {wrong}")))
}

/// What the gateway says that serves the config in `file`.
fn of_gateway(address: &Address, file: Option<&Path>, question: &Question) -> Result<Explanation, Failed> {
    check(question)?;
    let file = file.unwrap_or_else(|| Path::new("config/portcullis.toml"));
    let gateway = address.gateway(file, true).map_err(Failed::wrong)?;
    let body = gateway.ask(&format!("{EXPLAIN_PATH}?{}", query(question))).map_err(|error| match error {
        AskError::Refused { status: http::StatusCode::BAD_REQUEST, error, .. } => {
            Failed::wrong(format!("portcullis: {error}"))
        }
        error => Failed(format!("portcullis: {error}"), ExitCode::FAILURE),
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let problem = format!("portcullis: what answers on {gateway} is no gateway of this kind: {error}");
        Failed(format!("{problem}; `--admin` names another address"), ExitCode::FAILURE)
    })
}

fn check(question: &Question) -> Result<(), Failed> {
    question.check().map_err(|wrong| Failed::wrong(format!("portcullis: {wrong}")))
}
