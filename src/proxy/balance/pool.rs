//! The endpoints of one `[pool.NAME]` and the choice among them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asking::Terms;
use super::breaker::Rules;
use super::spread::{Share, Shares, Spread};
use super::standing::Changes;
use super::sticky::Sticky;
use super::{Address, Algorithm, Asking, BackendSettings, BackendUrl, Endpoint, Measures, Nobody};
use super::{Check, Prospect, Protocol, Queue, QueueSettings, Resolution, Retries, RetrySettings};
use super::{SendProxy, Settings, StickyKey};
use crate::base::metrics::{Label, Registry};
use crate::proxy::message::Request;
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
    /// When a request is sent again.
    pub retry: RetrySettings,
    /// How many requests wait, and how long.
    pub queue: QueueSettings,
    /// How long an unused connection is kept.
    pub pool_idle: Duration,
    /// How long a connection gets new requests; none where there is no limit.
    pub pool_lifetime: Option<Duration>,
    /// Which HTTP its backends are spoken to in.
    pub protocol: Protocol,
    /// How its endpoints are probed, where they are.
    pub health: Option<Arc<Check>>,
    /// What connections to its backends begin with.
    pub send_proxy: SendProxy,
    pub(super) spread: Arc<Spread>,
    sticky: Option<Sticky>,
    /// What its endpoints' breakers go by.
    pub(super) breaker: Rules,
    /// Of the standing of its endpoints, over all its snapshots.
    changes: Arc<Changes>,
    /// Those that wait and those that are sent again, over all its snapshots.
    pub(super) waiting: Arc<Queue>,
    pub(super) retries: Arc<Retries>,
}

/// One backend as the config has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Where it is.
    pub url: BackendUrl,
    /// Its weight, which each of its addresses has.
    pub weight: u16,
    /// Whether it gets requests only where no other can be picked.
    pub backup: bool,
}

impl Backend {
    fn of(settings: &BackendSettings) -> Self {
        Self { url: settings.url.value.clone(), weight: settings.weight, backup: settings.backup }
    }
}

