//! `health` of a pool: how its endpoints are probed.

use std::sync::Arc;
use std::time::Duration;

use super::StatusRange;
use crate::base::host;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Problem, Scalar, Section, Setting, Shape};
use crate::proxy::balance::url;

/// `health`: `false`, the path of a probe, or a table.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct HealthSettings(pub Option<Arc<Check>>);

/// How each endpoint of a pool is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is asked, and what is a good answer.
    pub kind: CheckKind,
    /// How often, and how many of them decide.
    pub pace: Pace,
    /// How long a probe may take. 10 ms to 1 min and not longer than the interval, default 2 s.
    pub timeout: Duration,
    /// The port that is probed. Default the one that requests go to.
    pub port: Option<At<u16>>,
}

/// How often an endpoint is probed, and how many probes decide about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the beginning of one probe to that of the next. 100 ms to 1 h, default 10 s.
    pub interval: Duration,
    /// How many probes in a row have to fail for an endpoint to be down. 1 to 100, default 3.
    pub fall: u32,
    /// How many have to be good for it to be up again. 1 to 100, default 2.
    pub rise: u32,
}

/// `kind`, with the keys that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// `"http"`: a GET.
    Http {
        /// What is asked for. Default `/`.
        path: String,
        /// `Host`. Default the host and port of the backend's URL.
        host: Option<String>,
        /// The good statuses. Default 200 to 399.
        statuses: Vec<StatusRange>,
    },
    /// `"tcp"`: a connection, and the TLS handshake where the URL says `https`.
    Tcp,
    /// `"grpc"`: `grpc.health.v1.Health/Check`, over HTTP/2 whatever the pool's protocol.
    Grpc {
        /// The service that is asked for. Default the server as a whole.
        service: String,
        /// `:authority`. Default the host and port of the backend's URL.
        host: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Http,
    Tcp,
    Grpc,
}

const WORDS: [(&str, Word); 3] = [("http", Word::Http), ("tcp", Word::Tcp), ("grpc", Word::Grpc)];

/// The keys that not every kind has, and the kinds that have them.
const KINDS_OF: [(&str, &[Word]); 4] = [
    ("path", &[Word::Http]),
    ("status", &[Word::Http]),
    ("host", &[Word::Http, Word::Grpc]),
    ("service", &[Word::Grpc]),
];

impl Setting for HealthSettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![
            ProbePath::shape(),
            Shape::Constant(false),
            Shape::table(|section| drop(Check::keys(section))),
        ])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let probing = |check| Self(Some(Arc::new(check)));
        if node.is_table() {
            return node.table(Check::keys).map(probing);
        }
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self(None)),
            Scalar::Filled(text) if text == "false" => Some(Self(None)),
            Scalar::Text(_) | Scalar::Filled(_) => Some(probing(node.short("path", Check::keys))),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        if self.0.is_none() { false.into() } else { serde_json::Value::Null }
    }
}

impl Check {
    fn keys(section: &mut Section<'_>) -> Self {
        let before = section.problems();
        let kind = section
            .key("kind", "What is asked: http is a GET, tcp a connection (and the TLS handshake), grpc grpc.health.v1.Health/Check.")
            .or(Word::Http);
        let known = section.problems() == before;
        let path = section.key("path", "What an http probe asks for.").or(ProbePath("/".to_owned()));
        let mut statuses: Vec<StatusRange> = section
            .key("status", "The statuses that are good answers to an http probe: 200, \"200-299\". Left out: 200-399.")
            .list();
        let host: Option<ProbeHost> = section
            .key("host", "The Host of an http probe, the :authority of a grpc one. Left out: the URL's host and port.")
            .optional();
        let service: String = section
            .key("service", "The service that a grpc probe asks for. Left out: the server as a whole.")
            .optional()
            .unwrap_or_default();
        let port: Option<u16> = section
            .key("port", "The port that is probed. Left out: the one that requests go to.")
            .within(1..=u16::MAX)
            .optional();
        let port = port.map(|port| At::new(port, section.written("port").unwrap_or_else(|| section.place())));
        let (pace, timeout) = Pace::keys(section);
        if known {
            misplaced(section, kind);
        }
        empty(section, before, &statuses);
        overlong(section, &service);
        if statuses.is_empty() {
            statuses.push(StatusRange::FINE);
        }
        let host = host.map(|host| host.0);
        let kind = match kind {
            Word::Http => CheckKind::Http { path: path.0, host, statuses },
            Word::Tcp => CheckKind::Tcp,
            Word::Grpc => CheckKind::Grpc { service, host },
        };
        Self { kind, pace, timeout, port }
    }
}

