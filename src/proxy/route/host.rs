//! Hosts: an exact name, the longest wildcard, any.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::HostPattern;

/// What is kept for each host pattern.
#[derive(Debug, Default)]
pub(super) struct Hosts<V> {
    exact: HashMap<Box<str>, V, RandomState>,
    /// By the name behind `*.`.
    wildcards: HashMap<Box<str>, V, RandomState>,
    /// The length of the longest name in `wildcards`: longer endings of a host need not be looked up.
    longest_wildcard: usize,
    any: V,
}

impl<V: Default> Hosts<V> {
    /// Changes the value of each of `patterns`, of any host where there is none. A pattern that is there twice is
    /// changed twice.
    pub(super) fn each(&mut self, patterns: &[HostPattern], mut change: impl FnMut(&mut V)) {
        if patterns.is_empty() {
            change(&mut self.any);
        }
        for pattern in patterns {
            match pattern {
                HostPattern::Exact(name) => change(self.exact.entry(name.as_str().into()).or_default()),
                HostPattern::Wildcard(name) => {
                    self.longest_wildcard = self.longest_wildcard.max(name.len());
                    change(self.wildcards.entry(name.as_str().into()).or_default());
                }
            }
        }
    }

    /// Changes every value.
    pub(super) fn each_present(&mut self, change: impl FnMut(&mut V)) {
        self.exact.values_mut().chain(self.wildcards.values_mut()).chain([&mut self.any]).for_each(change);
    }

    /// Asks the values whose pattern `host` matches, the most specific first, until one has an answer.
    pub(super) fn find<'a, R>(&'a self, host: &str, mut ask: impl FnMut(&'a V) -> Option<R>) -> Option<R> {
        if let Some(found) = self.exact.get(host).and_then(&mut ask) {
            return Some(found);
        }
        if !self.wildcards.is_empty() {
            let mut rest = host;
            while let Some((label, ending)) = rest.split_once('.') {
                rest = ending;
                if ending.len() > self.longest_wildcard || label.is_empty() {
                    continue;
                }
                if let Some(found) = self.wildcards.get(ending).and_then(&mut ask) {
                    return Some(found);
                }
            }
        }
        ask(&self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_host_is_asked_first() {
        let mut hosts: Hosts<Vec<&str>> = Hosts::default();
        let exact = |name: &str| HostPattern::Exact(name.into());
        let wildcard = |name: &str| HostPattern::Wildcard(name.into());
        hosts.each(&[exact("a.example.com")], |names| names.push("exact"));
        hosts.each(&[wildcard("example.com"), wildcard("com")], |names| names.push("*"));
        hosts.each(&[wildcard("b.example.com")], |names| names.push("*.b"));
        hosts.each(&[], |names| names.push("any"));
        for (host, asked) in [
            ("a.example.com", vec!["exact", "*", "*", "any"]),
            ("x.b.example.com", vec!["*.b", "*", "*", "any"]),
            ("y.x.b.example.com", vec!["*.b", "*", "*", "any"]),
            ("b.example.com", vec!["*", "*", "any"]),
            ("example.com", vec!["*", "any"]),
            ("com", vec!["any"]),
            ("", vec!["any"]),
            ("::1", vec!["any"]),
        ] {
            let mut seen = Vec::new();
            let found = hosts.find(host, |names: &Vec<&str>| {
                seen.extend_from_slice(names);
                None::<()>
            });
            assert_eq!((seen, found), (asked, None), "{host}");
        }
    }
}
