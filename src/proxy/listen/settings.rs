//! What `[[listener]]` says.

use std::net::SocketAddr;

use crate::base::period::Period;
use crate::base::place::At;
use crate::base::size::Size;
use crate::proxy::tls;

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name; its first `bind` where the file gives none. Unique.
    pub name: At<String>,
    /// The addresses it accepts on; at least one.
    pub bind: Vec<At<Bind>>,
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

/// One address to accept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bind(pub SocketAddr);

/// `redirect_https = true` or a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectHttps {
    /// The public HTTPS port; 443 is not written into the target.
    pub port: u16,
}

/// `[listener.timeouts]`: deadlines towards clients. `"0s"` is not accepted: each of them bounds an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the TLS handshake. Default 10 s.
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