impl Pace {
    /// Reads its keys, and the timeout, which has to fit.
    fn keys(section: &mut Section<'_>) -> (Self, Duration) {
        let interval = section
            .key(
                "interval",
                "From one probe of a backend to the next, give or take a tenth; 5s at most while it is down. 100ms to 1h.",
            )
            .within(Period(Duration::from_millis(100))..=Period::seconds(3_600))
            .or(Period::seconds(10));
        let timeout = section
            .key("timeout", "How long a probe may take. 10ms to 1m, not longer than the interval.")
            .within(Period(Duration::from_millis(10))..=Period::seconds(60))
            .or(Period::seconds(2));
        let fall = section
            .key("fall", "How many probes in a row have to fail for a backend to be down. 1 to 100.")
            .within(1..=100)
            .or(3);
        let rise = section
            .key("rise", "How many probes in a row have to be good for it to be up again. 1 to 100.")
            .within(1..=100)
            .or(2);
        let timeout = fitting(section, timeout, interval);
        (Self { interval: interval.0, fall, rise }, timeout.0)
    }
}

/// Keys that do nothing in a probe of this kind.
fn misplaced(section: &Section<'_>, kind: Word) {
    let word = |kind: Word| WORDS.iter().find(|(_, known)| *known == kind).map_or("", |(word, _)| *word);
    for (key, kinds) in KINDS_OF {
        if let Some(place) = section.written(key).filter(|_| !kinds.contains(&kind)) {
            let kinds: Vec<String> = kinds.iter().map(|kind| format!("`kind = \"{}\"`", word(*kind))).collect();
            let message = format!("`{key}` does nothing in a probe of kind \"{}\"", word(kind));
            section.problem(place, message, format!("remove it, or write {}", kinds.join(" or ")));
        }
    }
}

fn empty(section: &Section<'_>, before: usize, statuses: &[StatusRange]) {
    if let Some(place) = section.written("status").filter(|_| statuses.is_empty() && section.problems() == before) {
        section.problem(
            place,
            "`status` is empty, so that no answer would be good",
            "write one at least: [\"200-399\"]",
        );
    }
}

fn overlong(section: &Section<'_>, service: &str) {
    if let Some(place) = section.written("service").filter(|_| service.len() > MOST_SERVICE) {
        let advice = "write the name of the service as its .proto has it: \"package.Service\"";
        section.problem(place, format!("`service` has more than {MOST_SERVICE} bytes"), advice);
    }
}

/// A timeout that fits into the interval: one that was left out is made to.
fn fitting(section: &Section<'_>, timeout: Period, interval: Period) -> Period {
    if timeout <= interval {
        return timeout;
    }
    if let Some(place) = section.written("timeout") {
        let message = format!("a probe may take {timeout}, longer than the {interval} until the next one");
        let problem = Problem::error(place, message, "write a shorter `timeout` or a longer `interval`");
        section.report(match section.written("interval") {
            Some(interval) => problem.beside(interval, "the interval is here"),
            None => problem,
        });
    }
    interval
}

/// The longest name of a service.
const MOST_SERVICE: usize = 256;

/// The longest path.
const MOST_PATH: usize = 2_048;

/// A path, with a query where it has one, as it is sent.
#[derive(Clone, Debug, PartialEq)]
struct ProbePath(String);

/// A host, with a port where it has one, as it is sent.
#[derive(Clone, Debug, PartialEq)]
struct ProbeHost(String);

impl std::str::FromStr for ProbePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if text.starts_with('/') && text.len() <= MOST_PATH && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("`{text}` is not the path of a probe; write one that begins with a slash: \"/health\""))
    }
}

impl std::str::FromStr for ProbeHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = url::split(text).filter(|(host, _)| matches!(host::parse(host), Ok((_, false))));
        let wrong =
            || format!("`{text}` is not a host; write a name, with a port where it needs one: \"app.internal\"");
        parsed.map(|_| Self(text.to_owned())).ok_or_else(wrong)
    }
}

impl Setting for ProbePath {
    fn shape() -> Shape {
        Shape::Text { what: "the path of a probe", example: "/health", pattern: Some(r"^/|\$\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

impl Setting for ProbeHost {
    fn shape() -> Shape {
        Shape::text("a host", "app.internal")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }
}

impl Setting for Word {
    fn shape() -> Shape {
        Shape::words(&WORDS)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&WORDS)
    }

    fn shown(&self) -> serde_json::Value {
        WORDS.iter().find(|(_, word)| word == self).map_or(serde_json::Value::Null, |(word, _)| (*word).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_hosts_are_what_can_be_sent() {
        for good in ["/", "/health?full=1", "/a;b/%20"] {
            assert_eq!(good.parse(), Ok(ProbePath(good.to_owned())));
        }
        for bad in ["", "health", "/a b", "/a#b", "/ü", "/a\r\nX: 1", "http://a/b"] {
            assert!(bad.parse::<ProbePath>().is_err(), "{bad}");
        }
        for good in ["app.internal", "app.internal:8080", "10.0.0.1", "[::1]:80"] {
            assert_eq!(good.parse(), Ok(ProbeHost(good.to_owned())));
        }
        for bad in ["", "*.a", "a b", "u@a", "a:0", "a/b", "http://a", "::1"] {
            assert!(bad.parse::<ProbeHost>().is_err(), "{bad}");
        }
    }
}
