//! Pieces of config that many tests begin with.

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
