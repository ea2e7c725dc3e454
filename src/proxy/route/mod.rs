//! Which pool: routes and the Gateway API's precedence among them.
//!
//! Of all routes that match a request, the winner is the one with: the exact host, then the longest wildcard, then any
//! host; the exact path, then the longest prefix, then a regular expression, then no path at all; a method; the most
//! header conditions; the most query conditions; the first place in the file. Hosts and paths are looked up by hash
//! and by segment, so that ten thousand routes cost what ten do; a lookup allocates nothing.

mod action;
mod by_path;
mod encoded_slash;
mod header;
mod host;
mod method;
mod path;
mod pattern;
mod query;
mod settings;
mod timeouts;
mod token;
mod tried;
mod validate;
mod whole;

use std::cmp::Reverse;
use std::sync::Arc;

use crate::base::place::At;
use crate::proxy::message::Request;

pub use by_path::ByPath;
pub use encoded_slash::EncodedSlash;
pub use settings::{
    ActionSettings, HeaderSettings, HostPattern, MirrorSettings, PathPattern, QuerySettings, RedirectSettings,
    RespondSettings, RewriteSettings, Settings, SplitSettings, ValuePattern,
};

pub use timeouts::Timeouts;
pub use tried::{Lack, Tried};
pub use validate::{Unlike, Validate, ValidateSettings};

use header::Headers;
use host::Hosts;
use method::Methods;
use path::Paths;
use query::Queries;

/// What routes look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The name of the listener that the request came in on: a place in a list would mean another one after a reload.
    pub listener: &'a str,
    /// The checked host, without port; empty where there is none.
    pub host: &'a str,
    /// The deciding path.
    pub path: &'a str,
    /// Method, header fields and query.
    pub request: &'a Request,
}

/// One route as the table takes it.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Names of the listeners it serves on; empty means all.
    pub listeners: Vec<String>,
    /// The hosts it serves; empty means any.
    pub hosts: Vec<HostPattern>,
    /// The paths it serves; absent means any.
    pub path: Option<PathPattern>,
    /// The methods it serves; empty means any.
    pub methods: Vec<String>,
    /// Header conditions; all must hold.
    pub headers: Vec<HeaderSettings>,
    /// Query conditions; all must hold.
    pub queries: Vec<QuerySettings>,
    /// What it leads to.
    pub target: T,
}

impl<T> Entry<T> {
    /// The entry of a `[[route]]`.
    pub fn of(settings: &Settings, target: T) -> Self {
        Self {
            listeners: values(&settings.listener),
            hosts: values(&settings.host),
            path: settings.path.as_ref().map(|path| path.value.clone()),
            methods: values(&settings.method),
            headers: settings.header.clone(),
            queries: settings.query.clone(),
            target,
        }
    }
}

fn values<V: Clone>(list: &[At<V>]) -> Vec<V> {
    list.iter().map(|at| at.value.clone()).collect()
}

/// All routes of a snapshot.
#[derive(Debug)]
pub struct Table<T> {
    /// By the place of the route in the file, like `targets`.
    rules: Arc<[Rule]>,
    hosts: Arc<Hosts<Paths>>,
    targets: Vec<T>,
}

/// What is left of a route once its host and path are found: the conditions that are tried one after the other.
#[derive(Debug)]
struct Rule {
    /// Where it was found by, to be shown.
    hosts: Box<[HostPattern]>,
    path: Option<PathPattern>,
    listeners: Box<[String]>,
    methods: Methods,
    headers: Headers,
    queries: Queries,
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.lacks(facts).is_none()
    }

    /// The first condition that a request does not meet.
    fn lacks(&self, facts: &Facts<'_>) -> Option<Lack> {
        if !self.listeners.is_empty() && !self.listeners.iter().any(|name| name == facts.listener) {
            Some(Lack::Listener)
        } else if !self.methods.match_method(facts.request.method()) {
            Some(Lack::Method)
        } else if !self.headers.match_fields(&facts.request.fields) {
            Some(Lack::Header)
        } else if !self.queries.match_query(facts.request.query()) {
            Some(Lack::Query)
        } else {
            None
        }
    }

    /// Orders rules of the same host and path, the most specific first; a stable sort leaves file order to the rest.
    fn order(&self) -> impl Ord + use<> {
        Reverse((!self.methods.is_any(), self.headers.count(), self.queries.count()))
    }
}

impl<T> Table<T> {
    /// Builds the table of routes in file order.
    pub fn build(entries: impl IntoIterator<Item = Entry<T>>) -> Self {
        let (mut rules, mut targets) = (Vec::new(), Vec::new());
        let mut hosts: Hosts<Paths> = Hosts::default();
        for entry in entries {
            let index = rules.len() as u32;
            hosts.each(&entry.hosts, |paths| paths.insert(entry.path.as_ref(), index));
            rules.push(Rule {
                hosts: entry.hosts.into(),
                path: entry.path,
                listeners: entry.listeners.into(),
                methods: Methods::new(entry.methods),
                headers: Headers::new(entry.headers),
                queries: Queries::new(entry.queries),
            });
            targets.push(entry.target);
        }
        hosts.each_present(|paths| paths.sort_by_key(|index| rules[index as usize].order()));
        Self { rules: rules.into(), hosts: Arc::new(hosts), targets }
    }

    /// The same routes with other targets. What was compiled is shared.
    pub fn map<U>(&self, change: impl FnMut(&T) -> U) -> Table<U> {
        let targets = self.targets.iter().map(change).collect();
        Table { rules: Arc::clone(&self.rules), hosts: Arc::clone(&self.hosts), targets }
    }

    /// The target of the route that serves the request. A host whose routes all fail on the path or the conditions
    /// leaves the request to the next less specific host.
    pub fn find(&self, facts: &Facts<'_>) -> Option<&T> {
        let fits = |index: u32| {
            let fitting = self.rules.get(index as usize).is_some_and(|rule| rule.matches(facts));
            self.targets.get(index as usize).filter(|_| fitting)
        };
        self.hosts.find(facts.host, |paths| paths.find(facts.path, fits))
    }

    /// Every target, in file order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.targets.iter()
    }
}

#[cfg(test)]
mod tests;
