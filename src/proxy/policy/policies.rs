//! The policies of one route, compiled: what they do to a request on its way in, and to its answer on its way out.

use super::cors::Cors;
use super::headers::{Facts, Outline, Transform, Values};
use super::security;
use super::settings::Settings;
use crate::proxy::message::{Request, Response};

/// The policies of a route.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    request_headers: Transform,
    response_headers: Transform,
    cors: Option<Cors>,
    security_headers: bool,
}

impl Policies {
    /// What the settings say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            request_headers: Transform::new(&settings.request_headers),
            response_headers: Transform::new(&settings.response_headers),
            cors: settings.cors.as_ref().map(Cors::new),
            security_headers: settings.security_headers,
        }
    }

    /// Whether the gateway answers the request itself, which comes from a page of `origin`. Makes `response` the answer, without a body, where it does.
    pub fn answer(&self, request: &Request, origin: Option<&[u8]>, response: &mut Response) -> bool {
        self.cors.as_ref().is_some_and(|cors| cors.preflight(request, origin, response))
    }

    /// Whether there is anything to do to a request.
    pub fn change_requests(&self) -> bool {
        !self.request_headers.is_empty()
    }

    /// What the variables of the request's transform are. Apart from [`on_request`](Self::on_request), because they may be in what
    /// that changes.
    pub fn values(&self, facts: &Facts<'_>) -> Values {
        self.request_headers.values(facts)
    }

    /// Changes a request that is ready for its backend.
    pub fn on_request(&self, request: &mut Request, values: &Values) {
        self.request_headers.apply(&mut request.fields, values);
    }

    /// What is done to the fields of requests, and to those of answers.
    pub fn outlines(&self) -> (Outline, Outline) {
        (self.request_headers.outline(), self.response_headers.outline())
    }

    /// Whether answers say who of other origins may read them.
    pub fn has_cors(&self) -> bool {
        self.cors.is_some()
    }

    /// Whether answers get the fields that keep browsers careful.
    pub fn has_security_headers(&self) -> bool {
        self.security_headers
    }

    /// Whether there is anything to do to an answer.
    pub fn change_answers(&self) -> bool {
        self.cors.is_some() || self.security_headers || !self.response_headers.is_empty()
    }

    /// Changes an answer that is ready for the client, whoever gave it. `origin` is that of the page that asked.
    pub fn on_answer(&self, (request, origin): (&Request, Option<&[u8]>), response: &mut Response, facts: &Facts<'_>) {
        if let Some(cors) = &self.cors {
            cors.mark(request, origin, response);
        }
        if self.security_headers {
            security::add_missing(&mut response.fields);
        }
        let values = self.response_headers.values(facts);
        self.response_headers.apply(&mut response.fields, &values);
    }
}
