//! What `[[route]]` says.

use super::action;
use super::encoded_slash::EncodedSlash;
use super::timeouts::Timeouts;
use super::token::{Method, field};
use super::validate::ValidateSettings;
use crate::base::place::{At, Place};
use crate::base::settings::Section;
use crate::base::size::Size;
use crate::proxy::policy;

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
    /// What its requests have to be like.
    pub validate: Option<ValidateSettings>,
    /// What it does.
    pub action: ActionSettings,
    /// Where some of its requests are copied to.
    pub mirror: Option<MirrorSettings>,
    /// Changes the path that the backend gets.
    pub rewrite: Option<At<RewriteSettings>>,
    /// Whether `%2f` in the path is refused (default) or kept.
    pub encoded_slash: EncodedSlash,
    /// The largest request body. Default 16 MiB; `"0"` means no limit.
    pub body_limit: Size,
    /// Deadlines towards backends.
    pub timeouts: Timeouts,
    /// What else is done to its requests and their answers.
    pub policies: policy::Settings,
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

impl ValuePattern {
    /// Whether a value is what is wanted.
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => value == exact.as_bytes(),
            Self::Regex(_, regex) => regex.is_match(value),
            Self::Present => true,
        }
    }
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

/// The one of `pool`, `split`, `redirect`, `respond` that a route has.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionSettings {
    /// Sends to the pool of that name. An inline pool has been given the route's name and stands among the config's pools.
    Pool(At<String>),
    /// Shares requests out over pools.
    Split(SplitSettings),
    /// Answers with a redirect.
    Redirect(RedirectSettings),
    /// Answers with a fixed response.
    Respond(RespondSettings),
}

/// `split = { stable = 90, canary = 10 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitSettings {
    /// Pools by name, each with its weight. At least one is above 0.
    pub shares: Vec<(At<String>, u32)>,
    /// What stays with one pool. Default nothing: each request is shared out anew.
    pub by: policy::SplitBy,
}

/// `mirror = { pool = "shadow", percent = 10 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorSettings {
    /// The pool by its name.
    pub pool: At<String>,
    /// How many of a hundred requests, 0 to 100. Default 100.
    pub percent: f64,
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

impl ActionSettings {
    /// The pools that it names.
    fn pools(&self) -> Vec<&At<String>> {
        match self {
            Self::Pool(name) => vec![name],
            Self::Split(split) => split.shares.iter().map(|(name, _)| name).collect(),
            Self::Redirect(_) | Self::Respond(_) => Vec::new(),
        }
    }
}

impl Settings {
    /// The pools that it names.
    pub fn pools(&self) -> impl Iterator<Item = &At<String>> {
        let mirror = self.mirror.as_ref().map(|mirror| &mirror.pool);
        let service = self.policies.auth.as_ref().and_then(|auth| Some(&auth.service()?.pool));
        self.action.pools().into_iter().chain(mirror).chain(service)
    }

    /// Reads a route, but for `pool`, which the caller has read: pools belong to another station.
    pub fn keys(section: &mut Section<'_>, pool: Option<At<String>>) -> Self {
        let name = section.key("name", "Its name in logs and metrics; host and path where left out.").optional();
        let listener = section.key("listener", "The listeners it serves on. Left out: all.").list();
        let host: Vec<At<HostPattern>> = section
            .key(
                "host",
                "The hosts it serves: names, or `*.` and a name for one or more labels in front of it. Left out: any.",
            )
            .list();
        let path: Option<At<PathPattern>> = section
            .key("path", "`/x` exactly, `/x/*` for `/x` and everything below it, `~re` for a regular expression of the whole path. Left out: any.")
            .optional();
        let method: Vec<At<Method>> =
            section.key("method", "The methods it serves, in upper case. Left out: any.").list();
        let header = conditions(
            section,
            "header",
            "Header conditions, all of which must hold: \"exact\", \"~regex\" of the whole value, \"*\" for any value.",
        );
        let query = conditions(
            section,
            "query",
            "Query conditions, all of which must hold: \"exact\", \"~regex\" of the whole value, \"*\" for any value.",
        );
        let validate = section
            .key("validate", "What its requests have to be like; others are refused before anybody is asked.")
            .optional();
        let action = action::read(section, pool);
        let mirror = action::mirror(section);
        let rewrite: Option<At<RewriteSettings>> =
            section.key("rewrite", "Changes the path that the backend gets.").optional();
        if let Some(rewrite) = &rewrite {
            action::check_rewrite(section, rewrite, path.as_deref());
        }
        Self {
            name: name.unwrap_or_else(|| unnamed(section.place(), &host, path.as_ref())),
            place: section.place(),
            listener,
            host,
            method: method.into_iter().map(|method| At::new(method.value.0, method.place)).collect(),
            header: header.into_iter().filter_map(|(name, value)| field(section, &name, value)).collect(),
            query: query.into_iter().map(|(name, value)| QuerySettings { name, value }).collect(),
            validate,
            action,
            mirror,
            rewrite,
            encoded_slash: section
                .key("encoded_slash", "What happens to `%2f` in a path: \"refuse\" answers 400, \"keep\" leaves it an octet of its segment.")
                .or(EncodedSlash::default()),
            body_limit: section.key("body_limit", "The largest request body; \"0\" means no limit.").or(Size::mib(16)),
            timeouts: section.table("timeouts", "Deadlines towards backends; \"0s\" means none.", Timeouts::keys),
            policies: policy::Settings::keys(section),
            path,
        }
    }
}

/// What a route without a name is called: its first host and its path.
fn unnamed(place: Place, host: &[At<HostPattern>], path: Option<&At<PathPattern>>) -> At<String> {
    let host = host.first().map_or_else(|| "*".to_owned(), |host| host.to_string());
    let path = path.map_or_else(|| "/*".to_owned(), |path| path.to_string());
    At::new(host + &path, place)
}

fn conditions(section: &mut Section<'_>, name: &'static str, doc: &'static str) -> Vec<(At<String>, ValuePattern)> {
    section.key(name, doc).pairs()
}
