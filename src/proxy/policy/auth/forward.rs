//! `forward`: another service says who may come. What is asked of it, and what is taken from its answer.

use std::sync::Arc;
use std::time::Duration;

use super::service::ServiceSettings;
use super::settings::FieldName;
use super::twins;
use crate::base::period::Period;
use crate::base::settings::{Node, Section, Setting, Shape};
use crate::proxy::balance::Pool;
use crate::proxy::fault::Fault;
use crate::proxy::message::{Fields, Name, NameSet, Request, Response};

/// What the service is not told: what is of a body, what would make its answer depend on something else than who asks, and what is
/// of a tunnel.
const UNTOLD: NameSet = NameSet::of(&[
    Name::ContentLength,
    Name::ContentType,
    Name::Expect,
    Name::Trailer,
    Name::Te,
    Name::SecWebSocketKey,
    Name::SecWebSocketAccept,
]);
const UNTOLD_TOO: [&str; 17] = [
    "content-encoding",
    "content-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "range",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "grpc-timeout",
    "x-http-method-override",
    // Some services take them for the proxy's word.
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
];

/// What of a refusal of the service the client gets.
const PASSED_ON: [Name; 3] = [Name::Location, Name::SetCookie, Name::ContentType];
const PASSED_ON_TOO: [&[u8]; 4] = [b"www-authenticate", b"cache-control", b"content-encoding", b"content-language"];

/// `forward`.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardSettings {
    /// The service.
    pub service: ServiceSettings,
    /// The fields of its answer that the backend gets, in lower case.
    copy_headers: Vec<String>,
    /// How long it may take. Default 5 s.
    timeout: Period,
}

/// One route's.
#[derive(Clone)]
pub struct Forward {
    /// Where the service is.
    pub pool: Arc<Pool>,
    /// How long it may take, with its answer.
    pub timeout: Duration,
    target: Box<[u8]>,
    /// Its own host; none where it is asked with the client's.
    authority: Option<Box<[u8]>>,
    /// The names of the fields that its answer gives to the request.
    copied: Box<[String]>,
}

/// What the service said.
pub enum Verdict {
    /// The request may go on, with these fields.
    Allowed(Vec<(Vec<u8>, Vec<u8>)>),
    /// It may not: the fault that it counts as. The service's own answer is in the response.
    Refused(Fault),
}

impl Forward {
    /// What the settings say. `pool` is the service's.
    pub fn new(settings: &ForwardSettings, pool: Arc<Pool>) -> Self {
        Self {
            pool,
            timeout: settings.timeout.0,
            target: settings.service.target.as_bytes().into(),
            authority: settings.service.authority().map(|host| host.as_bytes().into()),
            copied: settings.copy_headers.clone().into(),
        }
    }

    /// The same with what `now` makes of the pool.
    pub(super) fn map(&self, now: impl FnOnce(&Arc<Pool>) -> Arc<Pool>) -> Self {
        Self { pool: now(&self.pool), ..self.clone() }
    }

    /// The fields that only the service may set.
    pub(super) fn strip(&self, fields: &mut Fields) {
        self.copied.iter().for_each(|name| twins::remove(fields, name));
    }

    /// The fields that only the service may set.
    pub(super) fn copied(&self) -> &[String] {
        &self.copied
    }

    /// The request that the service gets, for one whose hop-by-hop fields are gone and whose forwarding fields are ours. Of its path
    /// the service is told the deciding one: what it lets in is what routes and other policies decide about.
    pub fn question(&self, request: &Request, deciding: &str) -> Request {
        let mut question = request.clone();
        question.tunnel = false;
        let fields = &mut question.fields;
        fields.remove_all(UNTOLD);
        UNTOLD_TOO.iter().for_each(|name| twins::remove(fields, name));
        // What it says itself, it is not told by the client.
        self.strip(fields);
        let query = request.target().iter().position(|byte| *byte == b'?').map(|at| &request.target()[at..]);
        let uri = [deciding.as_bytes(), query.unwrap_or_default()].concat();
        for (name, value) in [("x-forwarded-method", request.method()), ("x-forwarded-uri", &uri)] {
            twins::remove(fields, name);
            fields.add(name.as_bytes(), value);
        }
        let get = fields.store(b"GET");
        question.set_method(get);
        question.rewrite_target(&self.target);
        if let Some(authority) = &self.authority {
            let authority = question.fields.store(authority);
            question.set_authority(authority);
        }
        question.set_authority_field(Name::Host);
        question
    }

    /// What the service's answer means. Leaves of one that refuses what the client gets.
    ///
    /// # Errors
    /// Where it could not say: nobody comes in then.
    pub fn verdict(&self, answer: &mut Response) -> Result<Verdict, Fault> {
        let refused = match answer.status {
            200..=299 => {
                let named = |name: &String| {
                    let values = answer.fields.values(name.as_bytes());
                    values.map(|value| (name.as_bytes().to_vec(), value.to_vec())).collect::<Vec<_>>()
                };
                return Ok(Verdict::Allowed(self.copied.iter().flat_map(named).collect()));
            }
            401 => Fault::Unauthenticated,
            300..=499 => Fault::AuthDenied,
            _ => return Err(Fault::AuthFailed),
        };
        answer.fields.retain(|name, raw, _| {
            PASSED_ON.contains(&name) || PASSED_ON_TOO.iter().any(|passed| raw.eq_ignore_ascii_case(passed))
        });
        Ok(Verdict::Refused(refused))
    }
}

impl Setting for ForwardSettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::text("the URL of a service or the name of a pool", "http://127.0.0.1:9091/verify"),
            Shape::table(|section| drop(Self::keys(section))),
        ])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return node.table(Self::keys).flatten();
        }
        let text = node.text::<Self>()?;
        node.short(ServiceSettings::short(&text), Self::keys)
    }
}

impl ForwardSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let service = ServiceSettings::keys(section);
        let copy_headers: Vec<FieldName> = section
            .key(
                "copy_headers",
                "The header fields of its answer that the backend gets. The client's own never get there.",
            )
            .list();
        let timeout = section
            .key("timeout", "How long it may take. 100ms to 1m.")
            .within(Period(Duration::from_millis(100))..=Period::seconds(60))
            .or(Period::seconds(5));
        let copy_headers = copy_headers.into_iter().map(|name| name.0.to_ascii_lowercase()).collect();
        Some(Self { service: service?, copy_headers, timeout })
    }
}
