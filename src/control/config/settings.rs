//! The shape of a whole config and of the tables that belong to no station.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::cidr::Cidr;
use crate::base::log::Settings as Log;
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
