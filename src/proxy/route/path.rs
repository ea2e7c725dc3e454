//! Paths: exact, longest prefix by segments, regular expression, any.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::PathPattern;

type Map<V> = HashMap<Box<str>, V, RandomState>;

/// The routes of one host by path. Routes are numbers; each list is in the order in which it is tried.
#[derive(Debug)]
pub(super) struct Paths {
    exact: Map<Vec<u32>>,
    /// A tree of segments; the first node is the root, which `/*` stands at.
    prefixes: Vec<Node>,
    regexes: Vec<(regex::Regex, u32)>,
    any: Vec<u32>,
}

/// One segment of a prefix.
#[derive(Debug, Default)]
struct Node {
    parent: Option<u32>,
    children: Map<u32>,
    routes: Vec<u32>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { exact: Map::default(), prefixes: vec![Node::default()], regexes: Vec::new(), any: Vec::new() }
    }
}

impl Paths {
    /// Adds a route. Routes come in file order.
    pub(super) fn insert(&mut self, pattern: Option<&PathPattern>, route: u32) {
        match pattern {
            None => push_once(&mut self.any, route),
            Some(PathPattern::Exact(path)) => push_once(self.exact.entry(path.as_str().into()).or_default(), route),
            Some(PathPattern::Prefix(prefix)) => {
                let node = self.node(prefix);
                push_once(&mut self.prefixes[node].routes, route);
            }
            Some(PathPattern::Regex(_, regex)) => self.regexes.push((regex.clone(), route)),
        }
    }

    /// The node of a prefix; the nodes that lead to it are made where they are missing.
    fn node(&mut self, prefix: &str) -> usize {
        let mut at = 0;
        for segment in segments(prefix) {
            let next = self.prefixes.len();
            at = match self.prefixes[at].children.get(segment) {
                Some(child) => *child as usize,
                None => {
                    self.prefixes[at].children.insert(segment.into(), next as u32);
                    self.prefixes.push(Node { parent: Some(at as u32), ..Node::default() });
                    next
                }
            };
        }
        at
    }

    /// Sorts every list, stably.
    pub(super) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(u32) -> K) {
        let lists = self.exact.values_mut().chain(self.prefixes.iter_mut().map(|node| &mut node.routes));
        lists.chain([&mut self.any]).for_each(|list| list.sort_by_key(|route| key(*route)));
        self.regexes.sort_by_key(|(_, route)| key(*route));
    }

    /// The first answer of `fits` to the routes whose pattern `path` matches, the most specific first.
    pub(super) fn find<R>(&self, path: &str, fits: impl Fn(u32) -> Option<R>) -> Option<R> {
        let first = |list: &[u32]| list.iter().find_map(|route| fits(*route));
        if let Some(found) = self.exact.get(path).and_then(|list| first(list)) {
            return Some(found);
        }
        let mut climb = self.deepest(path);
        while let Some(node) = climb {
            if let Some(found) = first(&node.routes) {
                return Some(found);
            }
            climb = node.parent.and_then(|parent| self.prefixes.get(parent as usize));
        }
        let matching = self.regexes.iter().filter(|(regex, _)| regex.is_match(path));
        matching.map(|(_, route)| *route).find_map(&fits).or_else(|| first(&self.any))
    }

    /// The node of the longest prefix of `path` that is in the tree: one short look-up a segment. `*` has none.
    fn deepest(&self, path: &str) -> Option<&Node> {
        let mut node = self.prefixes.first().filter(|_| path.starts_with('/'))?;
        let mut segments = segments(path);
        while !node.children.is_empty()
            && let Some(child) = segments.next().and_then(|segment| node.children.get(segment))
        {
            node = self.prefixes.get(*child as usize)?;
        }
        Some(node)
    }
}

/// `/a/b` has `a` and `b`, `/a/` has `a` and an empty one, the empty prefix has none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

/// A route may name the same host twice.
fn push_once(list: &mut Vec<u32>, route: u32) {
    if list.last() != Some(&route) {
        list.push(route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(patterns: &[&str]) -> Paths {
        let mut paths = Paths::default();
        for (route, pattern) in patterns.iter().enumerate() {
            let pattern = match pattern.strip_suffix("/*") {
                Some(prefix) => PathPattern::Prefix(prefix.into()),
                None => PathPattern::Exact((*pattern).into()),
            };
            paths.insert(Some(&pattern), route as u32);
        }
        paths
    }

    #[test]
    fn prefixes_match_by_segments() {
        let paths = paths(&["/x/*", "/x/y/*", "/x/y", "/*"]);
        for (path, route) in [
            ("/x", 0),
            ("/x/", 0),
            ("/x/a", 0),
            ("/x/yy", 0),
            ("/x/y", 2),
            ("/x/y/", 1),
            ("/x/y/z", 1),
            ("/xx", 3),
            ("/", 3),
            ("/X", 3),
        ] {
            assert_eq!(paths.find(path, Some), Some(route), "{path}");
        }
    }

    #[test]
    fn a_shorter_prefix_is_asked_when_the_longer_one_does_not_fit() {
        let paths = paths(&["/x/*", "/x/y/*", "/*"]);
        let fits = |route: u32| (route != 1).then_some(route);
        assert_eq!(paths.find("/x/y/z", fits), Some(0));
        assert_eq!(paths.find("/x/y/z", |route| (route == 2).then_some(route)), Some(2));
    }
}
