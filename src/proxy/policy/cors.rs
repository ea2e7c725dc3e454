//! Cross-origin resource sharing (the Fetch standard, "HTTP-CORS protocol"): which pages of other origins may use a route.
//!
//! Where a route has a rule, the gateway speaks for the backend: it answers preflights, and what the backend says of it is replaced.

use crate::base::period::Period;
use crate::base::settings::{Node, Section, Setting, Shape, Table};
use crate::base::token::is_token;
use crate::proxy::message::{Name, Request, Response};

const ASKED_METHOD: &[u8] = b"access-control-request-method";
const ASKED_HEADERS: &[u8] = b"access-control-request-headers";

/// What the gateway says, and the backend no longer.
const SAID: [&[u8]; 6] = [
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
    b"access-control-allow-methods",
    b"access-control-allow-headers",
    b"access-control-expose-headers",
    b"access-control-max-age",
];

/// `cors`.
#[derive(Clone, Debug, PartialEq)]
pub struct CorsSettings {
    origins: Vec<Origin>,
    methods: Vec<Token>,
    headers: Vec<Token>,
    expose: Vec<Token>,
    credentials: bool,
    max_age: Period,
}

/// The rule of one route.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    origins: Box<[Origin]>,
    methods: Box<[u8]>,
    /// None where any that is asked for may be sent.
    headers: Option<Box<[u8]>>,
    expose: Box<[u8]>,
    credentials: bool,
    max_age: Box<[u8]>,
}

/// Whom the rule lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// `"*"`.
    Any,
    /// `"https://app.example.com"`, in lower case.
    Exact(String),
    /// `"https://*.example.com"`: the scheme with its slashes, and what follows the star.
    Below(String, String),
}

impl Origin {
    fn is_of(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.as_bytes() == origin,
            Self::Below(scheme, ending) => {
                let labels =
                    origin.strip_prefix(scheme.as_bytes()).and_then(|rest| rest.strip_suffix(ending.as_bytes()));
                labels.is_some_and(|labels| !labels.is_empty() && labels.iter().all(is_of_label))
            }
        }
    }
}

fn is_preflight(request: &Request) -> bool {
    let asks = || request.fields.values(ASKED_METHOD).next().is_some();
    request.method() == b"OPTIONS" && request.fields.first(Name::Origin).is_some() && asks()
}

fn is_of_label(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

impl Cors {
    /// What the settings say.
    pub(super) fn new(settings: &CorsSettings) -> Self {
        let joined = |list: &[Token]| {
            list.iter().map(|token| token.0.as_str()).collect::<Vec<_>>().join(", ").into_bytes().into_boxed_slice()
        };
        let any = settings.headers.iter().any(|token| token.0 == "*");
        Self {
            origins: settings.origins.clone().into(),
            methods: joined(&settings.methods),
            headers: (!any).then(|| joined(&settings.headers)),
            expose: joined(&settings.expose),
            credentials: settings.credentials,
            max_age: settings.max_age.0.as_secs().to_string().into_bytes().into(),
        }
    }

    /// Whether a request asks what may be asked, before it asks. Makes `response` the answer, without a body, where it does.
    pub(super) fn preflight(&self, request: &Request, origin: Option<&[u8]>, response: &mut Response) -> bool {
        if !is_preflight(request) {
            return false;
        }
        response.status = 204;
        if self.allowed(origin).is_some() {
            response.fields.add(b"access-control-allow-methods", &self.methods);
            let asked = || request.fields.values(ASKED_HEADERS).next().unwrap_or_default();
            let headers = self.headers.as_deref().unwrap_or_else(asked);
            if !headers.is_empty() {
                response.fields.add(b"access-control-allow-headers", headers);
            }
            response.fields.add(b"access-control-max-age", &self.max_age);
        }
        true
    }

    /// Says in an answer who may read it. `origin` is the one that the request had, which its route may have taken out.
    pub(super) fn mark(&self, request: &Request, origin: Option<&[u8]>, response: &mut Response) {
        let preflight = is_preflight(request);
        if !preflight {
            SAID.iter().for_each(|name| response.fields.remove_named(Name::Other, name));
        }
        let open = self.origins.contains(&Origin::Any) && !self.credentials;
        if !open {
            // What is said depends on who asks.
            response.fields.add(b"vary", b"Origin");
        }
        let Some(origin) = self.allowed(origin) else { return };
        response.fields.add(b"access-control-allow-origin", if open { b"*" } else { origin });
        if self.credentials {
            response.fields.add(b"access-control-allow-credentials", b"true");
        }
        if !preflight && !self.expose.is_empty() {
            response.fields.add(b"access-control-expose-headers", &self.expose);
        }
    }

    /// The origin, where it is let in.
    fn allowed<'o>(&self, origin: Option<&'o [u8]>) -> Option<&'o [u8]> {
        origin.filter(|origin| self.origins.iter().any(|allowed| allowed.is_of(origin)))
    }
}

