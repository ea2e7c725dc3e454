//! What `[[listener]]` says.

use std::time::Duration;

use super::Bind;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Scalar, Section, Setting, Shape, Switch, Table};
use crate::base::size::Size;
use crate::proxy::tls;

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name; its first `bind` where the file gives none. Unique.
    pub name: At<String>,
    /// The addresses it accepts on; at least one.
    pub bind: Vec<At<Bind>>,
    /// Whether every connection has to begin with a PROXY header, which only `trusted_proxies` may send. Default off.
    pub proxy_protocol: At<bool>,
    /// `None` is a plain listener.
    pub tls: Option<tls::Settings>,
    /// Connections open at once, over all workers. Default 10,000.
    pub max_connections: u32,
    /// Connections open at once from one client: an IPv4 address or an IPv6 /64. Default 1,000.
    pub max_connections_per_ip: u32,
    /// Paths on which the gateway answers with its own status. Default none.
    pub status_path: Vec<At<String>>,
    /// Answers everything with a redirect to HTTPS. Default off.
    pub redirect_https: Option<RedirectHttps>,
    /// Deadlines towards clients.
    pub timeouts: Timeouts,
    /// Limits of what a client may send.
    pub limits: Limits,
}

/// `redirect_https = true` or a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectHttps {
    /// The public HTTPS port; 443 is not written into the target.
    pub port: u16,
}

/// `[listener.timeouts]`: deadlines towards clients. `"0s"` is not accepted: each of them bounds an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the PROXY header and the TLS handshake, where there are such. Default 10 s.
    pub handshake: Period,
    /// From the first byte of a request (on a new connection: from accept or handshake) to the end of its header fields. Default 10 s.
    pub headers: Period,
    /// Between two pieces of a request body. Default 30 s.
    pub body_idle: Period,
    /// While the client takes none of the bytes of a response. Default 30 s.
    pub write_idle: Period,
    /// Between two requests on one connection. Default 60 s.
    pub keep_alive: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Period::seconds(10),
            headers: Period::seconds(10),
            body_idle: Period::seconds(30),
            write_idle: Period::seconds(30),
            keep_alive: Period::seconds(60),
        }
    }
}

/// `[listener.limits]`: what a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All header fields of one request together, names and values. 1 KiB to 1 MiB, default 32 KiB.
    pub header_size: Size,
    /// Header fields in one request; cookie crumbs of HTTP/2 count. 1 to 1,000, default 100.
    pub header_fields: u16,
    /// The request target. 256 B to 64 KiB, default 8 KiB.
    pub uri_size: Size,
    /// Requests in flight on one HTTP/2 connection. 1 to 1,000, default 100.
    pub h2_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_size: Size::kib(32), header_fields: 100, uri_size: Size::kib(8), h2_streams: 100 }
    }
}

impl Table for Settings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let name =
            section.key("name", "Its name in logs, metrics and `listener = …`; its first `bind` where left out.");
        let name: Option<At<String>> = name.optional();
        let bind: Vec<At<Bind>> = section
            .key(
                "bind",
                "Where it accepts connections, or a list of that: an address and a port (IPv6 in brackets; port 0 takes a free one; `[::]` is IPv6 only), or `unix:PATH`.",
            )
            .required_list();
        let off = At::new(false, section.place());
        let first = || bind.first().map(|bind| At::new(bind.value.to_string(), bind.place));
        let name = name.or_else(first).unwrap_or_default();
        Some(Self {
            name,
            bind,
            proxy_protocol: section
                .key(
                    "proxy_protocol",
                    "Whether connections begin with a PROXY header, version 1 or 2, that names the client. It is required then, and taken from `trusted_proxies` only.",
                )
                .or(off),
            tls: section
                .key("tls", "Whether it speaks TLS: false, true for the defaults, or a table.")
                .or(Switch(None))
                .0,
            max_connections: section
                .key("max_connections", "Connections open at once, over all workers. 1 to 1,000,000.")
                .within(1..=1_000_000)
                .or(10_000),
            max_connections_per_ip: section
                .key(
                    "max_connections_per_ip",
                    "Connections open at once from one IPv4 address or one IPv6 /64. 1 to 1,000,000.",
                )
                .within(1..=1_000_000)
                .or(1_000),
            status_path: section
                .key::<At<OwnPath>>(
                    "status_path",
                    "Paths answered with the gateway's own status, never proxied. None where left out.",
                )
                .list()
                .into_iter()
                .map(|path| At::new(path.value.0, path.place))
                .collect(),
            redirect_https: section
                .key(
                    "redirect_https",
                    "Answers everything with a redirect to HTTPS: true for port 443, or the public HTTPS port.",
                )
                .or(Redirect(None))
                .0,
            timeouts: section.table(
                "timeouts",
                "Deadlines towards clients. Each bounds an attack: none can be switched off.",
                Timeouts::keys,
            ),
            limits: section.table("limits", "What a client may send.", Limits::keys),
        })
    }
}

