//! `GET /api/v1/explain?url=&from=&method=&header=&listener=`: what would become of a request, and why.

use http::StatusCode;

use super::super::answer::{Answer, found, refused};
use super::{Access, Page, Sources};
use crate::control::admin::EXPLAIN_PATH;
use crate::control::explain::asked;

pub(super) const PAGE: Page = Page { path: EXPLAIN_PATH, access: Access::Token, answer };

fn answer(sources: &Sources, query: &str) -> Answer {
    let explanation = match asked(query).and_then(|question| (sources.explain)(&question)) {
        Ok(explanation) => explanation,
        Err(wrong) => return refused(StatusCode::BAD_REQUEST, &wrong.error, &wrong.advice),
    };
    match serde_json::to_vec(&explanation) {
        Ok(body) => found("application/json", body),
        Err(error) => {
            tracing::error!(%error, "the explanation cannot be written as JSON");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the explanation cannot be shown", "please report this as a bug")
        }
    }
}
