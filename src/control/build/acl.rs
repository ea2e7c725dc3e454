//! The ACL, compiled.

use std::sync::Arc;

use crate::control::config::Config;
use crate::proxy::policy::acl::{List, Of, refused_by_all};
use crate::proxy::route::{ByPath, Settings, Table};
use crate::proxy::snapshot::{Acl, Route};

/// Compiles `[acl]`. `routes` have their own lists.
pub(super) fn compile(config: &Config, routes: &Table<Arc<Route>>) -> Acl {
    let mode = config.acl.mode;
    let global = List::new(&config.acl.lists, mode, Of::Global);
    let rules = config.acl.rules.iter().map(|rule| {
        let list = List::new(&rule.lists, mode, Of::Rule(rule.path.to_string()));
        (rule.path.value.clone(), list)
    });
    let rules = ByPath::build(rules);
    let own = routes.iter().filter_map(|route| route.acl.as_deref());
    let all: Vec<&List> = [&global].into_iter().chain(rules.iter()).chain(own).collect();
    let refused = refused_by_all(&all);
    Acl { global, rules, refused }
}

/// The list of a route that has one.
pub(super) fn of_route(settings: &Settings, config: &Config) -> Option<Arc<List>> {
    let own = settings.policies.acl.as_ref()?;
    Some(Arc::new(List::new(&own.lists, own.mode.unwrap_or(config.acl.mode), Of::Route)))
}
