//! Requests in one line each, sent to a gateway and asked about: what is explained is what happens.

use std::cell::Cell;
use std::net::IpAddr;

use serde_json::Value;

use super::answer::Answer;
use super::client::Client;
use super::gateway::{Gateway, portcullis};
use super::process::Process;

/// A request and what becomes of it.
pub(crate) struct Case<'t> {
    text: &'t str,
    /// The last number of the address that it comes from, 127.0.0.LAST.
    last: u8,
    method: &'t str,
    secure: bool,
    host: &'t str,
    target: &'t str,
    listener: &'t str,
    fields: Vec<&'t str>,
}

/// What becomes of one: `STATUS forwarded ROUTE`, `STATUS answered ROUTE`, `STATUS REASON ROUTE` or `hung REASON -`, and what was
/// observed.
pub(crate) type Told = String;

impl<'t> Case<'t> {
    /// From `[LAST] METHOD URL [@LISTENER] [| NAME: VALUE]…`. The URL has no port; the listener is `http` or `https`, unless it says so.
    pub(crate) fn new(text: &'t str) -> Self {
        let mut parts = text.split(" | ");
        let mut words = parts.next().unwrap().split(' ').peekable();
        let last = words.next_if(|word| word.parse::<u8>().is_ok()).map_or(1, |word| word.parse().unwrap());
        let (method, url) = (words.next().unwrap(), words.next().unwrap());
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let listener = words.next().map_or(scheme, |word| word.strip_prefix('@').unwrap());
        Self { text, last, method, secure: scheme == "https", host, target, listener, fields: parts.collect() }
    }

    fn address(&self) -> IpAddr {
        [127, 0, 0, self.last].into()
    }

    fn url(&self, gateway: &Gateway) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let port = gateway.address(self.listener).port();
        format!("{scheme}://{}:{port}{}", self.host, self.target)
    }

    /// Sends it, and what its answer and its line in the access log say. Without a `handshake` there is neither.
    pub(crate) fn send(&self, gateway: &Gateway, handshake: bool) -> (Told, Option<Answer>, Value) {
        let before = gateway.access_lines().len();
        let answer = self.answer(gateway);
        if !handshake && answer.is_none() {
            // A handshake that fails has no line.
            return ("hung unknown_name -".into(), None, Value::Null);
        }
        let count = Cell::new(0);
        let line = gateway.access(|_| count.replace(count.get() + 1) >= before);
        let route = line["route"].as_str().filter(|route| !route.is_empty()).unwrap_or("-");
        let end = match (&answer, line["reason"].as_str(), line["backend"].as_str()) {
            (None, reason, _) => format!("hung {} {route}", reason.unwrap_or_default()),
            (Some(answer), Some(reason), _) => {
                let told = answer.field("proxy-status").unwrap_or_default();
                assert!(told.ends_with(&format!("details=\"{reason}\"")), "{}: {told}", self.text);
                format!("{} {reason} {route}", answer.status)
            }
            (Some(answer), None, Some(_)) => format!("{} forwarded {route}", answer.status),
            (Some(answer), None, None) => format!("{} answered {route}", answer.status),
        };
        (end + &observed(&line["observed"]), answer, line)
    }

    fn answer(&self, gateway: &Gateway) -> Option<Answer> {
        let address = gateway.address(self.listener);
        let mut client = if self.secure {
            Client::try_tls_from(self.address(), address, &gateway.home().authority, self.host).ok()?
        } else {
            Client::tcp_from(self.address(), address)
        };
        let named = self.fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:"));
        let host = if named { String::new() } else { format!("Host: {}:{}\r\n", self.host, address.port()) };
        let fields: String = self.fields.iter().map(|field| format!("{field}\r\n")).collect();
        client.send(format!("{} {} HTTP/1.1\r\n{host}{fields}\r\n", self.method, self.target));
        client.next_answer(self.method == "HEAD")
    }

    /// What the running gateway explains, asked by its admin listener.
    pub(crate) fn explained(&self, gateway: &Gateway) -> Value {
        let mut query = format!("url={}&method={}&from={}", escaped(&self.url(gateway)), self.method, self.address());
        self.fields.iter().for_each(|field| query += &format!("&header={}", escaped(field)));
        let answer = gateway.ask_admin(&format!("/api/v1/explain?{query}"));
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.text);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What the command line explains of the gateway's config file.
    pub(crate) fn explained_of_file(&self, gateway: &Gateway) -> Value {
        let mut command = portcullis();
        command.args(["explain", &self.url(gateway), "--json", "--listener", self.listener]);
        command.args(["--method", self.method, "--from", &self.address().to_string()]);
        command.arg("-c").arg(gateway.home().config());
        self.fields.iter().for_each(|field| _ = command.args(["-H", field]));
        let mut process = Process::start(&mut command);
        assert_eq!(process.wait().code(), Some(0), "{}: {}", self.text, process.output());
        serde_json::from_str(&process.stdout.text()).unwrap()
    }
}

