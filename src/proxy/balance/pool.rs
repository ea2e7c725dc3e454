//! The endpoints of one `[pool.NAME]` and the choice among them.

use std::sync::Arc;
use std::time::Duration;

use super::round_robin::RoundRobin;
use super::{BackendUrl, Endpoint, Protocol, SendProxy, Settings};
use crate::base::metrics::{Label, Registry};
use crate::proxy::tls::{BackendTls, Peer};

/// A pool.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its name as a metrics label.
    pub label: Label,
    /// Its endpoints, in the order of the config.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Their weights, in the same order.
    pub weights: Vec<u16>,
    /// How often a request is sent again at most.
    pub retries: u8,
    /// How long an unused connection is kept.
    pub pool_idle: Duration,
    /// How long a connection gets new requests; none where there is no limit.
    pub pool_lifetime: Option<Duration>,
    /// Which HTTP its backends are spoken to in.
    pub protocol: Protocol,
    /// What connections to its backends begin with.
    pub send_proxy: SendProxy,
    order: Arc<RoundRobin>,
}

impl Pool {
    /// The pool that `settings` describe; `tls` is how it speaks TLS. Endpoints of `previous` with the same URL, protocol and
    /// verification go on, and so does the order where the weights are the same.
    pub fn build(
        settings: &Settings,
        registry: &Registry,
        tls: Option<&Arc<BackendTls>>,
        previous: Option<&Self>,
    ) -> Self {
        let endpoint = |url: &BackendUrl| {
            let peer = tls.and_then(|tls| peer(settings, tls, url));
            let alike = |known: &&Arc<Endpoint>| known.url == *url && verified_alike(known, peer.as_ref());
            // With its endpoint goes every connection that speaks what was asked for before.
            let previous = previous.filter(|pool| pool.protocol == settings.protocol);
            match previous.and_then(|pool| pool.endpoints.iter().find(alike)) {
                Some(known) => Arc::clone(known),
                None => Arc::new(Endpoint::new(url.clone(), registry.label(&url.text), peer)),
            }
        };
        let endpoints: Vec<Arc<Endpoint>> = settings.backends.iter().map(|backend| endpoint(&backend.url)).collect();
        let weights: Vec<u16> = settings.backends.iter().map(|backend| backend.weight).collect();
        let order = previous
            .filter(|pool| pool.weights == weights && same(&pool.endpoints, &endpoints))
            .map_or_else(|| Arc::new(RoundRobin::new(&weights)), |pool| Arc::clone(&pool.order));
        Self {
            name: settings.name.value.clone(),
            label: registry.label(&settings.name),
            endpoints,
            weights,
            retries: settings.retry.attempts,
            pool_idle: settings.pool_idle.0,
            pool_lifetime: settings.pool_lifetime.limit(),
            protocol: settings.protocol,
            send_proxy: settings.send_proxy,
            order,
        }
    }

    /// The endpoint for the next attempt: one that is not in `tried`, where there is one.
    pub fn pick(&self, tried: &[u64]) -> Option<&Arc<Endpoint>> {
        let mut first = None;
        for _ in 0..self.order.cycle() {
            let endpoint = &self.endpoints[self.order.next()?];
            if !tried.contains(&endpoint.id) {
                return Some(endpoint);
            }
            first = first.or(Some(endpoint));
        }
        first
    }
}

/// How the backend at `url` is verified, where it is spoken to inside TLS.
fn peer(settings: &Settings, tls: &Arc<BackendTls>, url: &BackendUrl) -> Option<Peer> {
    let of_url = url.peer_name()?;
    let given = settings.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
    Some(Peer::new(tls, given.map_or(of_url, |name| name.value.clone())))
}

/// Whether a connection that was made to the endpoint may be used for one that is verified as `peer` says.
fn verified_alike(endpoint: &Endpoint, peer: Option<&Peer>) -> bool {
    match (&endpoint.peer, peer) {
        (Some(known), Some(peer)) => known.is_same(peer),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn same(a: &[Arc<Endpoint>], b: &[Arc<Endpoint>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.id == b.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::period::Period;
    use crate::base::place::{At, Place};
    use crate::proxy::balance::{Algorithm, BackendSettings, RetrySettings};

    fn settings(ports: &[u16]) -> Settings {
        let backend = |port: &u16| BackendSettings {
            url: At::new(format!("http://h:{port}").parse::<BackendUrl>().unwrap(), Place::default()),
            weight: 1,
        };
        Settings {
            name: At::new("p".into(), Place::default()),
            balance: Algorithm::RoundRobin,
            backends: ports.iter().map(backend).collect(),
            retry: RetrySettings::default(),
            pool_idle: Period::seconds(55),
            pool_lifetime: Period::seconds(3_600),
            protocol: Protocol::Auto,
            send_proxy: SendProxy::Off,
            tls: None,
        }
    }

    #[test]
    fn another_endpoint_first_then_the_same_again() {
        let registry = Registry::new();
        let pool = Pool::build(&settings(&[1, 2]), &registry, None, None);
        let first = pool.pick(&[]).unwrap().id;
        let second = pool.pick(&[first]).unwrap().id;
        assert_ne!(first, second);
        assert!(pool.pick(&[first, second]).is_some());
    }

    #[test]
    fn endpoints_outlive_a_reload_that_keeps_their_url() {
        let registry = Registry::new();
        let old = Pool::build(&settings(&[1, 2]), &registry, None, None);
        let new = Pool::build(&settings(&[2, 3]), &registry, None, Some(&old));
        assert_eq!(new.endpoints[0].id, old.endpoints[1].id);
        assert!(new.endpoints[1].id > old.endpoints[1].id);
    }
}
