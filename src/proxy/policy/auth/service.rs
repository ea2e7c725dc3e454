//! What a route says of the service that it asks: `auth.forward`.

use std::time::Duration;

use super::settings::FieldName;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};
use crate::proxy::balance::{self, BackendUrl};

/// `forward`: a URL, the name of a pool, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardSettings {
    /// The pool of the service, by its name. One that is made of `url` is called by it.
    pub pool: At<String>,
    /// The pool that is made of `url`.
    pub own: Option<Box<balance::Settings>>,
    /// What it is asked for: path and query.
    pub target: String,
    /// The fields of its answer that the backend gets, in lower case.
    pub copy_headers: Vec<String>,
    /// How long it may take. Default 5 s.
    pub timeout: Period,
}

impl ForwardSettings {
    /// The host that it is asked with; none where that is the client's.
    pub fn authority(&self) -> Option<&str> {
        self.own.as_ref()?;
        Some(self.pool.split_once("://").map_or("localhost", |(_, host)| host))
    }
}

impl Setting for ForwardSettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::text("the URL of a service or the name of a pool", "http://127.0.0.1:9091/verify"),
            Shape::table(|section| drop(Self::keys(section))),
        ])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return node.table(Self::keys).flatten();
        }
        let text = node.text::<Self>()?;
        let key = if text.contains("://") || text.starts_with("unix:") { "url" } else { "pool" };
        node.short(key, Self::keys)
    }
}

impl ForwardSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let url: Option<ServiceUrl> = section
            .key("url", "Where the service is, with its path: `http://host[:port]/path`. A pool is made of it.")
            .optional();
        let pool: Option<At<String>> =
            section.key("pool", "The name of a [pool.NAME] of the service instead.").optional();
        let path: Option<At<Target>> =
            section.key("path", "What it is asked for, where `url` has no path. Left out: /.").optional();
        let copy_headers: Vec<FieldName> = section
            .key(
                "copy_headers",
                "The header fields of its answer that the backend gets. The client's own never get there.",
            )
            .list();
        let timeout = section
            .key("timeout", "How long it may take. 100ms to 1m.")
            .within(Period(Duration::from_millis(100))..=Period::seconds(60))
            .or(Period::seconds(5));
        section.exactly_one(&["url", "pool"]);
        if let Some(pool) = pool.as_ref().filter(|pool| pool.is_empty()) {
            section.problem(pool.place, "the name of the pool is empty", "write the name of a [pool.NAME], or a URL");
        }
        if let (Some(path), Some(Some(_))) = (&path, url.as_ref().map(|url| &url.target)) {
            section.problem(path.place, "`url` has a path already", "remove `path`");
        }
        let written = path.map(|path| path.value.0);
        let (pool, own, target) = match url {
            Some(url) => (url.pool.name.clone(), Some(Box::new(url.pool)), url.target.or(written)),
            None => (pool?, None, written),
        };
        let copy_headers = copy_headers.into_iter().map(|name| name.0.to_ascii_lowercase()).collect();
        Some(Self { pool, own, target: target.unwrap_or_else(|| "/".to_owned()), copy_headers, timeout })
    }
}

/// The URL of a service: a backend's, and a path.
struct ServiceUrl {
    pool: balance::Settings,
    target: Option<String>,
}

impl Setting for ServiceUrl {
    fn shape() -> Shape {
        Shape::Text {
            what: "the URL of a service",
            example: "http://127.0.0.1:9091/verify",
            pattern: Some("^https?://|^unix:|\\$\\{"),
        }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        let begin = text.find("://").filter(|_| !text.starts_with("unix:")).map(|at| at + 3);
        let end = begin.and_then(|begin| Some(begin + text[begin..].find(['/', '?', '#'])?));
        let (base, rest) = text.split_at(end.unwrap_or(text.len()));
        if base.contains(',') {
            return node.problem(format!("`{text}` is not the URL of a service"), "write one URL");
        }
        let target = match rest {
            "" => None,
            path => match target(path) {
                Some(target) => Some(target),
                None => return node.problem(format!("`{text}` is not the URL of a service"), PATH_ADVICE),
            },
        };
        // Read as any pool of one backend is, so that what holds for all of them holds for it.
        let given = node.given(base);
        let place = node.place();
        BackendUrl::read(&given)?;
        let mut pool = given.short("backends", balance::Settings::keys)?;
        pool.name = At::new(base.to_owned(), place);
        Some(Self { pool, target })
    }
}

const PATH_ADVICE: &str =
    "write a path and a query, percent-encoded and without a fragment: \"http://127.0.0.1:9091/verify\"";

/// Path and query.
struct Target(String);

impl Setting for Target {
    fn shape() -> Shape {
        Shape::Text { what: "a path", example: "/verify", pattern: Some("^/|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        match target(&text).filter(|_| text.starts_with('/')) {
            Some(target) => Some(Self(target)),
            None => node.problem(format!("`{text}` is not a path"), "write one like \"/verify\""),
        }
    }
}

fn target(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let slash = if text.starts_with('/') { "" } else { "/" };
    (plain && text.len() <= 2_000).then(|| format!("{slash}{text}"))
}
