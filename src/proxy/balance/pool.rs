//! The endpoints of one `[pool.NAME]` and the choice among them.

use std::sync::Arc;
use std::time::Duration;

use super::round_robin::RoundRobin;
use super::{Endpoint, Protocol, Settings};
use crate::base::metrics::{Label, Registry};

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
    /// What the backends speak.
    pub protocol: Protocol,
    order: Arc<RoundRobin>,
}

impl Pool {
    /// The pool that `settings` describe. Endpoints of `previous` with the same URL go on, and so does the order where the
    /// weights are the same.
    pub fn build(settings: &Settings, registry: &Registry, previous: Option<&Self>) -> Self {
        let endpoints: Vec<Arc<Endpoint>> = settings
            .backends
            .iter()
            .map(|backend| {
                let known =
                    previous.and_then(|pool| pool.endpoints.iter().find(|endpoint| endpoint.url == *backend.url));
                let fresh = || Arc::new(Endpoint::new(backend.url.value.clone(), registry.label(&backend.url.text)));
                known.map_or_else(fresh, Arc::clone)
            })
            .collect();
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

fn same(a: &[Arc<Endpoint>], b: &[Arc<Endpoint>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.id == b.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::period::Period;
    use crate::base::place::{At, Place};
    use crate::proxy::balance::{Algorithm, BackendSettings, BackendUrl, RetrySettings};

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
        }
    }

    #[test]
    fn another_endpoint_first_then_the_same_again() {
        let registry = Registry::new();
        let pool = Pool::build(&settings(&[1, 2]), &registry, None);
        let first = pool.pick(&[]).unwrap().id;
        let second = pool.pick(&[first]).unwrap().id;
        assert_ne!(first, second);
        assert!(pool.pick(&[first, second]).is_some());
    }

    #[test]
    fn endpoints_outlive_a_reload_that_keeps_their_url() {
        let registry = Registry::new();
        let old = Pool::build(&settings(&[1, 2]), &registry, None);
        let new = Pool::build(&settings(&[2, 3]), &registry, Some(&old));
        assert_eq!(new.endpoints[0].id, old.endpoints[1].id);
        assert!(new.endpoints[1].id > old.endpoints[1].id);
    }
}
