//! What beats the file: the flags of the command line, and the `PORTCULLIS_…` variables.

use std::net::SocketAddr;

use super::sources::Sources;
use super::{LogFormat, LogLevel};
use crate::base::place::Place;
use crate::base::settings::{Environment, Override, Setting};

/// Values of command-line flags; absent ones leave the config as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--log-level`.
    pub log_level: Option<LogLevel>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// `--admin`.
    pub admin_listen: Option<SocketAddr>,
}

/// The environment of this process. Variables that are not UTF-8 are left out.
pub fn of_process() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Everything that overrides a key, flags first. Each stands in a text of its own, so that problems can point at it.
pub(super) fn given(environment: &Environment, overrides: &Overrides, sources: &mut Sources) -> Vec<Override> {
    let shown = |value: serde_json::Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let flags = [
        ("PORTCULLIS_LOG_LEVEL", "--log-level ", overrides.log_level.map(|level| shown(level.shown()))),
        ("PORTCULLIS_LOG_FORMAT", "--log-format ", overrides.log_format.map(|format| shown(format.shown()))),
        ("PORTCULLIS_ADMIN_LISTEN", "--admin ", overrides.admin_listen.map(|address| address.to_string())),
    ];
    let flags = flags.into_iter().filter_map(|(name, flag, value)| Some((name.to_owned(), flag.to_owned(), value?)));
    let tables = ["PORTCULLIS_SERVER_", "PORTCULLIS_ADMIN_", "PORTCULLIS_LOG_"];
    let variables = environment
        .iter()
        .filter(|(name, _)| tables.iter().any(|table| name.starts_with(table)) || *name == "PORTCULLIS_STRATEGY")
        .map(|(name, value)| (name.to_owned(), format!("{name}="), value.to_owned()));
    let mut given = listed("command line", flags.collect(), sources);
    given.extend(listed("environment", variables.collect(), sources));
    given
}

/// Writes `lead` and value of each, one to a line, into a source called `source`.
fn listed(source: &str, values: Vec<(String, String, String)>, sources: &mut Sources) -> Vec<Override> {
    let mut text = String::new();
    let mut spans = Vec::new();
    for (name, lead, value) in values {
        text.push_str(&lead);
        let start = text.len();
        text.push_str(&value);
        spans.push((name, value, start..text.len()));
        text.push('\n');
    }
    if spans.is_empty() {
        return Vec::new();
    }
    let file = sources.add_text(source, text);
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let place = |span: std::ops::Range<usize>| Place { file, start: offset(span.start), end: offset(span.end) };
    spans.into_iter().map(|(name, value, span)| Override::new(name, value, place(span))).collect()
}
