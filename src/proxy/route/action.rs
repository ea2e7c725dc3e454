//! What a route does with a request, as it is written: redirect, respond, rewrite.

use super::{
    ActionSettings, MirrorSettings, PathPattern, RedirectSettings, RespondSettings, RewriteSettings, SplitSettings,
};
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};
use crate::proxy::policy::SplitBy;

/// The largest fixed body, in bytes.
const LARGEST_BODY: usize = 64 << 10;

/// The one action of a route; `pool` has been read by the caller, because pools belong to another station.
pub(super) fn read(section: &mut Section<'_>, pool: Option<At<String>>) -> ActionSettings {
    let redirect: Option<RedirectSettings> = section.key("redirect", "Answers with a redirect.").optional();
    let respond: Option<RespondSettings> = section.key("respond", "Answers with a fixed response.").optional();
    let split = split(section);
    section.exactly_one(&["pool", "split", "redirect", "respond"]);
    match (redirect, respond, split) {
        (Some(redirect), _, _) => ActionSettings::Redirect(redirect),
        (None, Some(respond), _) => ActionSettings::Respond(respond),
        (None, None, Some(split)) => ActionSettings::Split(split),
        (None, None, None) => ActionSettings::Pool(pool.unwrap_or_default()),
    }
}

/// Reads `mirror`, which stands beside a pool or a split.
pub(super) fn mirror(section: &mut Section<'_>) -> Option<MirrorSettings> {
    let mirror = section
        .key("mirror", "Copies requests to another pool, whose answers nobody gets. Bodies up to 64 KiB.")
        .optional();
    if let Some(place) = section.written("mirror")
        && section.written("pool").is_none()
        && section.written("split").is_none()
    {
        section.problem(place, "`mirror` copies what a backend gets, but this route has no pool", "remove it");
    }
    mirror
}

impl Table for MirrorSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let pool = section.key("pool", "The name of a [pool.NAME].").required();
        let percent = section.key("percent", "How many of a hundred requests. 0 to 100.").within(0.0..=100.0).or(100.0);
        Some(Self { pool: pool?, percent })
    }
}

/// The largest weight of a share.
const HEAVIEST: u32 = 1_000_000;

fn split(section: &mut Section<'_>) -> Option<SplitSettings> {
    let shares: Vec<(At<String>, Share)> =
        section.key("split", "Shares requests out over pools: their names and weights, 0 to 1,000,000.").pairs();
    let by = section
        .key("split_by", "What stays with one pool of the split: \"request\" for nothing, \"ip\" for a client address, \"cookie\" for a browser.")
        .or(SplitBy::default());
    let Some(place) = section.written("split") else {
        if let Some(place) = section.written("split_by") {
            section.problem(place, "`split_by` belongs to `split`, which is not there", "add `split`, or remove it");
        }
        return None;
    };
    if shares.iter().all(|(_, share)| share.0 == 0) {
        section.problem(
            place,
            "no pool of this split has a share",
            "write a weight above 0: split = { stable = 90, canary = 10 }",
        );
    }
    Some(SplitSettings { shares: shares.into_iter().map(|(name, share)| (name, share.0)).collect(), by })
}

struct Share(u32);

impl Setting for Share {
    fn shape() -> Shape {
        Shape::Integer(0, i64::from(HEAVIEST))
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match u32::read(node)? {
            weight @ 0..=HEAVIEST => Some(Self(weight)),
            weight => node.problem(format!("{weight} is too heavy for a share"), "write a weight from 0 to 1,000,000"),
        }
    }
}

impl Table for RedirectSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let to: Option<Target> = section
            .key("to", "Scheme and host, optionally with a path. Without a path, the request's path and query follow.")
            .required();
        let status = section.key("status", "301, 302, 303, 307 or 308.").or(RedirectStatus(308));
        Some(Self { to: to?.0, status: status.0 })
    }
}

struct Target(String);

