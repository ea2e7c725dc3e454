//! The same config with other addresses.

use std::collections::HashMap;
use std::sync::Arc;

use super::Built;
use crate::base::metrics::Registry;
use crate::control::config::Config;
use crate::proxy::balance::{Pool, Resolution};
use crate::proxy::snapshot::{Action, Route, Snapshot};

/// The snapshot of `built` where names of backends have the addresses of `resolution`; none where that changes nothing. What
/// has no changed pool is shared with the snapshot before: nothing is read or compiled again.
pub fn readdressed(
    config: &Config,
    built: &Built,
    registry: &Registry,
    resolution: &Resolution,
) -> Option<Arc<Snapshot>> {
    let before = &built.snapshot;
    let mut changed = HashMap::new();
    let pools = config.pools.iter().zip(&before.pools).map(|(settings, known)| {
        let pool = Pool::build(settings, registry, built.backends.of(&settings.name), resolution, Some(known));
        let pool = Arc::new(pool.stick(settings, built.sticky_key.as_deref()));
        if pool.spreads_like(known) {
            return Arc::clone(known);
        }
        changed.insert(pool.name.clone(), Arc::clone(&pool));
        pool
    });
    let pools: Vec<Arc<Pool>> = pools.collect();
    (!changed.is_empty()).then(|| {
        Arc::new(Snapshot {
            generation: before.generation + 1,
            config_generation: before.config_generation,
            listeners: before.listeners.clone(),
            routes: before.routes.map(|route| rerouted(route, &changed)),
            pools,
            rate_limits: Arc::clone(&before.rate_limits),
            acl: Arc::clone(&before.acl),
            hsts: Arc::clone(&before.hsts),
            identity: Arc::clone(&before.identity),
            trusted_proxies: before.trusted_proxies.clone(),
            tunnel_drain: before.tunnel_drain,
        })
    })
}

/// The route with its pools as they are now.
fn rerouted(route: &Arc<Route>, changed: &HashMap<String, Arc<Pool>>) -> Arc<Route> {
    let now = |pool: &Arc<Pool>| Arc::clone(changed.get(&pool.name).unwrap_or(pool));
    if !route.pools().any(|pool| changed.contains_key(&pool.name)) {
        return Arc::clone(route);
    }
    let action = match &route.action {
        Action::Forward(pool) => Action::Forward(now(pool)),
        Action::Split(split) => Action::Split(split.map(now)),
        other @ (Action::Redirect(_) | Action::Respond(_)) => other.clone(),
    };
    let mirror = route.mirror.as_ref().map(|mirror| mirror.map(now));
    let auth = route.auth.as_ref().map(|auth| auth.map(now));
    Arc::new(Route { action, mirror, auth, ..Route::clone(route) })
}