impl Table for CorsSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let origins: Vec<Origin> = section
            .key("origins", "The origins whose pages may: \"https://app.example.com\", \"https://*.example.com\", or \"*\" for any.")
            .required_list();
        let methods: Vec<Token> = section
            .key("methods", "The methods they may use. Left out: GET, HEAD, POST, PUT, PATCH and DELETE.")
            .list();
        let headers: Vec<Token> = section
            .key("headers", "The header fields they may send, \"*\" for any. Left out: Authorization and Content-Type.")
            .list();
        let expose: Vec<Token> =
            section.key("expose", "The header fields of answers that they may read beside the usual ones.").list();
        let credentials = section.key("credentials", "Whether they may send cookies.").or(false);
        let max_age = section
            .key("max_age", "How long browsers remember what they may. 0s to 1d.")
            .within(Period::default()..=Period::seconds(86_400))
            .or(Period::seconds(600));
        if credentials && origins.contains(&Origin::Any) {
            section.problem(
                section.place(),
                "`credentials` would let the pages of every origin act as who is logged in",
                "name the origins, or leave `credentials` out",
            );
        }
        let words = |list: Vec<Token>, default: &[&str]| {
            if list.is_empty() { default.iter().map(|word| Token((*word).to_owned())).collect() } else { list }
        };
        Some(Self {
            origins,
            methods: words(methods, &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            headers: words(headers, &["Authorization", "Content-Type"]),
            expose,
            credentials,
            max_age,
        })
    }
}

/// A method or a field name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token(String);

impl Setting for Token {
    fn shape() -> Shape {
        Shape::text("a token", "X-Total-Count")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if !is_token(&text) {
            return node.problem(
                format!("`{text}` is neither a method nor the name of a header field"),
                "write one like \"PUT\" or \"X-Group\"",
            );
        }
        Some(Self(text.into_owned()))
    }
}

