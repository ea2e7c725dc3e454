//! What the control plane states rather than counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::exposition::{Kind, Visitor};

/// A number for each pool and backend.
pub type OfBackends = BTreeMap<(String, String), f64>;

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new config is live.
    Applied,
    /// The config was the one already live.
    Unchanged,
    /// The config has problems; the last good one serves on.
    Rejected,
}

const RELOADS: [(Reload, &str); 3] =
    [(Reload::Applied, "applied"), (Reload::Unchanged, "unchanged"), (Reload::Rejected, "rejected")];

/// Single values and small tables, written by the control plane.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) generation: AtomicU64,
    reloads: [AtomicU64; RELOADS.len()],
    pub(super) dropped_lines: Arc<AtomicU64>,
    pub(super) rate_limit_keys: Arc<AtomicU64>,
    certificates: Mutex<BTreeMap<String, i64>>,
    weights: Mutex<OfBackends>,
    up: Mutex<OfBackends>,
}

impl Facts {
    pub(super) fn count_reload(&self, outcome: Reload) {
        if let Some(at) = RELOADS.iter().position(|(known, _)| *known == outcome) {
            self.reloads[at].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn state_certificates(&self, expiries: BTreeMap<String, i64>) {
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = expiries;
    }

    pub(super) fn state_weights(&self, weights: OfBackends) {
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
    }

    pub(super) fn state_up(&self, up: OfBackends) {
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = up;
    }

    pub(super) fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.family(
            "portcullis_certificate_not_after_timestamp_seconds",
            "When a certificate expires, in seconds since 1970.",
            Kind::Gauge,
        );
        for (name, expiry) in self.certificates.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            visitor.sample("", &[("name", name)], whole(*expiry));
        }
        visitor.family(
            "portcullis_backend_weight",
            "The share of requests a backend gets now, relative to the others of its pool.",
            Kind::Gauge,
        );
        of_backends(&self.weights, visitor);
        visitor.family(
            "portcullis_backend_up",
            "1 where a backend is up, at one of its addresses at least; 0 where its probes fail or its name has no address.",
            Kind::Gauge,
        );
        of_backends(&self.up, visitor);
        visitor.family(
            "portcullis_config_generation",
            "The number of the config that is live; each applied one is one more.",
            Kind::Gauge,
        );
        visitor.sample("", &[], count(self.generation.load(Relaxed)));
        visitor.family("portcullis_config_reloads_total", "Attempts to make a config live.", Kind::Counter);
        for ((_, outcome), number) in RELOADS.iter().zip(&self.reloads) {
            visitor.sample("", &[("outcome", outcome)], count(number.load(Relaxed)));
        }
        visitor.family(
            "portcullis_rate_limit_keys",
            "Clients, hosts and values of fields that rate limits keep a bucket for.",
            Kind::Gauge,
        );
        visitor.sample("", &[], count(self.rate_limit_keys.load(Relaxed)));
        visitor.family(
            "portcullis_log_lines_dropped_total",
            "Lines of the event and access log that were not written: the queue was full or the file could not be written.",
            Kind::Counter,
        );
        visitor.sample("", &[], count(self.dropped_lines.load(Relaxed)));
    }
}

fn of_backends(numbers: &Mutex<OfBackends>, visitor: &mut dyn Visitor) {
    for ((pool, backend), number) in numbers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        visitor.sample("", &[("pool", pool), ("backend", backend)], *number);
    }
}

/// Samples are floats in the format; counts are exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "the exposition format knows only floats")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss, reason = "the exposition format knows only floats")]
pub(super) fn whole(number: i64) -> f64 {
    number as f64
}
