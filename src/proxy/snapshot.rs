//! The immutable, compiled config that one exchange runs under, and the place where the current one is found.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::base::cidr::{AddressSet, Cidr, any_contains};
use crate::base::metrics::Label;
use crate::proxy::balance::{Endpoint, Pool};
use crate::proxy::http::h1::head::HeadLimits;
use crate::proxy::listen::limit::Gauge;
use crate::proxy::listen::{Bind, Timeouts};
use crate::proxy::policy::acl::List;
use crate::proxy::policy::auth::{Auth, Identity};
use crate::proxy::policy::rate_limit::{RateLimits, RouteLimits};
use crate::proxy::policy::{Hsts, Mirror, Policies, Redirect, Respond, Rewrite, Split};
use crate::proxy::route::{self, ByPath, EncodedSlash, Validate};
use crate::proxy::tls::Frontend;

/// A whole config, compiled.
pub struct Snapshot {
    /// Counts up with every snapshot, from 1: workers see by it that there is another.
    pub generation: u64,
    /// Counts up with every config that went live, from 1. Addresses that change are no change of the config.
    pub config_generation: u64,
    /// The listeners, in the order of the config; routes know them by their index.
    pub listeners: Vec<Arc<Listener>>,
    /// The routes.
    pub routes: route::Table<Arc<Route>>,
    /// The pools, in the order of the config.
    pub pools: Vec<Arc<Pool>>,
    /// `[rate_limit]`, and the buckets of every limit.
    pub rate_limits: Arc<RateLimits>,
    /// Who may come.
    pub acl: Arc<Acl>,
    /// `Strict-Transport-Security` by host.
    pub hsts: Arc<Hsts>,
    /// The fields by which routes tell who a client is, so that no client does.
    pub identity: Arc<Identity>,
    /// Peers whose forwarding fields and PROXY headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How long a drain waits for tunnels.
    pub tunnel_drain: Duration,
}

impl Snapshot {
    /// The listener of that name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// Whether no request of this peer could be served, so that a handshake with it would be in vain.
    pub fn turns_away(&self, peer: IpAddr) -> bool {
        // Those of a trusted proxy may be on behalf of anybody.
        self.acl.refused.contains(peer) && !any_contains(&self.trusted_proxies, peer)
    }

    /// Tells the endpoints that `next` has no longer.
    pub fn remove_endpoints(&self, next: &Self) {
        let kept: HashSet<u64> = next.endpoints().map(|endpoint| endpoint.id).collect();
        self.endpoints().filter(|endpoint| !kept.contains(&endpoint.id)).for_each(|endpoint| endpoint.remove());
    }

    /// Tells the breakers of all endpoints what they go by from now on.
    pub fn settle_breakers(&self) {
        self.pools.iter().for_each(|pool| pool.settle());
    }

    fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.pools.iter().flat_map(|pool| &pool.endpoints)
    }
}

/// Who may come. The default lets everybody in.
#[derive(Debug, Default)]
pub struct Acl {
    /// Decides where nothing more specific does.
    pub global: List,
    /// What takes its place, by path.
    pub rules: ByPath<List>,
    /// Whom every list refuses: this one, each rule's, each route's.
    pub refused: AddressSet,
}

impl Acl {
    /// The one list that decides on a request with this deciding path.
    pub fn deciding<'a>(&'a self, route: Option<&'a Route>, path: &str) -> &'a List {
        let own = route.and_then(|route| route.acl.as_deref());
        own.or_else(|| self.rules.find(path)).unwrap_or(&self.global)
    }
}

/// One `[[listener]]`.
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its name as a metrics label.
    pub label: Label,
    /// The addresses it accepts on.
    pub bind: Vec<Bind>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// How it terminates TLS; `None` is plain.
    pub tls: Option<Arc<Frontend>>,
    /// Connections open at once.
    pub max_connections: u32,
    /// Connections open at once from one client.
    pub max_connections_per_ip: u32,
    /// Its open connections.
    pub gauge: Arc<Gauge>,
    /// Paths on which the gateway answers with its own status.
    pub status_path: Vec<String>,
    /// The public HTTPS port that everything is redirected to.
    pub redirect_https: Option<u16>,
    /// Deadlines towards clients.
    pub timeouts: Timeouts,
    /// Limits of a request head.
    pub limits: HeadLimits,
    /// Requests in flight on one HTTP/2 connection.
    pub h2_streams: u32,
}

/// One `[[route]]`, without its matchers.
#[derive(Clone)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Its name as a metrics label.
    pub label: Label,
    /// What it does.
    pub action: Action,
    /// Its own rate limits.
    pub rate_limits: RouteLimits,
    /// Who may come here; takes the place of the rules' lists and the global one.
    pub acl: Option<Arc<List>>,
    /// What its requests have to be like.
    pub validate: Option<Validate>,
    /// Who may use it.
    pub auth: Option<Auth>,
    /// Changes the path that the backend gets.
    pub rewrite: Option<Rewrite>,
    /// Whether `%2F` in the path is refused.
    pub encoded_slash: EncodedSlash,
    /// The largest request body.
    pub body_limit: Option<u64>,
    /// Deadlines towards backends.
    pub timeouts: route::Timeouts,
    /// What else is done to its requests and their answers.
    pub policies: Policies,
    /// Where some of its requests are copied to.
    pub mirror: Option<Mirror<Arc<Pool>>>,
}

impl Route {
    /// The pools that its requests may go to.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let pools: Vec<&Arc<Pool>> = match &self.action {
            Action::Forward(pool) => vec![pool],
            Action::Split(split) => split.targets().collect(),
            Action::Redirect(_) | Action::Respond(_) => Vec::new(),
        };
        let service = self.auth.as_ref().and_then(Auth::pool);
        pools.into_iter().chain(self.mirror.as_ref().map(|mirror| &mirror.target)).chain(service)
    }
}

/// What a route does.
#[derive(Clone)]
pub enum Action {
    /// Sends to a pool.
    Forward(Arc<Pool>),
    /// Sends to one of several pools.
    Split(Split<Arc<Pool>>),
    /// Redirects.
    Redirect(Redirect),
    /// Answers itself.
    Respond(Respond),
}

/// Where the current snapshot is found. Control writes, workers read.
pub struct Live {
    current: ArcSwap<Snapshot>,
    generation: AtomicU64,
}

impl Live {
    /// The first snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { generation: AtomicU64::new(snapshot.generation), current: ArcSwap::new(snapshot) }
    }

    /// The current snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The generation of the current snapshot: one plain load, so that a worker can ask for each exchange.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes `snapshot` the current one. Exchanges under way go on with the one they began with.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        self.current.store(snapshot);
        self.generation.store(generation, Ordering::Release);
    }
}
