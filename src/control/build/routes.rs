//! Routes, compiled.

use std::collections::HashMap;
use std::sync::Arc;

use super::acl;
use crate::base::metrics::Registry;
use crate::control::config::Config;
use crate::proxy::balance::Pool;
use crate::proxy::policy::{Redirect, Respond, Rewrite};
use crate::proxy::route::{ActionSettings, Entry, PathPattern, RewriteSettings, Settings, Table};
use crate::proxy::snapshot::{Action, Route};

/// Compiles every route. The config has resolved every name already.
pub(super) fn compile(config: &Config, registry: &Registry, pools: &[Arc<Pool>]) -> Table<Arc<Route>> {
    let pools: HashMap<&str, &Arc<Pool>> = pools.iter().map(|pool| (pool.name.as_str(), pool)).collect();
    Table::build(config.routes.iter().filter_map(|settings| {
        let route = Route {
            name: settings.name.value.clone(),
            label: registry.label(&settings.name),
            action: action(settings, &pools)?,
            acl: acl::of_route(settings, config),
            rewrite: settings.rewrite.as_ref().map(|rewrite| compiled(&rewrite.value, settings)),
            encoded_slash: settings.encoded_slash,
            body_limit: settings.body_limit.limit(),
            timeouts: settings.timeouts,
        };
        Some(Entry::of(settings, Arc::new(route)))
    }))
}

fn action(settings: &Settings, pools: &HashMap<&str, &Arc<Pool>>) -> Option<Action> {
    Some(match &settings.action {
        ActionSettings::Pool(name) => Action::Forward(Arc::clone(pools.get(name.as_str())?)),
        ActionSettings::Redirect(redirect) => Action::Redirect(Redirect::new(&redirect.to, redirect.status)),
        ActionSettings::Respond(respond) => {
            Action::Respond(Respond::new(respond.status, &respond.content_type, &respond.body))
        }
    })
}

fn compiled(rewrite: &RewriteSettings, settings: &Settings) -> Rewrite {
    let own = match settings.path.as_ref().map(|path| &path.value) {
        Some(PathPattern::Exact(path) | PathPattern::Prefix(path)) => path.as_str(),
        Some(PathPattern::Regex(..)) | None => "",
    };
    match rewrite {
        RewriteSettings::StripPrefix(prefix) => Rewrite::strip(prefix),
        RewriteSettings::ReplacePrefix(prefix) => Rewrite::replace(own, prefix),
    }
}
