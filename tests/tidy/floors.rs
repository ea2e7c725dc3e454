//! Nothing imports upward, siblings only where it is said why, no cycles.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::named_paths;
use crate::{none, sources};

/// Module → floor. A module imports from below; on its own floor only what `SIBLINGS` lists.
const FLOORS: [(&str, u8); 41] = [
    ("base", 0),
    ("proxy::socket", 1),
    ("proxy::io", 2),
    ("proxy::message", 1),
    ("proxy::fault", 2),
    ("proxy::listen", 4),
    ("proxy::tls", 4),
    ("proxy::http", 4),
    ("proxy::route", 4),
    ("proxy::policy", 4),
    ("proxy::balance", 4),
    ("proxy::upstream", 4),
    ("proxy::snapshot", 5),
    ("proxy::worker", 6),
    ("proxy::connection", 7),
    ("proxy::exchange", 8),
    ("proxy::explain", 9),
    ("proxy::serve", 9),
    ("proxy::serve_h2", 9),
    ("proxy::accept", 10),
    ("proxy::work", 11),
    ("control::config", 12),
    ("control::build", 13),
    ("control::explain", 13),
    ("control::acme", 14),
    ("control::admin", 14),
    ("control::health", 14),
    ("control::ports", 14),
    ("control::reload", 14),
    ("control::resolve", 14),
    ("control::rollout", 14),
    ("control::signals", 14),
    ("control::state", 14),
    ("control::accept", 15),
    ("control::inventory", 15),
    ("control::gateway", 16),
    ("control::supervisor", 17),
    ("control", 18),
    ("control::demo", 19),
    ("control::cli", 20),
    ("main", 21),
];

/// Imports between modules of one floor that are right, and why.
const SIBLINGS: &[(&str, &str, &str)] = &[
    ("proxy::route", "proxy::policy", "a route's settings hold those of its policies"),
    ("proxy::policy", "proxy::http", "a policy asks for the host as the codec has checked it"),
    ("proxy::upstream", "proxy::policy", "what clients must not say of themselves, they do not say in trailers either"),
    ("proxy::policy", "proxy::balance", "the service that says who may come is a pool, and its URL a backend's"),
    ("proxy::upstream", "proxy::balance", "an attempt goes to the endpoint that the balancer chose"),
    ("proxy::balance", "proxy::tls", "an endpoint knows how it is verified"),
    ("proxy::upstream", "proxy::tls", "a connection to a backend may begin with a handshake"),
    ("proxy::upstream", "proxy::http", "backends speak the same HTTP/1.1 codec as clients"),
    ("proxy::upstream", "proxy::listen", "the PROXY header is the same in both directions"),
    ("proxy::serve", "proxy::serve_h2", "the handshake decides which protocol a connection speaks"),
    ("proxy::listen", "proxy::tls", "a listener's settings hold its TLS settings"),
];

#[test]
fn imports_only_go_down() {
    let mut wrong = Vec::new();
    for (from, to, file) in imports() {
        let (Some(above), Some(below)) = (floor(&from), floor(&to)) else {
            wrong.push(format!("{file}: {from} imports {to}; a module has no floor yet: add it to FLOORS"));
            continue;
        };
        let sibling = SIBLINGS.iter().any(|(one, other, _)| *one == from && *other == to);
        if below > above || (below == above && !sibling) {
            wrong.push(format!("{file}: {from} (floor {above}) imports {to} (floor {below})"));
        }
    }
    none(&wrong);
}

#[test]
fn every_module_has_a_floor() {
    let modules: BTreeSet<_> = sources("src").iter().map(|source| module_of(&source.path)).collect();
    let homeless = |module: &String| floor(module).is_none() && module != "lib" && module != "proxy";
    none(&modules.into_iter().filter(homeless).collect::<Vec<_>>());
}

#[test]
fn no_import_cycle_between_modules() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to, _) in imports() {
        graph.entry(from).or_default().insert(to);
    }
    // What imports nothing that is left, or is imported by nothing that is left, is no part of a cycle.
    loop {
        let imported: BTreeSet<_> = graph.values().flatten().cloned().collect();
        let count = graph.len();
        let left: BTreeSet<_> = graph.keys().cloned().collect();
        graph.retain(|from, to| imported.contains(from) && to.iter().any(|to| left.contains(to)));
        if graph.len() == count {
            break;
        }
    }
    none(&graph.keys().collect::<Vec<_>>());
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The module of `FLOORS` that a file belongs to: `base`, or two segments under `proxy` and `control`.
fn module_of(path: &str) -> String {
    let mut path = segments(path);
    path.truncate(if path[0] == "base" { 1 } else { 2 });
    path.join("::")
}

/// `src/proxy/tls/mod.rs` is `proxy`, `tls`.
fn segments(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

/// Every import from one module into another: from, to, file.
fn imports() -> Vec<(String, String, String)> {
    let mut imports = Vec::new();
    for source in sources("src") {
        let from = module_of(&source.path);
        let uncommented = source.code().lines().map(|line| line.split("//").next().unwrap_or_default());
        let code = uncommented.collect::<Vec<_>>().join("\n");
        for path in named_paths(&code, &segments(&source.path)) {
            if let Some(to) = module_named(&path).filter(|to| *to != from) {
                imports.push((from.clone(), to, source.path.clone()));
            }
        }
    }
    imports
}

/// The module a path leads into. A path of `control` that is no module of it names an item of the supervisor.
fn module_named(path: &[String]) -> Option<String> {
    let two = path.iter().take(2).cloned().collect::<Vec<_>>().join("::");
    match path.first()?.as_str() {
        "base" => Some("base".to_owned()),
        "proxy" => Some(two),
        "control" if floor(&two).is_some() => Some(two),
        "control" => Some("control".to_owned()),
        _ => None,
    }
}
