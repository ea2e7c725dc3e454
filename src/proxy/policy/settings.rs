//! What a route says of its policies.

use super::auth::AuthSettings;
use super::cors::CorsSettings;
use super::headers::TransformSettings;
use super::{acl, rate_limit};
use crate::base::settings::Section;

/// The policies of one `[[route]]`, as they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Who may come here, whatever holds elsewhere. Default: what `[acl]` says.
    pub acl: Option<acl::Settings>,
    /// Who may use it. Default everybody.
    pub auth: Option<AuthSettings>,
    /// Its own rate limits.
    pub rate_limit: rate_limit::RouteSettings,
    /// What is changed in the fields of requests on their way to the backend.
    pub request_headers: TransformSettings,
    /// What is changed in the fields of answers on their way to the client.
    pub response_headers: TransformSettings,
    /// Which pages of other origins may use the route.
    pub cors: Option<CorsSettings>,
    /// Whether answers get the fields that keep browsers careful. Default no.
    pub security_headers: bool,
}

impl Settings {
    /// Reads the keys among those of the route.
    pub fn keys(section: &mut Section<'_>) -> Self {
        if let Some(place) = section.written("request_headers")
            && section.written("pool").is_none()
            && section.written("split").is_none()
        {
            let message = "`request_headers` changes what a backend gets, but this route has no pool";
            section.problem(place, message, "remove it, or use `response_headers`");
        }
        Self {
            acl: section.key("acl", "Who may come here; takes the place of [acl] and its rules.").optional(),
            auth: section
                .key("auth", "Who may use the route: by the passwords of a file, another service's word, or signed tokens. Left out: everybody.")
                .optional(),
            rate_limit: section
                .key(
                    "rate_limit",
                    "Limits beside those of [rate_limit]: a rate for each client, a table, or a list of them. false: no limit holds for the route.",
                )
                .or(rate_limit::RouteSettings::default()),
            request_headers: section.table(
                "request_headers",
                "What is changed in the header fields of requests on their way to the backend, last of all.",
                TransformSettings::keys,
            ),
            response_headers: section.table(
                "response_headers",
                "What is changed in the header fields of answers on their way to the client, last of all.",
                TransformSettings::keys,
            ),
            cors: section
                .key("cors", "Which pages of other origins may use the route from a browser. Left out: the backend says.")
                .optional(),
            security_headers: section
                .key(
                    "security_headers",
                    "Answers that do not say otherwise get `X-Content-Type-Options: nosniff`, `X-Frame-Options: SAMEORIGIN` and `Referrer-Policy: strict-origin-when-cross-origin`.",
                )
                .or(false),
        }
    }
}
