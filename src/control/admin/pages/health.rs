//! `/healthz`: the process lives.

use super::super::answer::found;
use super::{Access, Page};

pub(super) const PAGE: Page =
    Page { path: "/healthz", access: Access::Open, answer: |_, _| found("text/plain", "ok\n") };
