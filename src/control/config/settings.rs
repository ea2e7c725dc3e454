//! The shape of a whole config and of the tables that belong to no station.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::cidr::Cidr;
use crate::base::period::Period;
use crate::base::place::At;
use crate::proxy::{balance, listen, route, tls};

/// A whole config. Holding one means that every value is checked and every name resolves.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    /// `[[listener]]`, at least one: 443 with TLS and 80 redirecting where the file has none.
    pub listeners: Vec<listen::Settings>,
    /// `[[certificate]]`.
    pub certificates: Vec<tls::CertificateSettings>,
    /// `[[host]]`.
    pub hosts: Vec<tls::HostSettings>,
    /// `[[route]]`, at least one, in file order.
    pub routes: Vec<route::Settings>,
    /// `[pool.NAME]` and inline pools, in file order.
    pub pools: Vec<balance::Settings>,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// What the gateway keeps between runs; created 0700. Default `state` beside the config file.
    pub state_dir: PathBuf,
    /// How many workers. Default one per core.
    pub workers: Workers,
    /// How long a drain waits for what is in flight, then cuts. Default 30 s.
    pub drain: Period,
    /// Peers whose forwarding headers are believed. Default none.
    pub trusted_proxies: Vec<Cidr>,
}

/// `workers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Workers {
    /// `"auto"`: one per core.
    #[default]
    Auto,
    /// 1 to 256.
    Count(u16),
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens. Default `127.0.0.1:9901`.
    pub listen: AdminListen,
    /// The bearer token's file, created 0600 on first start. Default `admin.token` in `state_dir`.
    pub token_file: PathBuf,
}

/// `admin.listen`.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminListen {
    /// `false`.
    Off,
    /// `"127.0.0.1:9901"`.
    Tcp(At<SocketAddr>),
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Default `text`.
    pub format: LogFormat,
    /// The least important event that is written. Default `info`.
    pub level: LogLevel,
    /// Default: standard output, every request.
    pub access: Option<AccessLog>,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the levels are their names")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// `log.access`: `true`, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub path: LogPath,
    /// The share of requests that is written, 0.0 to 1.0; answers of 500 and above always are. Default 1.0.
    pub sample: f64,
}

/// `log.access.path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPath {
    /// `"-"`: standard output.
    Stdout,
    /// A file, appended to; reopened on SIGHUP.
    File(PathBuf),
}
