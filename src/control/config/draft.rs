//! Every table of a config as it was read, before names are resolved.

use std::collections::HashSet;
use std::path::Path;

use super::{Acl, Admin, Log, Server};
use crate::base::place::{At, Place};
use crate::base::settings::{Node, Scalar, Section, Setting, Shape, Table};
use crate::proxy::policy::rate_limit;
use crate::proxy::{balance, listen, route, tls};

/// What the files say. Some of it may be wrong, which has been reported.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) server: Server,
    pub(super) admin: Admin,
    pub(super) log: Log,
    pub(super) rate_limit: rate_limit::Settings,
    pub(super) acl: Acl,
    pub(super) objects: Objects,
}

/// The tables that any file may hold.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) listeners: Vec<listen::Settings>,
    pub(super) certificates: Vec<tls::CertificateSettings>,
    pub(super) hosts: Vec<tls::HostSettings>,
    pub(super) routes: Vec<route::Settings>,
    pub(super) pools: Vec<balance::Settings>,
    /// Where the routes start that have been read whole: what they match is what was meant.
    pub(super) whole_routes: HashSet<Place>,
    /// Whether some file names listeners, read or not.
    pub(super) has_listeners: bool,
}

impl Draft {
    /// The keys of the config file itself.
    pub(super) fn keys(section: &mut Section<'_>) -> Self {
        let include = "Other files whose [[listener]], [[certificate]], [[host]], [[route]] and [pool.NAME] belong to this config: a path each, with one `*` in its last part at most.";
        includes(section, include);
        let server = section.table("server", "The process as a whole.", Server::keys);
        let state_dir = server.state_dir.clone();
        let admin = section.table("admin", "The admin API and the metrics.", |section| {
            Admin::keys(section, if section.is_recording() { Path::new("state") } else { &state_dir })
        });
        let log = section.table("log", "The event log and the access log.", Log::keys);
        let rate_limit = section.table("rate_limit", "Limits for every route.", rate_limit::Settings::keys);
        let acl = section.table("acl", "Who may come. The most specific list decides alone: a route's own, else the longest rule's, else this one.", Acl::keys);
        let mut objects = Objects::default();
        objects.add(section);
        Self { server, admin, log, rate_limit, acl, objects }
    }
}

/// The patterns of `include`.
pub(super) fn includes(section: &mut Section<'_>, doc: &'static str) -> Vec<At<String>> {
    section.key("include", doc).list()
}

impl Objects {
    /// The keys of an included file.
    pub(super) fn add_included(&mut self, section: &mut Section<'_>) {
        for name in ["include", "server", "admin", "log", "rate_limit", "acl"] {
            section.misplaced(
                name,
                "move it to the main config file: included files hold listeners, certificates, hosts, routes and pools",
            );
        }
        self.add(section);
    }

    fn add(&mut self, section: &mut Section<'_>) {
        self.has_listeners |= section.written("listener").is_some();
        self.listeners.extend(section.tables(
            "listener",
            "Where clients connect. Without any: 443 with TLS and 80 redirecting to it, on all addresses.",
            listen::Settings::keys,
        ));
        self.certificates.extend(section.tables(
            "certificate",
            "A pair of files, watched.",
            tls::CertificateSettings::keys,
        ));
        self.hosts.extend(section.tables(
            "host",
            "What holds for a host name whatever the route.",
            tls::HostSettings::keys,
        ));
        for (route, pool, whole) in section.tables(
            "route",
            "Which requests go where. The most specific one decides, whatever their order.",
            one_route,
        ) {
            if whole {
                self.whole_routes.insert(route.place);
            }
            let service = route.policies.auth.as_ref().and_then(|auth| auth.service()?.own.as_deref());
            // Routes that ask one service share its pool.
            if let Some(service) = service.filter(|service| self.pools.iter().all(|pool| pool.name != service.name)) {
                self.pools.push(service.clone());
            }
            self.routes.push(route);
            self.pools.extend(pool);
        }
        self.pools.extend(section.named("pool", "A set of backends, by its name.", balance::Settings::keys));
    }
}

/// A route; its pool where that is written inline, which is called by the route's name; and whether no problem was found.
fn one_route(section: &mut Section<'_>) -> Option<(route::Settings, Option<balance::Settings>, bool)> {
    let before = section.problems();
    let pool: Option<At<RoutePool>> = section
        .key(
            "pool",
            "Where requests go: the name of a [pool.NAME], a list of backends, or a table with the keys of a pool.",
        )
        .optional();
    let (named, inline) = match pool {
        Some(At { value: RoutePool::Named(name), place }) => (Some(At::new(name, place)), None),
        Some(At { value: RoutePool::Inline(pool), place }) => (None, Some((*pool, place))),
        None => (None, None),
    };
    let mut route = route::Settings::keys(section, named);
    let inline = inline.map(|(mut pool, place)| {
        pool.name = At::new(route.name.value.clone(), place);
        route.action = route::ActionSettings::Pool(pool.name.clone());
        pool
    });
    let whole = section.problems() == before && !section.has_unknown();
    Some((route, inline, whole))
}

/// `pool` of a route.
enum RoutePool {
    Named(String),
    Inline(Box<balance::Settings>),
}

impl Setting for RoutePool {
    fn shape() -> Shape {
        let backend = balance::BackendSettings::shape();
        Shape::OneOf(vec![
            Shape::text("the name of a pool", "api"),
            Shape::List(Box::new(backend)),
            balance::Settings::shape(),
        ])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return balance::Settings::read(node).map(Box::new).map(Self::Inline);
        }
        if node.is_list() {
            return node.short("backends", balance::Settings::keys).map(Box::new).map(Self::Inline);
        }
        match node.scalar()? {
            Scalar::Text(name) | Scalar::Filled(name) if name.contains("://") => node.problem(
                format!("`{name}` is not the name of a pool"),
                format!("write a list of backends: pool = [\"{name}\"]"),
            ),
            Scalar::Text(name) | Scalar::Filled(name) => Some(Self::Named(name.into_owned())),
            other => node.mismatch::<Self, _>(&other),
        }
    }
}
