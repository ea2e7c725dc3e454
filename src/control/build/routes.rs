//! Routes, compiled.

use std::collections::HashMap;
use std::sync::Arc;

use super::{AuthFiles, acl};
use crate::base::metrics::Registry;
use crate::control::config::Config;
use crate::proxy::balance::Pool;
use crate::proxy::policy::rate_limit::RateLimits;
use crate::proxy::policy::{Mirror, Policies, Redirect, Respond, Rewrite, Split};
use crate::proxy::route::{ActionSettings, Entry, PathPattern, RewriteSettings, Settings, Table, Validate};
use crate::proxy::snapshot::{Action, Route, Snapshot};

/// Compiles every route. The config has resolved every name already. Buckets of a route of the same name in `previous` go on.
pub(super) fn compile(
    config: &Config,
    registry: &Registry,
    (pools, rate_limits, auth): (&[Arc<Pool>], &RateLimits, &AuthFiles),
    previous: Option<&Snapshot>,
) -> Table<Arc<Route>> {
    let known = previous.into_iter().flat_map(|snapshot| snapshot.routes.iter());
    let known: HashMap<&str, &Arc<Route>> = known.map(|route| (route.name.as_str(), route)).collect();
    let pools: HashMap<&str, &Arc<Pool>> = pools.iter().map(|pool| (pool.name.as_str(), pool)).collect();
    Table::build(config.routes.iter().filter_map(|settings| {
        let route = Route {
            name: settings.name.value.clone(),
            label: registry.label(&settings.name),
            action: action(settings, &pools)?,
            mirror: settings
                .mirror
                .as_ref()
                .and_then(|mirror| Some(Mirror::new(Arc::clone(pools.get(mirror.pool.as_str())?), mirror.percent))),
            rate_limits: rate_limits.of_route(
                &settings.policies.rate_limit,
                known.get(settings.name.as_str()).map(|route| &route.rate_limits),
            ),
            acl: acl::of_route(settings, config),
            validate: settings.validate.as_ref().map(Validate::new),
            auth: match &settings.policies.auth {
                // Without it the route is none: nobody comes in for want of a file.
                Some(settings) => Some(auth.auth(settings, (config, &pools))?),
                None => None,
            },
            rewrite: settings.rewrite.as_ref().map(|rewrite| compiled(&rewrite.value, settings)),
            encoded_slash: settings.encoded_slash,
            body_limit: settings.body_limit.limit(),
            timeouts: settings.timeouts,
            policies: Policies::new(&settings.policies),
        };
        Some(Entry::of(settings, Arc::new(route)))
    }))
}

fn action(settings: &Settings, pools: &HashMap<&str, &Arc<Pool>>) -> Option<Action> {
    Some(match &settings.action {
        ActionSettings::Pool(name) => Action::Forward(Arc::clone(pools.get(name.as_str())?)),
        ActionSettings::Split(split) => {
            let shares =
                split.shares.iter().map(|(name, weight)| Some((*weight, Arc::clone(pools.get(name.as_str())?))));
            Action::Split(Split::new(&settings.name, shares.collect::<Option<Vec<_>>>()?, split.by))
        }
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
