//! What `[pool.NAME]` says.

use std::collections::HashMap;

use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Problem, Section, Setting, Shape, Table};

use super::{Algorithm, BackendUrl, HashBy, HealthSettings, Protocol, QueueSettings, Resolve, RetrySettings};
use super::{SendProxy, StickySettings, Target};
use crate::proxy::tls::BackendTlsSettings;

/// One `[pool.NAME]`, or a pool written inline in a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name; an inline pool has its route's.
    pub name: At<String>,
    /// Which endpoint gets the next request. Default `round_robin`, or what `PORTCULLIS_STRATEGY` says.
    pub balance: Algorithm,
    /// What of a request `hash` goes by. Default the client's address.
    pub hash_by: Option<At<HashBy>>,
    /// The backends; at least one. No two with the same URL.
    pub backends: Vec<BackendSettings>,
    /// A cookie that brings clients back to their backend. Default none.
    pub sticky: StickySettings,
    /// How its backends are probed. Default not at all.
    pub health: HealthSettings,
    /// How long a backend takes to get its whole share when it comes or comes back. Up to 1 h, default none.
    pub slow_start: Period,
    /// The part of the backends that has to be available, or those that are down are asked as well. 0 to 1, default 0.5.
    pub panic: f64,
    /// Sending again what was not answered.
    pub retry: RetrySettings,
    /// How many requests a backend has at once, and how many wait for their turn.
    pub queue: QueueSettings,
    /// How long an unused connection to a backend is kept. 1 s to 1 h, default 55 s.
    pub pool_idle: Period,
    /// How long a connection to a backend gets new requests at most; `"0s"` is for ever. Up to 30 days, default 1 h.
    pub pool_lifetime: Period,
    /// Which HTTP the backends are spoken to in. Default `auto`.
    pub protocol: Protocol,
    /// What connections to the backends begin with. Default nothing.
    pub send_proxy: SendProxy,
    /// How often the names of its backends are looked up again. Default 30 s.
    pub resolve: Resolve,
    /// How `https://` backends are verified. Default: by the system's CAs and the host of each URL.
    pub tls: Option<At<BackendTlsSettings>>,
}

/// One backend: a URL, or a table with `url`.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendSettings {
    /// Where it is.
    pub url: At<BackendUrl>,
    /// Its share among the pool's weights, 0 to 256. 0 gets no new requests. Default 1.
    pub weight: u16,
    /// Whether it gets requests only where no other backend can be picked. Default false.
    pub backup: bool,
}

impl Table for Settings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let (balance, hash_by) = algorithm(section);
        let backends: Vec<BackendSettings> =
            section.key("backends", "The backends: a URL or a table each. No two with one URL.").required_list();
        let sticky = section
            .key("sticky", "A cookie that brings clients back to their backend: { cookie = \"NAME\" }, or false.")
            .or(StickySettings::default());
        let (health, slow_start, panic) = availability(section);
        let retry = section
            .key("retry", "Sending again what was not answered: how often at most, false, or a table.")
            .or(RetrySettings::default());
        let queue = QueueSettings::keys(section);
        let (pool_idle, pool_lifetime, protocol, send_proxy) = connections(section);
        let resolve = section
            .key("resolve", "How often host names of backends are looked up again; every address is an endpoint. 1s to 1h, or \"0s\" for only at the start and at reloads.")
            .or(Resolve::default());
        let tls = section
            .key("tls", "How https:// backends are verified. Left out: by the system's CAs and the host of each URL.")
            .optional();
        check(section, &backends);
        without_port(section, &health, &backends);
        without_https(section, tls.as_ref(), &backends);
        let name = section.name().clone();
        Some(Self {
            name,
            balance,
            hash_by,
            backends,
            sticky,
            health,
            slow_start,
            panic,
            retry,
            queue,
            pool_idle,
            pool_lifetime,
            protocol,
            send_proxy,
            resolve,
            tls,
        })
    }
}

/// `balance` and `hash_by`.
fn algorithm(section: &mut Section<'_>) -> (Algorithm, Option<At<HashBy>>) {
    let before = section.problems();
    let balance = section
        .key("balance", "Which backend gets the next request. All algorithms honour weights.")
        .fallback("PORTCULLIS_STRATEGY")
        .or(Algorithm::default());
    let known = (section.problems() == before).then_some(balance);
    let hash_by = section
        .key(
            "hash_by",
            "What of a request `balance = \"hash\"` goes by: ip, path, header:NAME or cookie:NAME. Left out: ip.",
        )
        .optional();
    without_hash(section, hash_by.as_ref(), known);
    (balance, hash_by)
}

/// The keys that say who is up, and what becomes of the others' shares.
fn availability(section: &mut Section<'_>) -> (HealthSettings, Period, f64) {
    let health = section
        .key("health", "How backends are probed, so that those that fail get no requests: the path of an http probe, false for no probes, or a table.")
        .or(HealthSettings::default());
    let slow_start = section
        .key(
            "slow_start",
            "How long a backend takes to get its whole share when it comes or comes back. 0s is none; up to 1h.",
        )
        .within(Period::seconds(0)..=Period::seconds(3_600))
        .or(Period::seconds(0));
    let panic = section
        .key("panic", "The part of the backends that has to be available, or those that are down are asked as well. 0.0 to 1.0; 0 is off.")
        .within(0.0..=1.0)
        .or(0.5);
    (health, slow_start, panic)
}

