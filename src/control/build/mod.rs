//! From a config to a snapshot: reads the certificates, compiles routes, carries over what must survive.
//!
//! Nothing is changed here: what a build made takes effect when the caller makes its snapshot current and then calls
//! [`Certificates::swap`]. So a config that is refused has touched nothing.

mod acl;
mod addresses;
mod auth;
mod backends;
mod certificates;
mod coverage;
mod listeners;
mod routes;
mod sticky;

use std::sync::Arc;

use crate::base::metrics::Registry;
use crate::base::settings::{Problem, Severity};
use crate::control::config::Config;
use crate::proxy::balance::{Pool, Resolution, Settings, StickyKey};
use crate::proxy::policy::Hsts;
use crate::proxy::policy::auth::{Auth, Identity};
use crate::proxy::policy::rate_limit::RateLimits;
use crate::proxy::snapshot::Snapshot;

pub use addresses::readdressed;
pub use auth::AuthFiles;
pub use backends::Backends;
pub use certificates::{Certificate, Certificates};
pub use coverage::needed;

/// What a config was compiled to.
pub struct Built {
    /// To be made current.
    pub snapshot: Arc<Snapshot>,
    /// The certificates it serves, and those that wait to be swapped in.
    pub certificates: Certificates,
    /// How backends are verified.
    pub backends: Backends,
    /// What the cookies of sticky pools are made with.
    sticky_key: Option<Arc<StickyKey>>,
    /// Who may use routes.
    pub auth: AuthFiles,
    /// What the operator should look at.
    pub warnings: Vec<Problem>,
}

/// Compiles `config` with the addresses that `resolution` has for the names of backends. What `previous` has under the same
/// name goes on: counts, connections, certificates, tickets, the order of backends, the buckets of rate limits. Where it `keeps`,
/// what is missing in the state folder is made.
///
/// # Errors
/// Every problem, at once. Without `previous`, at the start and in `check`, a certificate or CA that cannot be used is one; at
/// a reload it is a warning, and what its files held last serves on.
pub fn build(
    config: &Config,
    registry: &Registry,
    (resolution, keeps): (&Resolution, bool),
    previous: Option<&Built>,
) -> Result<Built, Vec<Problem>> {
    let mut problems = Vec::new();
    let certificates =
        certificates::read(&config.certificates, previous.map(|built| &built.certificates), &mut problems);
    problems.extend(coverage::problems(config, &certificates));
    let backends = backends::read(&config.pools, previous.map(|built| &built.backends), &mut problems);
    let auth = auth::read(config, previous.map(|built| &built.auth), &mut problems);
    let sticky_key = sticky::key(config, previous, keeps, &mut problems);
    let pools = pools(config, registry, (&backends, resolution, sticky_key.as_deref()), previous);
    let listeners = listeners::compile(config, registry, &certificates, previous, &mut problems);
    let before = previous.map(|built| built.snapshot.as_ref());
    let rate_limits = RateLimits::build(
        &config.rate_limit,
        registry.rate_limit_keys(),
        before.map(|snapshot| snapshot.rate_limits.as_ref()),
    );
    let routes = routes::compile(config, registry, (&pools, &rate_limits, &auth), before);
    let (errors, warnings) = problems.into_iter().partition::<Vec<_>, _>(|problem| problem.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(errors.into_iter().chain(warnings).collect());
    }
    let hsts = config.hosts.iter().filter_map(|host| Some((host.name.as_str(), host.hsts?.0.as_secs())));
    let snapshot = Snapshot {
        generation: previous.map_or(1, |built| built.snapshot.generation + 1),
        config_generation: previous.map_or(1, |built| built.snapshot.config_generation + 1),
        acl: Arc::new(acl::compile(config, &routes)),
        identity: Arc::new(Identity::of(
            routes.iter().filter_map(|route| route.auth.as_ref()).flat_map(Auth::identity),
        )),
        listeners,
        routes,
        rate_limits: Arc::new(rate_limits),
        hsts: Arc::new(Hsts::new(hsts)),
        trusted_proxies: config.server.trusted_proxies.value.clone(),
        tunnel_drain: config.server.tunnel_drain.0,
        pools,
    };
    Ok(Built { snapshot: Arc::new(snapshot), certificates, backends, auth, sticky_key, warnings })
}

fn pools(
    config: &Config,
    registry: &Registry,
    (backends, resolution, key): (&Backends, &Resolution, Option<&StickyKey>),
    previous: Option<&Built>,
) -> Vec<Arc<Pool>> {
    let before = |name: &str| previous?.snapshot.pools.iter().find(|pool| pool.name == name).map(Arc::as_ref);
    let pool = |settings: &Settings| {
        let name = settings.name.as_str();
        let pool = Pool::build(settings, registry, backends.of(name), resolution, before(name));
        Arc::new(pool.stick(settings, key))
    };
    config.pools.iter().map(pool).collect()
}
