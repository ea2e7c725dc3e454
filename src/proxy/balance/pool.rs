//! The endpoints of one `[pool.NAME]` and the choice among them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::round_robin::RoundRobin;
use super::{Address, BackendUrl, Endpoint, Protocol, Resolution, SendProxy, Settings};
use crate::base::metrics::{Label, Registry};
use crate::proxy::tls::{BackendTls, Peer};

/// A pool.
#[derive(Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its name as a metrics label.
    pub label: Label,
    /// Its backends as the config has them. One whose name has had no good answer yet has no endpoint.
    pub backends: Vec<Backend>,
    /// Its endpoints: each address of each backend, in the order of the config.
    pub endpoints: Vec<Arc<Endpoint>>,
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
    weights: Vec<u32>,
    order: Arc<RoundRobin>,
}

/// One backend as the config has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Where it is.
    pub url: BackendUrl,
    /// Its weight, which each of its addresses has.
    pub weight: u16,
}

impl Pool {
    /// The pool that `settings` describe, with the addresses that `resolution` has; `tls` is how it speaks TLS. Endpoints of
    /// `previous` with the same URL, address, protocol and verification go on, and so does the order where the weights are the
    /// same.
    pub fn build(
        settings: &Settings,
        registry: &Registry,
        tls: Option<&Arc<BackendTls>>,
        resolution: &Resolution,
        previous: Option<&Self>,
    ) -> Self {
        // With its endpoint goes every connection that speaks what was asked for before.
        let known: HashMap<(&str, &Address), &Arc<Endpoint>> = previous
            .filter(|pool| pool.protocol == settings.protocol)
            .into_iter()
            .flat_map(|pool| &pool.endpoints)
            .map(|endpoint| ((endpoint.url.text.as_str(), &endpoint.address), endpoint))
            .collect();
        let (mut endpoints, mut weights) = (Vec::new(), Vec::new());
        for backend in &settings.backends {
            let (url, label) = (&backend.url.value, registry.label(&backend.url.text));
            // One for each endpoint: its sessions are its own.
            let peer = || tls.and_then(|tls| peer(settings, tls, url));
            let wanted = peer();
            // The whole URL is compared: a file that moved has another relative socket under the same text.
            let alike = |known: &&&Arc<Endpoint>| known.url == *url && verified_alike(known, wanted.as_ref());
            for (address, share) in resolution.addresses(url) {
                let known = known.get(&(url.text.as_str(), &address)).filter(alike).map(|known| Arc::clone(known));
                let fresh = || Arc::new(Endpoint::new((url.clone(), address), label, peer()));
                endpoints.push(known.unwrap_or_else(fresh));
                weights.push(u32::from(backend.weight) * u32::from(share));
            }
        }
        let order = previous
            .filter(|pool| pool.weights == weights && same(&pool.endpoints, &endpoints))
            .map_or_else(|| Arc::new(RoundRobin::new(&weights)), |pool| Arc::clone(&pool.order));
        Self {
            name: settings.name.value.clone(),
            label: registry.label(&settings.name),
            backends: settings
                .backends
                .iter()
                .map(|backend| Backend { url: backend.url.value.clone(), weight: backend.weight })
                .collect(),
            endpoints,
            retries: settings.retry.attempts,
            pool_idle: settings.pool_idle.0,
            pool_lifetime: settings.pool_lifetime.limit(),
            protocol: settings.protocol,
            send_proxy: settings.send_proxy,
            weights,
            order,
        }
    }

    /// Whether it sends the same shares to the same endpoints as `other`.
    pub fn spreads_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.order, &other.order)
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
    use crate::proxy::balance::{Algorithm, BackendSettings, Found, Resolve, RetrySettings};

    fn settings(urls: &[&str]) -> Settings {
        let backend = |url: &&str| BackendSettings {
            url: At::new(url.parse::<BackendUrl>().unwrap(), Place::default()),
            weight: 2,
        };
        Settings {
            name: At::new("p".into(), Place::default()),
            balance: Algorithm::RoundRobin,
            backends: urls.iter().map(backend).collect(),
            retry: RetrySettings::default(),
            pool_idle: Period::seconds(55),
            pool_lifetime: Period::seconds(3_600),
            protocol: Protocol::Auto,
            send_proxy: SendProxy::Off,
            resolve: Resolve::default(),
            tls: None,
        }
    }

    /// The answer for the name of a URL: addresses and their shares.
    fn answer(url: &str, found: &[(&str, u16)]) -> Resolution {
        let found = found.iter().map(|(address, weight)| {
            let address = address.parse().unwrap();
            Found { address, port: None, weight: *weight, host: "h".into() }
        });
        [(url.parse::<BackendUrl>().unwrap().question().unwrap(), found.collect())].into_iter().collect()
    }

    #[test]
    fn another_endpoint_first_then_the_same_again() {
        let registry = Registry::new();
        let settings = settings(&["http://127.0.0.1:1", "http://127.0.0.1:2"]);
        let pool = Pool::build(&settings, &registry, None, &Resolution::default(), None);
        let first = pool.pick(&[]).unwrap().id;
        let second = pool.pick(&[first]).unwrap().id;
        assert_ne!(first, second);
        assert!(pool.pick(&[first, second]).is_some());
    }

    #[test]
    fn endpoints_outlive_a_reload_that_keeps_their_url() {
        let (registry, none) = (Registry::new(), Resolution::default());
        let old = Pool::build(&settings(&["http://127.0.0.1:1", "http://127.0.0.1:2"]), &registry, None, &none, None);
        let new =
            Pool::build(&settings(&["http://127.0.0.1:2", "http://127.0.0.1:3"]), &registry, None, &none, Some(&old));
        assert_eq!(new.endpoints[0].id, old.endpoints[1].id);
        assert!(new.endpoints[1].id > old.endpoints[1].id);
        assert!(!new.spreads_like(&old));
    }

    #[test]
    fn every_address_is_an_endpoint_that_outlives_the_others() {
        let registry = Registry::new();
        let settings = settings(&["http://b:80", "http://127.0.0.1:1"]);
        let build = |found: &[(&str, u16)], previous: Option<&Pool>| {
            Pool::build(&settings, &registry, None, &answer("http://b", found), previous)
        };
        let old = build(&[("10.0.0.1", 1), ("10.0.0.2", 1)], None);
        let new = build(&[("10.0.0.2", 3), ("10.0.0.3", 1)], Some(&old));
        let ids = |pool: &Pool| pool.endpoints.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>();
        assert_eq!((old.endpoints.len(), &old.weights), (3, &vec![2, 2, 2]));
        assert_eq!((ids(&new)[0], ids(&new)[2], &new.weights), (ids(&old)[1], ids(&old)[2], &vec![6, 2, 2]));
        assert!(new.endpoints.iter().take(2).all(|endpoint| endpoint.label == old.endpoints[0].label));
        assert!(build(&[("10.0.0.2", 3), ("10.0.0.3", 1)], Some(&new)).spreads_like(&new));
    }

    #[test]
    fn a_pool_whose_names_have_no_answer_has_no_endpoint() {
        let pool = Pool::build(&settings(&["http://b:80"]), &Registry::new(), None, &Resolution::default(), None);
        assert!(pool.pick(&[]).is_none());
        assert_eq!(pool.backends.len(), 1);
    }
}