impl Pool {
    /// The pool that `settings` describe, with the addresses that `resolution` has; `tls` is how it speaks TLS. Endpoints of
    /// `previous` with the same URL, address, protocol and verification go on, and so does the algorithm where it has the same
    /// endpoints and weights.
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
        let changes = previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.changes));
        let waiting = previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.waiting));
        let slow_start = settings.slow_start.limit();
        let begins_slowly = slow_start.is_some() && previous.is_some_and(|pool| !pool.endpoints.is_empty());
        let (mut endpoints, mut list) = (Vec::new(), Vec::new());
        for backend in &settings.backends {
            let (url, label) = (&backend.url.value, registry.label(&backend.url.text));
            // One for each endpoint: its sessions are its own.
            let peer = || tls.and_then(|tls| peer(settings, tls, url));
            let wanted = peer();
            // The whole URL is compared: a file that moved has another relative socket under the same text.
            let alike = |known: &&&Arc<Endpoint>| known.url == *url && verified_alike(known, wanted.as_ref());
            for (address, share) in resolution.addresses(url) {
                let known = known.get(&(url.text.as_str(), &address)).filter(alike).map(|known| Arc::clone(known));
                let fresh = || {
                    let fresh = Endpoint::new((url.clone(), address), label, peer(), (&changes, &waiting));
                    if begins_slowly {
                        fresh.standing.warm_up(Instant::now());
                    }
                    Arc::new(fresh)
                };
                let endpoint = known.unwrap_or_else(fresh);
                let weight = u32::from(backend.weight) * u32::from(share);
                list.push(Share { endpoint: endpoint.id, weight, backup: backend.backup });
                endpoints.push(endpoint);
            }
        }
        let hash_by = settings.hash_by.as_ref().map(|by| by.value.clone()).unwrap_or_default();
        let terms = Terms { slow_start, panic: settings.panic as f32, max_requests: settings.queue.max_requests };
        let asked = list.iter().filter(|share| share.weight > 0).count();
        let breaker = Rules::new(settings.breaker.as_ref(), asked, registry.breaker_transitions());
        let shares = Shares { algorithm: settings.balance, hash_by, terms, list };
        let spread = match previous {
            Some(pool) if pool.spread.shares == shares => Arc::clone(&pool.spread),
            Some(_) | None => Arc::new(Spread::new(shares, &endpoints, Arc::clone(&changes))),
        };
        Self {
            name: settings.name.value.clone(),
            label: registry.label(&settings.name),
            backends: settings.backends.iter().map(Backend::of).collect(),
            endpoints,
            retry: settings.retry.clone(),
            queue: settings.queue.clone(),
            pool_idle: settings.pool_idle.0,
            pool_lifetime: settings.pool_lifetime.limit(),
            protocol: settings.protocol,
            health: settings.health.0.clone(),
            send_proxy: settings.send_proxy,
            spread,
            sticky: None,
            breaker,
            changes,
            waiting,
            retries: previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.retries)),
        }
    }

    /// The same, whose clients come back to their endpoint by a cookie, where `settings` say so.
    pub fn stick(self, settings: &Settings, key: Option<&StickyKey>) -> Self {
        let cookie = settings.sticky.cookie.as_ref();
        let sticky = cookie.zip(key).map(|(cookie, key)| Sticky::new(cookie, key, &self.name, &self.endpoints));
        Self { sticky, ..self }
    }

    /// How it chooses.
    pub fn algorithm(&self) -> Algorithm {
        self.spread.shares.algorithm
    }

    /// What its algorithm wants to know of answers.
    pub fn measures(&self) -> Measures {
        self.algorithm().measures()
    }

    /// The weight that a backend has now: its own, or what has been made of it where weights follow what is measured.
    pub fn current_weight(&self, backend: &Backend) -> f64 {
        let own = f64::from(backend.weight);
        if self.measures() != Measures::Share {
            return own;
        }
        let of_backend = self.endpoints.iter().filter(|endpoint| endpoint.url == backend.url);
        let factors: Vec<f64> = of_backend.map(|endpoint| f64::from(endpoint.load.factor())).collect();
        // Each of its addresses has one of its own. None of them is asked where its name has none yet.
        let mean = factors.iter().sum::<f64>() / factors.len().max(1) as f64;
        // As exact as it is meant.
        (own * mean * 1_000.0).round() / 1_000.0
    }

    /// How long an endpoint takes to get its whole share.
    pub fn slow_start(&self) -> Option<Duration> {
        self.spread.shares.terms.slow_start
    }

    /// Whether so few endpoints are available that all of them are asked.
    pub fn asks_all(&self) -> bool {
        self.spread.asks_all()
    }

    /// Whether it sends the same shares to the same endpoints as `other`.
    pub fn spreads_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.spread, &other.spread)
    }

    /// The weight of each of its endpoints.
    pub(super) fn weights(&self) -> impl Iterator<Item = u32> {
        self.spread.shares.list.iter().map(|share| share.weight)
    }

    /// What it has for a request that was nowhere yet, which takes no turn by it.
    pub fn foresee(&self, asking: &Asking<'_>) -> Prospect<'_> {
        let mut prospect = self.spread.foresee(asking, &self.endpoints);
        if let Some(own) = self.own(asking) {
            prospect.nobody = None;
            prospect.candidates.iter_mut().for_each(|candidate| candidate.picked = candidate.endpoint.id == own.id);
        }
        prospect
    }

    /// The endpoint for the next attempt: one where the request was not before, where there is one that is available.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self, asking: &Asking<'_>) -> Result<&Arc<Endpoint>, Nobody> {
        if let Some(own) = self.own(asking) {
            return Ok(own);
        }
        self.spread.pick(asking)
    }

    /// The endpoint that the client's cookie names, where the request may go there.
    fn own(&self, asking: &Asking<'_>) -> Option<&Arc<Endpoint>> {
        let own = self.sticky.as_ref()?.find(asking.request)?;
        self.spread.may(own, asking).then_some(own)
    }

    /// The `Set-Cookie` for the client of a request that `endpoint` has answered; none where its cookie names one that serves.
    pub fn set_cookie(&self, request: &Request, endpoint: &Endpoint, secure: bool) -> Option<Vec<u8>> {
        let sticky = self.sticky.as_ref()?;
        let known = sticky.find(request).is_some_and(|own| own.standing.is_available());
        if known { None } else { sticky.set_cookie(endpoint, secure) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::balance::Found;
    use crate::proxy::balance::tests::{asking, settings};

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
        let first = pool.pick(&asking(&[])).unwrap().id;
        let second = pool.pick(&asking(&[first])).unwrap().id;
        assert_ne!(first, second);
        assert!(pool.pick(&asking(&[first, second])).is_ok());
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
        let weights = |pool: &Pool| pool.spread.shares.list.iter().map(|share| share.weight).collect::<Vec<_>>();
        assert_eq!((old.endpoints.len(), weights(&old)), (3, vec![2, 2, 2]));
        assert_eq!((ids(&new)[0], ids(&new)[2], weights(&new)), (ids(&old)[1], ids(&old)[2], vec![6, 2, 2]));
        assert!(new.endpoints.iter().take(2).all(|endpoint| endpoint.label == old.endpoints[0].label));
        assert!(build(&[("10.0.0.2", 3), ("10.0.0.3", 1)], Some(&new)).spreads_like(&new));
    }

    #[test]
    fn a_pool_whose_names_have_no_answer_has_no_endpoint() {
        let pool = Pool::build(&settings(&["http://b:80"]), &Registry::new(), None, &Resolution::default(), None);
        assert_eq!(pool.pick(&asking(&[])).err(), Some(Nobody::NoBackend));
        assert_eq!(pool.backends.len(), 1);
    }
}
