//! Pieces of config that many tests begin with.

use super::dns::NameServer;

/// A TLS listener called `https` with the certificate that every home has.
pub(crate) const HTTPS: &str = r#"
[[listener]]
name = "https"
bind = "127.0.0.1:0"
tls = true

[[certificate]]
cert = "localhost.crt"
key = "localhost.key"
"#;

/// A plain listener called `http`.
pub(crate) const HTTP: &str = r#"
[[listener]]
name = "http"
bind = "127.0.0.1:0"
"#;

/// A route for everything to these backends, each a URL.
pub(crate) fn route_to(backends: &[&dyn std::fmt::Display]) -> String {
    let list: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    format!("\n[[route]]\nname = \"all\"\npool = [{}]\n", list.join(", "))
}

/// One worker, so that there is one pool of connections, and the listeners `https` and `http`.
pub(crate) fn one_worker() -> String {
    format!("[server]\nworkers = 1\n{HTTPS}{HTTP}")
}

/// A route for everything to these backends, which speak HTTP/2 without TLS; more keys of the route, and of the pool `p`.
pub(crate) fn route_to_h2(backends: &[&dyn std::fmt::Display], route: &str, pool: &str) -> String {
    let list: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let pool = format!("protocol = \"h2\"\nbackends = [{}]\n{pool}\n", list.join(", "));
    format!("\n[[route]]\nname = \"all\"\npool = \"p\"\n{route}\n[pool.p]\n{pool}")
}

/// `[server]` of a gateway that asks these name servers, in this order.
pub(crate) fn asking(servers: &[&NameServer]) -> String {
    let list: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    format!("[server]\nresolver = [{}]\n", list.join(", "))
}

/// The listener `http` and one pool `p` with this backend, whose name is looked up each second.
pub(crate) fn named(servers: &[&NameServer], backend: &str) -> String {
    let server = asking(servers);
    let pool = format!("[pool.p]\nresolve = \"1s\"\nbackends = [\"{backend}\"]\n");
    format!("{server}{HTTP}[[route]]\nname = \"all\"\npool = \"p\"\n{pool}")
}
