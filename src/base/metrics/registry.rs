//! All metrics of the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cell::{BOUNDS, Cell, Counter, Distribution, Histogram};
use super::exposition::{Exposition, Kind, Totals, Visitor};
use super::facts::{Facts, OfBackends, Reload, count, whole};
use super::family::{Family, Key};
use super::label::{Label, Labels, text_of};
use super::process;
use super::worker::Worker;

/// The media type of [`Registry::exposition`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics. Lives as long as the process, so that counters survive reloads; clones are the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    labels: Labels,
    families: Families,
    facts: Facts,
}

/// What workers write.
#[derive(Default)]
pub(super) struct Families {
    pub(super) requests: Family<Counter, 3>,
    pub(super) request_durations: Family<Histogram, 1>,
    pub(super) refused: Family<Counter, 2>,
    pub(super) observed: Family<Counter, 2>,
    pub(super) retries: Family<Counter, 2>,
    pub(super) queued: Family<Counter, 1>,
    pub(super) mirrored: Family<Counter, 2>,
    pub(super) connections_open: Family<Counter, 1>,
    pub(super) connections: Family<Counter, 1>,
    pub(super) handshakes: Family<Counter, 4>,
    pub(super) handshake_failures: Family<Counter, 1>,
    pub(super) backend_active: Family<Counter, 2>,
    pub(super) backend_requests: Family<Counter, 3>,
    pub(super) backend_responses: Family<Histogram, 2>,
    pub(super) probes: Family<Counter, 3>,
    pub(super) panics: Family<Counter, 0>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self(Arc::new(Shared { labels: Labels::new(), families: Families::default(), facts: Facts::default() }))
    }

    /// The label for `text`; the same text is the same label until the process ends. For building a snapshot, not for
    /// the hot path. Only names from the config or the code: what a client chooses is no label.
    pub fn label(&self, text: &str) -> Label {
        self.0.labels.intern(text)
    }

    /// Counters for one worker thread, to be made on that thread.
    pub fn worker(&self) -> Worker {
        Worker::new(self.clone())
    }

    /// States which config is live.
    pub fn set_generation(&self, generation: u64) {
        self.0.facts.generation.store(generation, Relaxed);
    }

    /// Counts an attempt to make a config live.
    pub fn count_reload(&self, outcome: Reload) {
        self.0.facts.count_reload(outcome);
    }

    /// States when each certificate expires: its name and seconds since 1970. Replaces what was stated before.
    pub fn set_certificates(&self, expiries: impl IntoIterator<Item = (String, i64)>) {
        self.0.facts.state_certificates(expiries.into_iter().collect());
    }

    /// States the weight of every backend. Replaces what was stated before.
    pub fn set_weights(&self, weights: OfBackends) {
        self.0.facts.state_weights(weights);
    }

    /// States which backends are up: 1, or 0. Replaces what was stated before.
    pub fn set_up(&self, up: OfBackends) {
        self.0.facts.state_up(up);
    }

    /// Where the log counts lines it could not write.
    pub fn dropped_lines(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.facts.dropped_lines)
    }

    /// Where the limiter tells how many keys have a bucket.
    pub fn rate_limit_keys(&self) -> &Arc<AtomicU64> {
        &self.0.facts.rate_limit_keys
    }

    /// Everything in the Prometheus text format, in an order that stays the same.
    pub fn exposition(&self) -> String {
        let mut exposition = Exposition::default();
        self.visit(&mut exposition);
        process::visit(&mut exposition);
        exposition.text
    }

    /// A metric's samples added up by the values of the labels `by`; a label it does not have is empty. One walk over all
    /// series, so ask once for many: `totals("portcullis_backend_requests_total", &["pool", "backend", "outcome"])`.
    pub fn totals(&self, name: &str, by: &[&str]) -> BTreeMap<Vec<String>, f64> {
        let mut totals = Totals::new(name, by);
        self.visit(&mut totals);
        totals.sums
    }

    pub(super) fn families(&self) -> &Families {
        &self.0.families
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        let families = &self.0.families;
        let mut scrape = Scrape { texts: &self.0.labels, visitor };
        scrape.requests(families);
        scrape.connections(families);
        scrape.backends(families);
        self.0.facts.visit(scrape.visitor);
    }
}

/// The walk over all families.
struct Scrape<'a> {
    texts: &'a Labels,
    visitor: &'a mut dyn Visitor,
}

