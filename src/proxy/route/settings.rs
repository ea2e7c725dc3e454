//! What `[[route]]` says.

use crate::base::period::Period;
use crate::base::place::{At, Place};
use crate::base::size::Size;

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name; its host and path where the file gives none. Unique.
    pub name: At<String>,
    /// Where the table starts, for problems of the route as a whole.
    pub place: Place,
    /// The listeners it serves on; empty means all.
    pub listener: Vec<At<String>>,
    /// The hosts it serves; empty means any.
    pub host: Vec<At<HostPattern>>,
    /// The paths it serves; absent means any.
    pub path: Option<At<PathPattern>>,
    /// The methods it serves; empty means any. Upper case tokens.
    pub method: Vec<At<String>>,
    /// Header conditions; all must hold.
    pub header: Vec<HeaderSettings>,
    /// Query conditions; all must hold.
    pub query: Vec<QuerySettings>,
    /// What it does.
    pub action: ActionSettings,
    /// Changes the path that the backend gets.
    pub rewrite: Option<At<RewriteSettings>>,
    /// Whether `%2f` in the path is refused (default) or kept.
    pub encoded_slash: EncodedSlash,
    /// The largest request body. Default 16 MiB; `"0"` means no limit.
    pub body_limit: Size,
    /// Deadlines towards backends.
    pub timeouts: Timeouts,
}

/// `host`: an exact name, or `*.` and a name: one or more labels in front of it. Lower case, IDNA A-labels, no port.
/// IP addresses are exact names; IPv6 without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `"www.example.com"`.
    Exact(String),
    /// `"*.example.com"`: the name after the star and its dot.
    Wildcard(String),
}

/// `path`, matched against the deciding path, case-sensitive.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// `"/x"`.
    Exact(String),
    /// `"/x/*"`: `/x` and everything below it, by segments. Held without the `/*`; empty for `"/*"`.
    Prefix(String),
    /// `"~re"`: must match the whole path. The text is kept for comparing and showing.
    Regex(String, regex::Regex),
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b))
            | (Self::Prefix(a), Self::Prefix(b))
            | (Self::Regex(a, _), Self::Regex(b, _)) => a == b,
            _ => false,
        }
    }
}

/// What a header or query value is held against: `"exact"`, `"~regex"` (whole value), `"*"` (present).
#[derive(Clone, Debug)]
pub enum ValuePattern {
    /// Exactly this.
    Exact(String),
    /// The whole value matches.
    Regex(String, regex::bytes::Regex),
    /// Any value, but it must be there.
    Present,
}

impl PartialEq for ValuePattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Regex(a, _), Self::Regex(b, _)) => a == b,
            (Self::Present, Self::Present) => true,
            _ => false,
        }
    }
}

/// One entry of `header`. The condition holds when any field of that name matches.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderSettings {
    /// Lower case field name.
    pub name: At<String>,
    /// What the value is held against.
    pub value: ValuePattern,
}

/// One entry of `query`. The condition holds when the first parameter of that name (percent-decoded, `+` is a space) matches.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySettings {
    /// The parameter's name, decoded.
    pub name: At<String>,
    /// What the value is held against.
    pub value: ValuePattern,
}

/// The one of `pool`, `redirect`, `respond` that a route has.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionSettings {
    /// Sends to the pool of that name. An inline pool has been given the route's name and stands among the config's pools.
    Pool(At<String>),
    /// Answers with a redirect.
    Redirect(RedirectSettings),
    /// Answers with a fixed response.
    Respond(RespondSettings),
}

/// `redirect = { to = "https://www.example.com", status = 308 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectSettings {
    /// Scheme and authority, optionally with a path. Without a path, the request's path and query follow.
    pub to: String,
    /// 301, 302, 303, 307 or 308. Default 308.
    pub status: u16,
}

/// `respond = { status = 418, body = "…", content_type = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RespondSettings {
    /// 200 to 599.
    pub status: u16,
    /// Up to 64 KiB. Default empty.
    pub body: String,
    /// Default `text/plain; charset=utf-8`.
    pub content_type: String,
}

/// `rewrite`, one of two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteSettings {
    /// `{ strip_prefix = "/api" }`: `/api/x` becomes `/x`, `/api` becomes `/`.
    StripPrefix(String),
    /// `{ prefix = "/v2" }`: replaces the route's own prefix path by this one.
    ReplacePrefix(String),
}

/// `encoded_slash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// `"refuse"`: 400.
    #[default]
    Refuse,
    /// `"keep"`: stays an encoded octet within its segment.
    Keep,
}

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
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Period::seconds(3),
            response: Period::seconds(30),
            idle: Period::seconds(60),
            total: Period::default(),
        }
    }
}
