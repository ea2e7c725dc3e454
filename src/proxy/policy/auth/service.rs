//! What a route says of a service that is asked: by a URL, or by the name of a pool.

use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};
use crate::proxy::balance::{self, BackendUrl};

/// A service that is asked: a URL, the name of a pool, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSettings {
    /// Its pool, by its name. One that is made of `url` is called by it.
    pub pool: At<String>,
    /// The pool that is made of `url`.
    pub own: Option<Box<balance::Settings>>,
    /// What it is asked for: path and query.
    pub target: String,
}

impl ServiceSettings {
    /// Its own host; none where it is named as a pool.
    pub fn authority(&self) -> Option<&str> {
        self.own.as_ref()?;
        Some(self.pool.split_once("://").map_or("localhost", |(_, host)| host))
    }

    /// Whether somebody between could answer in its place. A pool that is named is the config's to judge.
    pub(super) fn can_be_forged(&self) -> bool {
        let plain = |backend: &balance::BackendSettings| {
            let near = match &backend.url.target {
                balance::Target::Address(address) => address.ip().to_canonical().is_loopback(),
                balance::Target::Name(name, _) => name == "localhost",
                balance::Target::Unix(_) => true,
                balance::Target::Service(_) => false,
            };
            !backend.url.secure && !near
        };
        self.own.as_ref().is_some_and(|pool| pool.backends.iter().any(plain))
    }

    /// The key of its table that a string stands for.
    pub(super) fn short(text: &str) -> &'static str {
        if text.contains("://") || text.starts_with("unix:") { "url" } else { "pool" }
    }

    /// Reads the keys among those of a table.
    pub(super) fn keys(section: &mut Section<'_>) -> Option<Self> {
        let url: Option<ServiceUrl> = section
            .key("url", "Where the service is, with its path: `http://host[:port]/path`. A pool is made of it.")
            .optional();
        let pool: Option<At<String>> =
            section.key("pool", "The name of a [pool.NAME] of the service instead.").optional();
        let path: Option<At<Target>> =
            section.key("path", "What it is asked for, where `url` has no path. Left out: /.").optional();
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
        Some(Self { pool, own, target: target.unwrap_or_else(|| "/".to_owned()) })
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
