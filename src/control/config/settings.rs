//! The shape of a whole config and of the tables that belong to no station.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::Acl;
use crate::base::cidr::Cidr;
use crate::base::log::Settings as Log;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Scalar, Section, Setting, Shape};
use crate::proxy::policy::rate_limit;
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
    /// `[rate_limit]`.
    pub rate_limit: rate_limit::Settings,
    /// `[acl]`.
    pub acl: Acl,
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
    /// How long a drain waits for WebSockets, then cuts. Default 60 s.
    pub tunnel_drain: Period,
    /// Peers whose forwarding fields and PROXY headers are believed. Default none. It stands where it is written, or where its
    /// table does.
    pub trusted_proxies: At<Vec<Cidr>>,
    /// Who is asked for the names of backends, in this order. Default: the name servers of `/etc/resolv.conf`.
    pub resolver: Vec<NameServer>,
}

/// A name server: an address, and a port, 53 where it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

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

impl Server {
    pub(super) fn keys(section: &mut Section<'_>) -> Self {
        section.overridden_as("SERVER");
        let beside = section.folder().join("state");
        let trusted_at = section.written("trusted_proxies").unwrap_or_else(|| section.place());
        let trusted = section.key(
            "trusted_proxies",
            "Networks whose forwarding headers and PROXY headers are believed; 127.0.0.1 stands for Unix sockets as well. Left out: none.",
        );
        let trusted_proxies = At::new(trusted.list(), trusted_at);
        Self {
            state_dir: section
                .key(
                    "state_dir",
                    "The folder of what the gateway keeps between runs; created 0700. Relative to this file.",
                )
                .or(beside),
            workers: section
                .key("workers", "How many workers: \"auto\" for one per core, or 1 to 256.")
                .or(Workers::Auto),
            drain: section
                .key("drain", "How long a shutdown waits for what is in flight, then cuts. 0s to 1h.")
                .within(Period::default()..=Period::seconds(3_600))
                .or(Period::seconds(30)),
            tunnel_drain: section
                .key(
                    "tunnel_drain",
                    "How long a shutdown, or the end of a listener, waits for WebSockets, then cuts. 0s to 1h.",
                )
                .within(Period::default()..=Period::seconds(3_600))
                .or(Period::seconds(60)),
            trusted_proxies,
            resolver: section
                .key("resolver", "The name servers that are asked for the names of backends, as `ADDRESS[:PORT]`. Left out: those of /etc/resolv.conf.")
                .list(),
        }
    }
}

impl Setting for NameServer {
    fn shape() -> Shape {
        Shape::text("the address of a name server", "10.0.0.2:53")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)).or_else(|_| text.parse());
        match address {
            Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => Some(Self(address)),
            _ => node.problem(
                format!("`{text}` is not the address of a name server"),
                "write an IP address, with a port where it is not 53: \"10.0.0.2\", \"127.0.0.1:8600\", \"[2001:db8::1]:53\"",
            ),
        }
    }

    fn shown(&self) -> serde_json::Value {
        self.0.to_string().into()
    }
}

impl Setting for Workers {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Choice(vec!["auto"]), Shape::Integer(1, 256)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.scalar()? {
            Scalar::Text(text) | Scalar::Filled(text) if text == "auto" => Some(Self::Auto),
            Scalar::Integer(_) | Scalar::Filled(_) => match u16::read(node)? {
                count @ 1..=256 => Some(Self::Count(count)),
                count => node.problem(
                    format!("`workers` is {count}, out of range"),
                    "write 1 to 256, or \"auto\" for one per core",
                ),
            },
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Auto => "auto".into(),
            Self::Count(count) => (*count).into(),
        }
    }
}

impl Admin {
    /// `state_dir` holds the token where `token_file` is left out.
    pub(super) fn keys(section: &mut Section<'_>, state_dir: &Path) -> Self {
        section.overridden_as("ADMIN");
        let local = At::new(SocketAddr::from(([127, 0, 0, 1], 9901)), section.place());
        Self {
            listen: section
                .key("listen", "Where the admin API and the metrics listen: an address with a port, or false.")
                .or(AdminListen::Tcp(local)),
            token_file: section
                .key("token_file", "The file of the bearer token, created 0600 on the first start. Left out: `admin.token` in `state_dir`.")
                .or(state_dir.join("admin.token")),
        }
    }
}

impl Setting for AdminListen {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::text("an address with a port", "127.0.0.1:9901"), Shape::Constant(false)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self::Off),
            Scalar::Filled(text) if text == "false" => Some(Self::Off),
            Scalar::Text(text) | Scalar::Filled(text) => match text.parse() {
                Ok(address) => Some(Self::Tcp(At::new(address, node.place()))),
                Err(_) if text.starts_with("unix:") => node.problem(
                    "an admin listener on a Unix socket is not supported by this version",
                    "write an address and a port: \"127.0.0.1:9901\"",
                ),
                Err(_) => node.problem(
                    format!("`{text}` is not an address to listen on"),
                    "write an IP address and a port, \"127.0.0.1:9901\", or false for no admin listener",
                ),
            },
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Off => false.into(),
            Self::Tcp(address) => address.to_string().into(),
        }
    }
}
