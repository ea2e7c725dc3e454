//! `/metrics`: everything that is counted, for Prometheus.

use super::super::answer::found;
use super::{Access, Page};
use crate::base::metrics::CONTENT_TYPE;

pub(super) const PAGE: Page = Page {
    path: "/metrics",
    access: Access::Token,
    answer: |sources| found(CONTENT_TYPE, sources.registry.exposition()),
};
