//! Deadlines of a route towards backends.

use crate::base::period::Period;
use crate::base::settings::Section;

/// `timeouts` of a route: deadlines towards backends. `"0s"` means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To open a connection. Default 3 s.
    pub connect: Period,
    /// From the end of the request (or the last piece of it that the backend took) to the header fields of the answer. Default 30 s.
    pub response: Period,
    /// Between two pieces of the answer's body. Default 60 s.
    pub idle: Period,
    /// The whole exchange. Default none.
    pub total: Period,
    /// How long a WebSocket may be silent, and a call of gRPC in either direction. Default 1 h.
    pub tunnel_idle: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Period::seconds(3),
            response: Period::seconds(30),
            idle: Period::seconds(60),
            total: Period::default(),
            tunnel_idle: Period::seconds(3_600),
        }
    }
}

impl Timeouts {
    pub(super) fn keys(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let mut period =
            |name, doc, default| section.key(name, doc).within(Period::default()..=Period::seconds(86_400)).or(default);
        Self {
            connect: period("connect", "To open a connection. 0s to 1d.", default.connect),
            response: period(
                "response",
                "From the end of the request (or the last piece of it that the backend took) to the header fields of the answer. 0s to 1d.",
                default.response,
            ),
            idle: period("idle", "Between two pieces of the answer's body. 0s to 1d.", default.idle),
            total: period("total", "The whole exchange. 0s to 1d.", default.total),
            tunnel_idle: period(
                "tunnel_idle",
                "How long a WebSocket may be silent, and a call of gRPC in either direction. 0s to 1d.",
                default.tunnel_idle,
            ),
        }
    }
}
