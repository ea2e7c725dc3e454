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
