//! `/readyz`: whether requests should come here.

use http::StatusCode;

use super::super::answer::{Answer, found, with_status};
use super::{Access, Page, Sources};

pub(super) const PAGE: Page = Page { path: crate::control::admin::status::READY_PATH, access: Access::Open, answer };

/// 503 while starting and while draining, so that a load balancer in front turns elsewhere.
fn answer(sources: &Sources, _: &str) -> Answer {
    if (sources.is_ready)() {
        found("text/plain", "ready\n")
    } else {
        with_status(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "starting or draining\n")
    }
}
