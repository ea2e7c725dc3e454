//! Why a route serves a request: the look-up itself, with every step written down.

use std::cell::RefCell;

use super::{Facts, HostPattern, PathPattern, Rule, Table};

/// A condition that a request does not meet, of a route whose host and path it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The route does not serve on the listener.
    Listener,
    /// Its method is none of the route's.
    Method,
    /// A condition on header fields does not hold.
    Header,
    /// A condition on query parameters does not hold.
    Query,
}

/// A route that a look-up came by: host and path match.
#[derive(Debug)]
pub struct Tried<'t, T> {
    /// What the route leads to.
    pub target: &'t T,
    /// What it does not serve the request for; none where it would.
    pub lack: Option<Lack>,
    rule: &'t Rule,
}

impl<T> Table<T> {
    /// The routes that [`find`](Self::find) comes by, in its order, up to `most`: those that it passes over, the one that it
    /// finds, which is the first without a [`Lack`], and, for comparison, on to the next that would serve the request as well.
    pub fn tried(&self, facts: &Facts<'_>, most: usize) -> Vec<Tried<'_, T>> {
        let list: RefCell<Vec<Tried<'_, T>>> = RefCell::default();
        let note = |index: u32| {
            let (rule, target) = self.rules.get(index as usize).zip(self.targets.get(index as usize))?;
            let mut list = list.borrow_mut();
            // A route may be found under two of its hosts.
            if list.iter().any(|tried| std::ptr::eq(tried.rule, rule)) {
                return None;
            }
            let lack = rule.lacks(facts);
            let second = lack.is_none() && list.iter().any(|tried| tried.lack.is_none());
            // Nothing that is passed over may crowd out what is found.
            if lack.is_none() || list.len() < most {
                list.push(Tried { target, lack, rule });
            }
            second.then_some(())
        };
        let _second = self.hosts.find(facts.host, |paths| paths.find(facts.path, note));
        list.into_inner()
    }
}

impl<T> Tried<'_, T> {
    /// What of the route the request matches, in the order in which it counts. Values of conditions are not told: they may be
    /// secrets.
    pub fn matched(&self, facts: &Facts<'_>) -> Vec<String> {
        let mut list = vec![self.host(facts.host), self.path()];
        let named = |kind: &str, names: Vec<&str>| (!names.is_empty()).then(|| format!("{kind} {}", names.join(", ")));
        list.extend(named("method", self.rule.methods.names().iter().map(String::as_str).collect()));
        list.extend(named("header", self.rule.headers.names().collect()));
        list.extend(named("query", self.rule.queries.names().collect()));
        list
    }

    fn host(&self, host: &str) -> String {
        let below =
            |parent: &str| host.strip_suffix(parent).is_some_and(|front| front.len() > 1 && front.ends_with('.'));
        let matching = self.rule.hosts.iter().filter(|pattern| match pattern {
            HostPattern::Exact(name) => name == host,
            HostPattern::Wildcard(parent) => below(parent),
        });
        let rank = |pattern: &&HostPattern| match pattern {
            HostPattern::Exact(_) => usize::MAX,
            HostPattern::Wildcard(parent) => parent.len(),
        };
        match matching.max_by_key(rank) {
            Some(HostPattern::Exact(name)) => format!("host {name} exactly"),
            Some(wildcard) => format!("host by the wildcard {wildcard}"),
            None => "any host".to_owned(),
        }
    }

    fn path(&self) -> String {
        match &self.rule.path {
            Some(PathPattern::Exact(path)) => format!("path {path} exactly"),
            Some(pattern @ PathPattern::Prefix(_)) => format!("path by the prefix {pattern}"),
            Some(pattern @ PathPattern::Regex(..)) => format!("path by the regular expression {pattern}"),
            None => "any path".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Asked, entry};
    use super::*;

    const ROUTES: [&str; 8] = [
        "example.com /a/* h:X-Key=secret",
        "example.com /a/* GET",
        "*.example.com /a/*",
        "*.com,example.com /a/b q:x=*",
        "- ~/a/.*",
        "- -",
        "example.com /a/b POST",
        "example.com /a/b l:other",
    ];

    fn table() -> Table<usize> {
        Table::build(ROUTES.iter().enumerate().map(|(index, text)| entry(text, index)))
    }

    #[test]
    fn the_look_up_is_told_up_to_the_next_that_would_serve() {
        let table = table();
        for (text, expected) in [
            ("GET example.com /a/c", &[(1, None), (0, Some(Lack::Header)), (4, None)][..]),
            ("GET example.com /a/b?x=1", &[(6, Some(Lack::Method)), (3, None), (7, Some(Lack::Listener)), (1, None)]),
            ("GET www.example.com /a/b", &[(2, None), (3, Some(Lack::Query)), (4, None)]),
            ("POST example.org /", &[(5, None)]),
        ] {
            let asked = Asked::new(text);
            let tried = table.tried(&asked.facts(), 9);
            let told: Vec<_> = tried.iter().map(|tried| (*tried.target, tried.lack)).collect();
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn the_first_that_lacks_nothing_is_the_one_that_is_found() {
        let table = table();
        let mut random = fastrand::Rng::with_seed(7);
        let pick = |random: &mut fastrand::Rng, words: &[&'static str]| words[random.usize(..words.len())];
        for _ in 0..5_000 {
            let text = format!(
                "{} {} {}{}{}",
                pick(&mut random, &["GET", "POST"]),
                pick(&mut random, &["example.com", "www.example.com", "a.com", "example.org", "com"]),
                pick(&mut random, &["/", "/a", "/a/b", "/a/b/c", "/ab"]),
                pick(&mut random, &["", "?x", "?y=1"]),
                pick(&mut random, &["", " h:x-key=secret", " l:other"]),
            );
            let asked = Asked::new(&text);
            for most in [0, 1, 9] {
                let tried = table.tried(&asked.facts(), most);
                let first = tried.iter().find(|tried| tried.lack.is_none()).map(|tried| tried.target);
                assert_eq!(first, table.find(&asked.facts()), "{text}");
            }
        }
    }

    #[test]
    fn what_matched_is_told_without_the_values_of_conditions() {
        let table = table();
        let told = |text: &str| {
            let asked = Asked::new(text);
            let tried = table.tried(&asked.facts(), 9);
            tried.iter().find(|tried| tried.lack.is_none()).unwrap().matched(&asked.facts()).join("; ")
        };
        for (text, expected) in [
            ("GET example.com /a/c", "host example.com exactly; path by the prefix /a/*; method GET"),
            ("POST example.com /a/c h:X-Key=secret", "host example.com exactly; path by the prefix /a/*; header X-Key"),
            ("GET x.example.com /a/c", "host by the wildcard *.example.com; path by the prefix /a/*"),
            ("GET x.com /a/b?x=1", "host by the wildcard *.com; path /a/b exactly; query x"),
            ("GET example.com /a/b?x=1", "host example.com exactly; path /a/b exactly; query x"),
            ("GET example.org /a/c", "any host; path by the regular expression ~/a/.*"),
            ("GET example.org /", "any host; any path"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
