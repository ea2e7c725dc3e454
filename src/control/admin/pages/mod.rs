//! The pages, one file each, and the table of them.

mod explain;
mod health;
mod metrics;
mod ready;
mod status;

use http::StatusCode;
use http::header::{ALLOW, AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};

use super::answer::{Answer, refused, with_field};
use super::{Sources, Token};

/// One page.
struct Page {
    path: &'static str,
    access: Access,
    /// Given what follows the `?`.
    answer: fn(&Sources, &str) -> Answer,
}

/// Who may see a page.
#[derive(PartialEq, Eq)]
enum Access {
    /// Anybody who reaches the listener: it tells nothing of value.
    Open,
    /// Who presents the token.
    Token,
}

const PAGES: [Page; 5] = [health::PAGE, ready::PAGE, metrics::PAGE, status::PAGE, explain::PAGE];

/// The answer to `method` on `path` with its query. Without the token nobody learns which pages there are.
pub(super) fn answer(
    method: &http::Method,
    (path, query): (&str, &str),
    fields: &HeaderMap,
    token: &Token,
    sources: &Sources,
) -> Answer {
    let page = PAGES.iter().find(|page| page.path == path);
    let open = page.is_some_and(|page| page.access == Access::Open);
    if !open && !presents(fields, token) {
        let advice = "send `Authorization: Bearer` with the token that stands in admin.token_file";
        return with_field(
            refused(StatusCode::UNAUTHORIZED, "no token, or a wrong one", advice),
            WWW_AUTHENTICATE,
            "Bearer",
        );
    }
    match page {
        None => {
            let paths: Vec<&str> = PAGES.iter().map(|page| page.path).collect();
            refused(StatusCode::NOT_FOUND, "no such page", &format!("there are {}", paths.join(", ")))
        }
        Some(_) if method != http::Method::GET => {
            with_field(refused(StatusCode::METHOD_NOT_ALLOWED, "wrong method", "use GET"), ALLOW, "GET")
        }
        Some(page) => (page.answer)(sources, query),
    }
}

/// Whether the only `Authorization` field holds the token (RFC 6750 §2.1). The scheme's case is no matter.
fn presents(fields: &HeaderMap, token: &Token) -> bool {
    let mut values = fields.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, presented)) = value.as_bytes().split_at_checked(b"Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && token.matches(presented.trim_ascii())
}