/// The keys of connections to the backends.
fn connections(section: &mut Section<'_>) -> (Period, Period, Protocol, SendProxy) {
    let pool_idle = section
        .key("pool_idle", "How long an unused connection to a backend is kept. 1s to 1h.")
        .within(Period::seconds(1)..=Period::seconds(3_600))
        .or(Period::seconds(55));
    let pool_lifetime = section
        .key(
            "pool_lifetime",
            "How long a connection to a backend gets new requests at most. 0s is for ever; up to 30d.",
        )
        .within(Period::seconds(0)..=Period::seconds(30 * 86_400))
        .or(Period::seconds(3_600));
    let protocol = section
        .key("protocol", "Which HTTP the backends are spoken to in: h1, h2 (in clear text to http:// and unix: ones), or auto: h2 with https:// backends that offer it, else h1.")
        .or(Protocol::default());
    let send_proxy = section
        .key("send_proxy", "What connections to the backends begin with: \"v2\" is a PROXY header of version 2 that names the client, false is nothing.")
        .or(SendProxy::default());
    (pool_idle, pool_lifetime, protocol, send_proxy)
}

/// No two backends with one URL, and one at least that gets requests.
fn check(section: &Section<'_>, backends: &[BackendSettings]) {
    let mut places = HashMap::new();
    for BackendSettings { url, .. } in backends {
        if let Some(first) = places.insert(&url.target, url.place) {
            let message = format!("the backend {} stands twice in one pool", url.text);
            let problem =
                Problem::error(url.place, message, "remove one of them; `weight` gives a backend more requests");
            section.report(problem.beside(first, "it stands here as well"));
        }
    }
    if let Some(first) = backends.first().filter(|_| backends.iter().all(|backend| backend.weight == 0)) {
        let message = "every backend of the pool has weight 0, so that none gets a request";
        section.problem(first.url.place, message, "give one of them a weight from 1 to 256");
    }
    if let Some(first) = backends.first().filter(|_| backends.iter().all(|backend| backend.backup)) {
        let message = "every backend of the pool is a backup";
        section.problem(first.url.place, message, "take `backup` away from those that are to be asked first");
    }
}

/// A probe of another port has nowhere to go where a backend is a Unix socket.
fn without_port(section: &Section<'_>, health: &HealthSettings, backends: &[BackendSettings]) {
    let Some(port) = health.0.as_ref().and_then(|check| check.port.as_ref()) else { return };
    let socket = |backend: &&BackendSettings| matches!(backend.url.target, Target::Unix(_));
    if let Some(backend) = backends.iter().find(socket) {
        let problem =
            Problem::error(port.place, "a Unix socket has no port to be probed", "remove `port`, or the backend");
        section.report(problem.beside(backend.url.place, "the socket is here"));
    }
}

/// A key that does nothing is told. It is no error: `PORTCULLIS_STRATEGY` may bring it to life, and trying another algorithm need
/// not cost the key.
fn without_hash(section: &Section<'_>, hash_by: Option<&At<HashBy>>, balance: Option<Algorithm>) {
    let (Some(hash_by), Some(balance)) = (hash_by, balance.filter(|balance| *balance != Algorithm::Hash)) else {
        return;
    };
    let message = format!("`hash_by` does nothing with `balance = \"{}\"`", balance.name());
    section.report(Problem::warning(hash_by.place, message, "write `balance = \"hash\"`, or remove `hash_by`"));
}

/// Who writes `tls` means to be safe: where it would do nothing, that is told.
fn without_https(section: &Section<'_>, tls: Option<&At<BackendTlsSettings>>, backends: &[BackendSettings]) {
    let Some(tls) = tls.filter(|_| !backends.is_empty() && !backends.iter().any(|backend| backend.url.secure)) else {
        return;
    };
    let message = "`tls` would do nothing: no backend of the pool is `https://`";
    section.problem(tls.place, message, "write `https://` for the backends that speak TLS, or remove `tls`");
}

impl Setting for BackendSettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![BackendUrl::shape(), Shape::table(|section| drop(Self::keys(section)))])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() { node.table(Self::keys).flatten() } else { node.short("url", Self::keys) }
    }
}

impl BackendSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let url = section
            .key(
                "url",
                "Where it is: `http://host[:port]`, `https://host[:port]`, `http://_service._tcp.name` or `unix:PATH`.",
            )
            .required();
        let weight = section
            .key("weight", "Its share among the pool's weights. 0 to 256; 0 gets no new requests.")
            .within(0..=256)
            .or(1);
        let backup = section.key("backup", "Whether it gets requests only where no other can be asked.").or(false);
        Some(Self { url: url?, weight, backup })
    }
}
