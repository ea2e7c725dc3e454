//! Names: unique within their kind, and everything that is named exists.

use std::collections::{HashMap, HashSet};

use crate::base::place::At;
use crate::base::settings::{Problem, Reader, suggest};
use crate::control::config::Config;

/// Names are labels of metrics and appear in logs and URLs.
const LONGEST: usize = 200;
/// Names listed in an advice.
const LISTED: usize = 10;

pub(super) fn check(config: &Config, reader: &Reader) {
    unique("listeners", config.listeners.iter().map(|listener| &listener.name), reader);
    unique("certificates", config.certificates.iter().map(|certificate| &certificate.name), reader);
    unique("hosts", config.hosts.iter().map(|host| &host.name), reader);
    unique("routes", config.routes.iter().map(|route| &route.name), reader);
    unique("pools", config.pools.iter().map(|pool| &pool.name), reader);
    pools(config, reader);
    let listeners =
        Names::of("listener", "[[listener]] with this `name`", config.listeners.iter().map(|listener| &listener.name));
    let narrowed = config.routes.iter().flat_map(|route| &route.listener);
    narrowed
        .chain(config.certificates.iter().flat_map(|certificate| &certificate.listener))
        .for_each(|name| listeners.wants(name, reader));
    let certificates = Names::of(
        "certificate",
        "[[certificate]] with this `name`",
        config.certificates.iter().map(|certificate| &certificate.name),
    );
    let tls = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    tls.filter_map(|tls| tls.default_certificate.as_ref()).for_each(|name| certificates.wants(name, reader));
}

/// Every pool that a route names is there; one that no route names is told.
fn pools(config: &Config, reader: &Reader) {
    let known = Names::of("pool", "[pool.NAME] with this name", config.pools.iter().map(|pool| &pool.name));
    let mut used = HashSet::new();
    for route in &config.routes {
        for name in route.pools() {
            known.wants(name, reader);
            used.insert(name.as_str());
        }
    }
    for pool in config.pools.iter().filter(|pool| !used.contains(pool.name.as_str())) {
        let message = format!("no route uses the pool `{}`", pool.name.value);
        let advice = format!("name it in a route, `pool = \"{}\"`, or remove it", pool.name.value);
        reader.report(Problem::warning(pool.name.place, message, advice));
    }
}

/// Reports names that stand twice, and names that cannot be labels. Empty ones are placeholders of what has been reported.
fn unique<'c>(kind: &str, names: impl Iterator<Item = &'c At<String>>, reader: &Reader) {
    let mut places = HashMap::new();
    for name in names.filter(|name| !name.is_empty()) {
        if name.len() > LONGEST || name.chars().any(char::is_control) {
            let advice = "write up to 200 bytes without control characters, or set `name`";
            reader.report(Problem::error(name.place, "this cannot be a name", advice));
        }
        if let Some(first) = places.insert(name.as_str(), name.place) {
            let message = format!("two {kind} are called `{}`", name.value);
            let advice = match kind {
                "hosts" => "join them into one [[host]]",
                "pools" => "rename one of them; a pool written inline is called by its route",
                _ => "give one of them another `name`",
            };
            reader.report(Problem::error(name.place, message, advice).beside(first, "the first is here"));
        }
    }
}

/// The names of one kind that can be referred to.
struct Names<'c> {
    kind: &'static str,
    /// What to add where a name is missing.
    table: &'static str,
    listed: Vec<&'c str>,
    set: HashSet<&'c str>,
}

impl<'c> Names<'c> {
    fn of(kind: &'static str, table: &'static str, names: impl Iterator<Item = &'c At<String>>) -> Self {
        let listed: Vec<&str> = names.map(|name| name.as_str()).filter(|name| !name.is_empty()).collect();
        Self { kind, table, set: listed.iter().copied().collect(), listed }
    }

    /// Reports `name` where nothing is called by it.
    fn wants(&self, name: &At<String>, reader: &Reader) {
        if name.is_empty() || self.set.contains(name.as_str()) || reader.is_full() {
            return;
        }
        let advice = match suggest::closest(name, self.listed.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.listed.is_empty() => format!("add a {}", self.table),
            None => {
                let some: Vec<String> = self.listed.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
                format!("add a {}, or use one of: {}", self.table, some.join(", "))
            }
        };
        reader.report(Problem::error(name.place, format!("there is no {} `{}`", self.kind, name.value), advice));
    }
}
