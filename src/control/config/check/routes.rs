//! Routes: there is one, none shadows another completely, none can never match.

use std::collections::{HashMap, HashSet};

use super::START;
use crate::base::place::{At, Place};
use crate::base::settings::{Problem, Reader};
use crate::control::config::Config;
use crate::proxy::route::{EncodedSlash, HeaderSettings, PathPattern, QuerySettings, Settings, ValuePattern};

/// Routes that are not among the `whole` ones have a matcher that could not be read.
pub(super) fn check(config: &Config, whole: &HashSet<Place>, reader: &Reader) {
    if config.routes.is_empty() {
        let message = "there is no [[route]]: every request would be answered with 404";
        let advice = "add one: [[route]] with `pool = [\"http://127.0.0.1:3000\"]`; see config/minimal.toml";
        reader.report(Problem::error(START, message, advice));
    }
    config.routes.iter().for_each(|route| encoded_slash(route, reader));
    identical(config.routes.iter().filter(|route| whole.contains(&route.place)), reader);
}

/// A path with `%2F` in it needs a route that lets it through.
fn encoded_slash(route: &Settings, reader: &Reader) {
    let Some(At { value: PathPattern::Exact(path) | PathPattern::Prefix(path), place }) = &route.path else { return };
    if route.encoded_slash == EncodedSlash::Refuse && path.contains("%2F") {
        let message = "this path can never match: requests with `%2F` are refused";
        reader.report(Problem::error(*place, message, "add `encoded_slash = \"keep\"` to the route"));
    }
}

/// Everything that a route asks of a request, in one spelling.
type Matchers<'c> = (Option<String>, Option<String>, Vec<&'c str>, Vec<(&'c str, String)>, Vec<(&'c str, String)>);

/// Two routes that ask the same of a request, on one listener at least: the second would never be used.
fn identical<'c>(routes: impl Iterator<Item = &'c Settings>, reader: &Reader) {
    let mut seen: HashMap<Matchers<'_>, Vec<&Settings>> = HashMap::new();
    for route in routes {
        let hosts: Vec<Option<String>> = match route.host.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(|host| Some(host.to_string())).collect(),
        };
        for host in hosts {
            if reader.is_full() {
                return;
            }
            let same = seen.entry(matchers(route, host)).or_default();
            // A route that lists one host twice meets itself.
            if let Some(first) = same.iter().find(|first| first.place != route.place && overlap(first, route)) {
                let message =
                    format!("the routes `{}` and `{}` match the same requests", first.name.value, route.name.value);
                let advice = "remove one of them, or tell them apart by `host`, `path`, `method`, `header` or `query`";
                reader.report(Problem::error(route.place, message, advice).beside(first.place, "the first is here"));
            }
            same.push(route);
        }
    }
}

fn matchers(route: &Settings, host: Option<String>) -> Matchers<'_> {
    let mut methods: Vec<&str> = route.method.iter().map(|method| method.as_str()).collect();
    methods.sort_unstable();
    methods.dedup();
    let mut headers: Vec<(&str, String)> =
        route.header.iter().map(|HeaderSettings { name, value }| (name.as_str(), spelt(value))).collect();
    let mut queries: Vec<(&str, String)> =
        route.query.iter().map(|QuerySettings { name, value }| (name.as_str(), spelt(value))).collect();
    headers.sort();
    queries.sort();
    (host, route.path.as_ref().map(|path| path.to_string()), methods, headers, queries)
}

fn spelt(value: &ValuePattern) -> String {
    match value {
        ValuePattern::Exact(text) => format!("={text}"),
        ValuePattern::Regex(text, _) => format!("~{text}"),
        ValuePattern::Present => "*".to_owned(),
    }
}

/// Whether some listener serves both routes.
fn overlap(a: &Settings, b: &Settings) -> bool {
    a.listener.is_empty() || b.listener.is_empty() || a.listener.iter().any(|name| b.listener.contains(name))
}
