//! `/metrics`: everything that is counted, for Prometheus.

use super::super::answer::{Answer, found};
use super::{Access, Page, Sources};
use crate::base::metrics::CONTENT_TYPE;

pub(super) const PAGE: Page = Page { path: "/metrics", access: Access::Token, answer };

fn answer(sources: &Sources, _: &str) -> Answer {
    // They change with every answer of a backend, and nobody but a scrape wants to know.
    sources.registry.set_weights((sources.weights)());
    sources.registry.set_up((sources.up)());
    sources.registry.set_breakers((sources.breakers)());
    found(CONTENT_TYPE, sources.registry.exposition())
}