impl Setting for Target {
    fn shape() -> Shape {
        Shape::Text { what: "a URL", example: "https://www.example.com", pattern: Some("^https?://|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        let uri: Option<http::Uri> = text.parse().ok();
        let whole = uri.filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        if whole.is_none() || text.contains('#') || text.contains('@') {
            let advice = "write a scheme and a host, optionally with a path: \"https://www.example.com\"";
            return node.problem(format!("`{text}` is not a URL to redirect to"), advice);
        }
        Some(Self(text.into_owned()))
    }
}

struct RedirectStatus(u16);

impl Setting for RedirectStatus {
    fn shape() -> Shape {
        Shape::Integer(301, 308)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match u16::read(node)? {
            status @ (301 | 302 | 303 | 307 | 308) => Some(Self(status)),
            status => {
                node.problem(format!("{status} is not a status of a redirect"), "write 301, 302, 303, 307 or 308")
            }
        }
    }

    fn shown(&self) -> serde_json::Value {
        self.0.into()
    }
}

impl Table for RespondSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let status = section.key("status", "The status. 200 to 599.").within(200..=599).required();
        let body: Option<At<String>> = section.key("body", "The body, up to 64 KiB. Empty where left out.").optional();
        let plain = At::new("text/plain; charset=utf-8".to_owned(), section.place());
        let content_type = section.key("content_type", "The media type of the body.").or(plain);
        if let Some(body) = body.as_ref().filter(|body| body.len() > LARGEST_BODY) {
            section.problem(
                body.place,
                format!("the body has {} bytes", body.len()),
                "keep it to 64 KiB, or serve it from a backend",
            );
        }
        if let Some(body) = body.as_ref().filter(|body| !body.is_empty() && matches!(status, Some(204 | 304))) {
            section.problem(
                body.place,
                "answers with status 204 and 304 have no body",
                "leave out `body`, or set another status",
            );
        }
        if !content_type.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || content_type.is_empty() {
            section.problem(
                content_type.place,
                "`content_type` is not a media type",
                "write one like \"text/html; charset=utf-8\"",
            );
        }
        Some(Self {
            status: status?,
            body: body.map(|body| body.value).unwrap_or_default(),
            content_type: content_type.value,
        })
    }
}

impl Table for RewriteSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let strip: Option<Prefix> = section
            .key(
                "strip_prefix",
                "Takes this off the front: with \"/api\", `/api/x` becomes `/x` and `/api` becomes `/`.",
            )
            .optional();
        let replace: Option<Prefix> = section
            .key(
                "prefix",
                "Stands in for the route's own prefix: with \"/v2\", `/api/x` of a route for `/api/*` becomes `/v2/x`.",
            )
            .optional();
        section.exactly_one(&["strip_prefix", "prefix"]);
        strip.map(|prefix| Self::StripPrefix(prefix.0)).or_else(|| replace.map(|prefix| Self::ReplacePrefix(prefix.0)))
    }
}

/// `"/api"`, without the star: an ordinary path that would be an exact pattern.
struct Prefix(String);

impl Setting for Prefix {
    fn shape() -> Shape {
        Shape::Text { what: "a path", example: "/api", pattern: Some("^/|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if text.starts_with('~') || text.ends_with("/*") {
            let advice =
                format!("write it without a pattern: \"{}\"", text.trim_start_matches('~').trim_end_matches("/*"));
            return node.problem(format!("`{text}` is a pattern, but the rewrite needs a path"), advice);
        }
        match text.parse() {
            Ok(PathPattern::Exact(path)) => Some(Self(path)),
            Ok(_) => None,
            Err(error) => node.refuse(&error),
        }
    }
}

/// A rewrite that the route's own path or action makes impossible is a problem.
pub(super) fn check_rewrite(section: &Section<'_>, rewrite: &At<RewriteSettings>, path: Option<&PathPattern>) {
    if !section.is_recording() && section.written("pool").is_none() && section.written("split").is_none() {
        let message = "`rewrite` changes what a backend gets, but this route has no pool";
        section.problem(rewrite.place, message, "remove it, or write the new path into `redirect`");
    }
    match (&rewrite.value, path) {
        (RewriteSettings::ReplacePrefix(_), Some(PathPattern::Regex(..))) => section.problem(
            rewrite.place,
            "`prefix` replaces the route's own prefix, but its path is a regular expression",
            "give the route a path that ends in `/*`, or use `strip_prefix`",
        ),
        (RewriteSettings::StripPrefix(strip), Some(PathPattern::Exact(path) | PathPattern::Prefix(path))) => {
            let strip = strip.trim_end_matches('/');
            let below = path.strip_prefix(strip).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if !below {
                let message = format!("no path of this route starts with `{strip}`");
                section.problem(rewrite.place, message, format!("write a prefix of the route's own path: \"{path}\""));
            }
        }
        _ => {}
    }
}
