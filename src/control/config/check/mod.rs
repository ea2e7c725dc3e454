//! What no table can know alone: names resolve and are unique, listeners and routes do not contradict each other.

mod listeners;
mod names;
mod routes;

use super::Config;
use super::draft::{Draft, Objects};
use super::sources::Sources;
use super::syntax;
use crate::base::place::Place;
use crate::base::settings::{Entry, Problem, Reader, Shape, suggest};
use crate::proxy::listen;

/// The listeners of a config that has none. As text, so that its problems can be shown like any others.
const DEFAULT_LISTENERS: &str = r#"[[listener]]
bind = ["0.0.0.0:443", "[::]:443"]
tls = true

[[listener]]
bind = ["0.0.0.0:80", "[::]:80"]
redirect_https = true
"#;

/// Adds the default listeners where there are none, and reports everything that does not fit together. With `complete`
/// false some file could not be read, so that nothing is said about what may stand in it.
pub(super) fn resolve(draft: Draft, reader: &Reader, sources: &mut Sources, complete: bool) -> Config {
    let Draft { server, admin, log, rate_limit, acl, mut objects } = draft;
    if !objects.has_listeners && complete {
        objects.listeners = default_listeners(reader, sources);
    }
    let Objects { listeners, certificates, hosts, routes, pools, whole_routes, .. } = objects;
    let config = Config { server, admin, log, rate_limit, acl, listeners, certificates, hosts, routes, pools };
    if complete {
        names::check(&config, reader);
        listeners::check(&config, reader);
        routes::check(&config, &whole_routes, reader);
    }
    variables(reader);
    config
}

fn default_listeners(reader: &Reader, sources: &mut Sources) -> Vec<listen::Settings> {
    let file = sources.add_text("default listeners", DEFAULT_LISTENERS.to_owned());
    let Ok(document) = syntax::parse(file, DEFAULT_LISTENERS) else { return Vec::new() };
    let mut objects = Objects::default();
    reader.root(file, &document, |section| objects.add_included(section));
    objects.listeners
}

/// The start of the main file: the place of what is missing altogether.
const START: Place = Place { file: 0, start: 0, end: 0 };

/// Variables that look as if they should override a key, but name none.
fn variables(reader: &Reader) {
    let mut known = Vec::new();
    for unused in reader.unused().filter(|unused| unused.name != "PORTCULLIS_STRATEGY") {
        if known.is_empty() {
            known = overridable();
        }
        let advice = match suggest::closest(&unused.name, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("unset it, or use one of: {}", known.join(", ")),
        };
        reader.report(Problem::warning(unused.place, format!("`{}` overrides no key", unused.name), advice));
    }
}

/// The variables that override a key.
fn overridable() -> Vec<String> {
    let Shape::Table(tables) = Config::shape() else { return Vec::new() };
    let keys = |table: &Entry| match &table.shape {
        Shape::Table(keys) if matches!(table.name, "server" | "admin" | "log") => {
            keys.iter().map(|key| format!("PORTCULLIS_{}_{}", table.name, key.name).to_ascii_uppercase()).collect()
        }
        _ => Vec::new(),
    };
    tables.iter().flat_map(keys).collect()
}