/// What an explanation says becomes of the request. A backend's own status cannot be known; these backends say 200.
pub(crate) fn told(explanation: &Value) -> Told {
    let outcome = &explanation["outcome"];
    let route = explanation["route"]["name"].as_str().unwrap_or("-");
    let status = outcome["status"].as_u64().unwrap_or(200);
    let reason = outcome["reason"].as_str().unwrap();
    let end = match outcome["kind"].as_str().unwrap() {
        "hung_up" => format!("hung {reason} {route}"),
        "refused" => format!("{status} {reason} {route}"),
        kind => format!("{status} {kind} {route}"),
    };
    end + &observed(&outcome["observed"])
}

fn observed(list: &Value) -> String {
    let reasons: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if reasons.is_empty() { String::new() } else { format!(" observed={}", reasons.join(",")) }
}

fn escaped(text: &str) -> String {
    let octet = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(octet).collect()
}

/// Sends each request and asks about it, before, in both ways: all three are told to end as the case says.
pub(crate) fn agree(gateway: &Gateway, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let explanation = agrees(gateway, text, expected);
        let of_file = Case::new(text).explained_of_file(gateway);
        assert_eq!(told(&of_file), *expected, "{text}: {of_file:#}");
        assert_eq!(of_file["verdicts"].as_array().map(Vec::len), explanation["verdicts"].as_array().map(Vec::len));
    }
}

/// Sends a request and asks the running gateway about it, before: it ends as the case says. The explanation.
pub(crate) fn agrees(gateway: &Gateway, text: &str, expected: &str) -> Value {
    let case = Case::new(text);
    let explanation = case.explained(gateway);
    assert_eq!(told(&case.explained(gateway)), told(&explanation), "{text}: it takes nothing to explain it");
    assert_eq!(told(&explanation), expected, "{text}: {explanation:#}");
    let (happened, answer, line) = case.send(gateway, !expected.starts_with("hung unknown_name"));
    assert_eq!(happened, expected, "{text}: {line}");
    let outcome = &explanation["outcome"];
    for (name, field) in [("location", "location"), ("proxy_status", "proxy-status")] {
        let answered = answer.as_ref().and_then(|answer| answer.field(field)).unwrap_or_default();
        assert_eq!(outcome[name].as_str().unwrap(), answered, "{text}");
    }
    let pools = explanation["backend"]["pools"].as_array().into_iter().flatten();
    let pools: Vec<_> = pools.filter(|pool| pool["name"] == outcome["pool"]).collect();
    let candidates = pools.iter().flat_map(|pool| pool["candidates"].as_array().unwrap());
    let picked: Vec<_> = candidates.filter(|candidate| candidate["picked"] == true).collect();
    assert!(picked.len() < 2, "{explanation:#}");
    if let [picked] = picked[..] {
        assert_eq!(picked["url"], line["backend"], "{text}: {explanation:#}");
    }
    explanation
}