impl Scrape<'_> {
    fn requests(&mut self, families: &Families) {
        let help = "Requests answered, by listener, route and status.";
        self.counter("portcullis_requests_total", help, &families.requests, ["listener", "route", "status"]);
        let help = "From the first byte of a request to the last of its answer.";
        self.histogram("portcullis_request_duration_seconds", help, &families.request_durations, ["route"]);
        let help = "Requests that were refused or failed, by reason.";
        self.counter("portcullis_refused_total", help, &families.refused, ["reason", "route"]);
        let help =
            "Requests that went on and would have been refused if their policies did more than observe, by reason.";
        self.counter("portcullis_observed_total", help, &families.observed, ["reason", "route"]);
        let help = "Requests sent again to a backend and what came of it, or not for want of budget.";
        self.counter("portcullis_retries_total", help, &families.retries, ["pool", "outcome"]);
        let help =
            "Copies of requests to a mirror's pool: answered, failed, or dropped as too large, too many or not whole.";
        self.counter("portcullis_mirrored_total", help, &families.mirrored, ["pool", "outcome"]);
        let help = "Panics that were caught; each cost its connection.";
        self.counter("portcullis_panics_total", help, &families.panics, []);
    }

    fn connections(&mut self, families: &Families) {
        let help = "Client connections open now.";
        self.gauge("portcullis_connections_open", help, &families.connections_open, ["listener"]);
        let help = "Client connections accepted.";
        self.counter("portcullis_connections_total", help, &families.connections, ["listener"]);
        let names = ["version", "cipher", "group", "resumed"];
        let help = "TLS handshakes finished.";
        self.counter("portcullis_tls_handshakes_total", help, &families.handshakes, names);
        let help = "TLS handshakes that failed.";
        self.counter("portcullis_tls_handshake_failures_total", help, &families.handshake_failures, ["cause"]);
    }

    fn backends(&mut self, families: &Families) {
        let help = "Requests at a backend now.";
        self.gauge("portcullis_backend_active_requests", help, &families.backend_active, ["pool", "backend"]);
        let names = ["pool", "backend", "outcome"];
        let help = "Requests sent to a backend, and what came of them.";
        self.counter("portcullis_backend_requests_total", help, &families.backend_requests, names);
        let help = "From sending a request to the head of the backend's answer.";
        self.histogram("portcullis_backend_response_seconds", help, &families.backend_responses, ["pool", "backend"]);
        let help = "Requests that wait for a backend with room.";
        self.gauge("portcullis_queue_length", help, &families.queued, ["pool"]);
        let help = "Probes of a backend's health, and what came of them.";
        self.counter("portcullis_health_probes_total", help, &families.probes, names);
    }

    fn counter<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        family: &Family<Counter, N>,
        labels: [&'static str; N],
    ) {
        self.visitor.family(name, help, Kind::Counter);
        self.each(family, labels, |visitor, labels, sum| visitor.sample("", labels, count(sum)));
    }

    fn gauge<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        family: &Family<Counter, N>,
        labels: [&'static str; N],
    ) {
        self.visitor.family(name, help, Kind::Gauge);
        // Wrapped below zero on one worker, a sum may be read as negative between two stores of two workers: shown as 0.
        self.each(family, labels, |visitor, labels, sum| visitor.sample("", labels, whole(sum.cast_signed().max(0))));
    }

    fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        family: &Family<Histogram, N>,
        labels: [&'static str; N],
    ) {
        self.visitor.family(name, help, Kind::Histogram);
        self.each(family, labels, |visitor, labels, sum| distribution(visitor, labels, &sum));
    }

    /// Gives every series of `family`, ordered by the texts of its labels.
    fn each<C: Cell, const N: usize>(
        &mut self,
        family: &Family<C, N>,
        names: [&'static str; N],
        mut give: impl FnMut(&mut dyn Visitor, &[(&'static str, &str)], C::Sum),
    ) {
        // The sums first: a label that a worker is using by then is in the texts.
        let mut sums = family.sums();
        let texts = self.texts.texts();
        sums.sort_by_key(|(key, _)| texts_of(&texts, key));
        for (key, sum) in sums {
            let mut labels = [("", ""); N];
            for ((label, name), value) in labels.iter_mut().zip(names).zip(texts_of(&texts, &key)) {
                *label = (name, value);
            }
            give(self.visitor, &labels, sum);
        }
    }
}

fn texts_of<'a, const N: usize>(texts: &'a [Arc<str>], key: &Key<N>) -> [&'a str; N] {
    key.map(|label: Label| text_of(texts, label))
}

fn distribution(visitor: &mut dyn Visitor, labels: &[(&'static str, &str)], sum: &Distribution) {
    let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
    let mut below = 0;
    for (bound, number) in bounds.zip(sum.buckets) {
        below += number;
        visitor.sample("_bucket", &[labels, &[("le", bound)]].concat(), count(below));
    }
    visitor.sample("_sum", labels, count(sum.nanoseconds) / 1e9);
    visitor.sample("_count", labels, count(below));
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;
    use crate::base::metrics::Handshake;

    #[test]
    fn a_scrape_shows_every_family_in_order() {
        let registry = Registry::new();
        let (web, api) = (registry.label("web"), registry.label("api"));
        let (https, backend) = (registry.label("https"), registry.label("http://10.0.0.1:80"));
        let worker = registry.worker();
        worker.request(https, web, 200, Duration::from_millis(3));
        worker.request(https, api, 503, Duration::from_secs(100));
        worker.refused("no_backend", api);
        worker.connection_opened(https);
        worker.handshake(Handshake { version: "TLSv1.3", cipher: "x", group: "y", resumed: false });
        worker.backend_started(web, backend);
        registry.set_certificates([("b".into(), 2), ("a".into(), 1)]);
        registry.count_reload(Reload::Rejected);
        let text = registry.exposition();
        let of = |name: &str| -> Vec<&str> { text.lines().filter(|line| line.starts_with(name)).collect() };
        assert_eq!(
            of("portcullis_requests_total"),
            [
                "portcullis_requests_total{listener=\"https\",route=\"api\",status=\"503\"} 1",
                "portcullis_requests_total{listener=\"https\",route=\"web\",status=\"200\"} 1",
            ]
        );
        let api = of("portcullis_request_duration_seconds").into_iter().filter(|line| line.contains("api"));
        let api: Vec<&str> = api.collect();
        assert_eq!(api[15], "portcullis_request_duration_seconds_bucket{route=\"api\",le=\"60\"} 0");
        assert_eq!(api[16], "portcullis_request_duration_seconds_bucket{route=\"api\",le=\"+Inf\"} 1");
        assert_eq!(
            api[17..],
            [
                "portcullis_request_duration_seconds_sum{route=\"api\"} 100",
                "portcullis_request_duration_seconds_count{route=\"api\"} 1",
            ]
        );
        assert_eq!(
            of("portcullis_certificate_not_after")[0],
            "portcullis_certificate_not_after_timestamp_seconds{name=\"a\"} 1"
        );
        assert_eq!(of("portcullis_config_reloads_total{outcome=\"rejected\"}").len(), 1);
        assert!(text.contains("\n# TYPE portcullis_request_duration_seconds histogram\n"));
        assert!(of("process_open_fds")[0].len() > "process_open_fds ".len());
        let families = of("# TYPE ").len();
        assert_eq!(families, of("# HELP ").len());
        assert!(families >= 22, "{families}");
    }

    /// The sum of a metric's samples that carry all of `labels`; 0 where there is none.
    fn total(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (by, wanted): (Vec<&str>, Vec<String>) =
            labels.iter().map(|(label, value)| (*label, (*value).to_owned())).unzip();
        registry.totals(name, &by).remove(&wanted).unwrap_or_default()
    }

    #[test]
    fn totals_add_up_over_labels() {
        let registry = Registry::new();
        let (pool, one, two) = (registry.label("p"), registry.label("one"), registry.label("two"));
        let worker = registry.worker();
        for (backend, outcome) in [(one, "ok"), (one, "connect_failed"), (two, "ok")] {
            worker.backend_started(pool, backend);
            worker.backend_finished(pool, backend, outcome, Some(Duration::from_millis(1)));
        }
        assert_eq!(total(&registry, "portcullis_backend_requests_total", &[("pool", "p")]), 3.0);
        let totals = registry.totals("portcullis_backend_requests_total", &["backend", "outcome"]);
        assert_eq!(totals[["one".to_owned(), "ok".to_owned()].as_slice()], 1.0);
        assert_eq!(total(&registry, "portcullis_backend_requests_total", &[("pool", "q")]), 0.0);
        assert_eq!(total(&registry, "portcullis_backend_active_requests", &[]), 0.0);
        assert_eq!(total(&registry, "portcullis_backend_response_seconds_count", &[("backend", "one")]), 2.0);
    }

    #[test]
    fn scrapes_while_workers_count_lose_nothing_and_never_go_back() {
        const EACH: u64 = 20_000;
        let registry = Registry::new();
        let (listener, start) = (registry.label("l"), Barrier::new(4));
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (registry, start) = (&registry, &start);
                scope.spawn(move || {
                    let (worker, routes) = (registry.worker(), ["a", "b"].map(|name| registry.label(name)));
                    start.wait();
                    for turn in 0..EACH {
                        let route = routes[(turn % 2) as usize];
                        worker.request(
                            listener,
                            route,
                            200 + (turn % 100) as u16 + thread,
                            Duration::from_micros(turn),
                        );
                        worker.connection_opened(listener);
                        worker.connection_closed(listener);
                    }
                });
            }
            start.wait();
            let mut before = 0.0;
            while before < count(3 * EACH) {
                let now = total(&registry, "portcullis_requests_total", &[("listener", "l")]);
                assert!(now >= before, "{now} after {before}");
                before = now;
            }
        });
        assert_eq!(total(&registry, "portcullis_requests_total", &[]), count(3 * EACH));
        assert_eq!(
            total(&registry, "portcullis_request_duration_seconds_count", &[("route", "a")]),
            count(3 * EACH / 2)
        );
        assert_eq!(total(&registry, "portcullis_connections_open", &[]), 0.0);
    }
}
