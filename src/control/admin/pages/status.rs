//! `GET /api/v1/status`: what is live.

use http::StatusCode;

use super::super::answer::{Answer, found, refused};
use super::{Access, Page, Sources};

pub(super) const PAGE: Page = Page { path: crate::control::admin::status::PATH, access: Access::Token, answer };

fn answer(sources: &Sources, _: &str) -> Answer {
    match serde_json::to_vec(&(sources.status)()) {
        Ok(body) => found("application/json", body),
        Err(error) => {
            tracing::error!(%error, "the status cannot be written as JSON");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be shown", "please report this as a bug")
        }
    }
}