impl Setting for Origin {
    fn shape() -> Shape {
        Shape::Text { what: "an origin", example: "https://app.example.com", pattern: Some("^\\*$|^https?://|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if text == "*" {
            return Some(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        let split = lower.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        let host = split.map(|(_, host)| host.strip_prefix("*.").unwrap_or(host));
        let is_host = |host: &str| {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, "1"));
            let bracketed = name.starts_with('[') && name.ends_with(']');
            let plain = name.bytes().all(|byte| is_of_label(&byte)) && !name.starts_with('.') && !name.ends_with('.');
            !name.is_empty() && (plain || bracketed) && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        match (split, host) {
            (Some((scheme, whole)), Some(host)) if is_host(host) => Some(match whole.strip_prefix('*') {
                Some(ending) => Self::Below(format!("{scheme}://"), ending.to_owned()),
                None => Self::Exact(lower.clone()),
            }),
            _ => node.problem(
                format!("`{text}` is not an origin"),
                "write a scheme and a host, with a port where it is not the usual one, and no path: \"https://app.example.com\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[Origin], headers: &[&str], credentials: bool) -> Cors {
        let tokens = |list: &[&str]| list.iter().map(|text| Token((*text).to_owned())).collect();
        Cors::new(&CorsSettings {
            origins: origins.to_vec(),
            methods: tokens(&["GET", "PUT"]),
            headers: tokens(headers),
            expose: tokens(&["X-Total"]),
            credentials,
            max_age: Period::seconds(600),
        })
    }

    fn app() -> Origin {
        Origin::Exact("https://app.example.com".into())
    }

    fn request(method: &str, list: &[(&str, &str)]) -> Request {
        let mut request = Request::default();
        let method = request.fields.store(method.as_bytes());
        request.set_method(method);
        list.iter().for_each(|(name, value)| request.fields.add(name.as_bytes(), value.as_bytes()));
        request
    }

    fn origin(request: &Request) -> Option<&[u8]> {
        request.fields.first(Name::Origin)
    }

    fn said(response: &Response) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        response.fields.iter().map(|(_, name, value)| format!("{}: {}", text(name), text(value))).collect()
    }

    const ASKS: [(&str, &str); 3] = [
        ("Origin", "https://app.example.com"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-a,x-b"),
    ];

    #[test]
    fn a_preflight_is_answered_for_those_who_are_let_in() {
        let rule = cors(&[app()], &["X-A"], true);
        let mut response = Response::default();
        let asks = request("OPTIONS", &ASKS);
        assert!(rule.preflight(&asks, origin(&asks), &mut response) && response.status == 204);
        rule.mark(&asks, origin(&asks), &mut response);
        assert_eq!(
            said(&response),
            [
                "access-control-allow-methods: GET, PUT",
                "access-control-allow-headers: X-A",
                "access-control-max-age: 600",
                "vary: Origin",
                "access-control-allow-origin: https://app.example.com",
                "access-control-allow-credentials: true",
            ]
        );

        let mut response = Response::default();
        assert!(cors(&[app()], &["*"], false).preflight(&asks, origin(&asks), &mut response));
        assert!(said(&response).contains(&"access-control-allow-headers: x-a,x-b".to_owned()));

        let mut response = Response::default();
        let stranger = request("OPTIONS", &[("Origin", "https://evil.example"), ASKS[1]]);
        assert!(rule.preflight(&stranger, origin(&stranger), &mut response));
        rule.mark(&stranger, origin(&stranger), &mut response);
        assert_eq!(said(&response), ["vary: Origin"]);
    }

    #[test]
    fn other_requests_are_no_preflights() {
        let rule = cors(&[app()], &[], false);
        for (method, list) in [("GET", &ASKS[..]), ("OPTIONS", &ASKS[..1]), ("OPTIONS", &ASKS[1..])] {
            let request = request(method, list);
            assert!(!rule.preflight(&request, origin(&request), &mut Response::default()), "{method} {list:?}");
        }
    }

    #[test]
    fn what_the_backend_said_is_replaced() {
        let mut response = Response::default();
        response.fields.add(b"Access-Control-Allow-Origin", b"*");
        response.fields.add(b"X-Kept", b"1");
        let asks = request("GET", &ASKS[..1]);
        cors(&[Origin::Any], &[], false).mark(&asks, origin(&asks), &mut response);
        assert_eq!(
            said(&response),
            ["X-Kept: 1", "access-control-allow-origin: *", "access-control-expose-headers: X-Total"]
        );
        let mut response = Response::default();
        response.fields.add(b"Access-Control-Allow-Origin", b"*");
        cors(&[app()], &[], false).mark(&request("GET", &[]), None, &mut response);
        assert_eq!(said(&response), ["vary: Origin"]);
    }

    #[test]
    fn origins_are_held_against_what_is_written_whole() {
        let below = Origin::Below("https://".into(), ".example.com".into());
        for (origin, is) in [
            ("https://a.example.com", true),
            ("https://a.b.example.com", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("http://a.example.com", false),
            ("https://evil.com/.example.com", false),
            ("https://evil.com?.example.com", false),
            ("https://a.example.com:8443", false),
            ("null", false),
        ] {
            assert_eq!(below.is_of(origin.as_bytes()), is, "{origin}");
        }
        assert!(app().is_of(b"https://app.example.com") && !app().is_of(b"https://app.example.com.evil"));
        assert!(cors(&[app()], &[], false).allowed(None).is_none());
    }
}