impl Timeouts {
    fn keys(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let mut period = |name, doc, default| {
            section.key(name, doc).within(Period(Duration::from_millis(100))..=Period::seconds(3_600)).or(default)
        };
        Self {
            handshake: period(
                "handshake",
                "From accept to the end of the PROXY header and the TLS handshake. 100ms to 1h.",
                default.handshake,
            ),
            headers: period(
                "headers",
                "From the first byte of a request (on a new connection: from accept or handshake) to the end of its header fields. 100ms to 1h.",
                default.headers,
            ),
            body_idle: period("body_idle", "Between two pieces of a request body. 100ms to 1h.", default.body_idle),
            write_idle: period(
                "write_idle",
                "While the client takes none of the bytes of a response. 100ms to 1h.",
                default.write_idle,
            ),
            keep_alive: period(
                "keep_alive",
                "Between two requests on one connection. 100ms to 1h.",
                default.keep_alive,
            ),
        }
    }
}

impl Limits {
    fn keys(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            header_size: section
                .key("header_size", "All header fields of one request together, names and values. 1 KiB to 1 MiB.")
                .within(Size::kib(1)..=Size::mib(1))
                .or(default.header_size),
            header_fields: section
                .key("header_fields", "Header fields in one request; cookie crumbs of HTTP/2 count. 1 to 1,000.")
                .within(1..=1_000)
                .or(default.header_fields),
            uri_size: section
                .key("uri_size", "The request target. 256 B to 64 KiB.")
                .within(Size(256)..=Size::kib(64))
                .or(default.uri_size),
            h2_streams: section
                .key("h2_streams", "Requests in flight on one HTTP/2 connection. 1 to 1,000.")
                .within(1..=1_000)
                .or(default.h2_streams),
        }
    }
}

/// `redirect_https` as it is written.
struct Redirect(Option<RedirectHttps>);

impl Setting for Redirect {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Boolean, Shape::Integer(1, 65_535)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self(None)),
            Scalar::Boolean(true) => Some(Self(Some(RedirectHttps { port: 443 }))),
            Scalar::Integer(_) | Scalar::Filled(_) => match u16::read(node)? {
                0 => node.problem(
                    "port 0 is no port to send clients to",
                    "write true for port 443, or the public HTTPS port",
                ),
                port => Some(Self(Some(RedirectHttps { port }))),
            },
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        self.0.map_or(serde_json::Value::Bool(false), |redirect| redirect.port.into())
    }
}

/// A path that the gateway answers itself.
struct OwnPath(String);

impl Setting for OwnPath {
    fn shape() -> Shape {
        Shape::Text { what: "a path that starts with `/`", example: "/ping", pattern: Some("^/|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if !text.starts_with('/') || text.contains(['?', '#', '*']) || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return node.problem(
                format!("`{text}` is not a path"),
                "write an exact path that starts with `/`, like \"/ping\"",
            );
        }
        Some(Self(text.into_owned()))
    }
}
