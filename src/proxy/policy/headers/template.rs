//! Values with variables in them: `"{client_address}, seen by {listener}"`.

use std::net::IpAddr;
use std::str::FromStr;

use crate::base::decimal;
use crate::base::settings::{Node, Setting, Shape, suggest};
use crate::proxy::http::Host;

/// The longest value, in bytes as it is written.
const LONGEST: usize = 4 << 10;

/// What variables stand for.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client, after trusted proxies.
    pub client: IpAddr,
    /// The `X-Request-Id` of the request.
    pub request_id: &'a [u8],
    /// The host that was asked for, with its port where there was one.
    pub authority: &'a [u8],
    /// The listener's name.
    pub listener: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// What the handshake agreed on; none without TLS.
    pub tls: Option<TlsFacts<'a>>,
}

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug)]
pub struct TlsFacts<'a> {
    /// `TLSv1.3`.
    pub version: &'a str,
    /// The IANA name of the cipher suite.
    pub cipher: &'a str,
    /// The name that the client asked for; empty where it sent none.
    pub server_name: &'a str,
}

/// One variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    ClientAddress,
    RequestId,
    Host,
    Scheme,
    Listener,
    Route,
    TlsVersion,
    TlsCipher,
    TlsServerName,
}

/// Their names.
const VARIABLES: [(&str, Variable); 9] = [
    ("client_address", Variable::ClientAddress),
    ("request_id", Variable::RequestId),
    ("host", Variable::Host),
    ("scheme", Variable::Scheme),
    ("listener", Variable::Listener),
    ("route", Variable::Route),
    ("tls_version", Variable::TlsVersion),
    ("tls_cipher", Variable::TlsCipher),
    ("tls_server_name", Variable::TlsServerName),
];

/// A value. `{name}` is a variable, `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Variable(Variable),
}

impl Template {
    /// The value, where it has no variable in it.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The value, where it has a variable in it.
    pub(super) fn filled(&self, facts: &Facts<'_>) -> Option<Vec<u8>> {
        if self.literal().is_some() {
            return None;
        }
        let mut value = Vec::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => value.extend_from_slice(text),
                Part::Variable(variable) => variable.write(facts, &mut value),
            }
        }
        Some(value)
    }
}

impl Variable {
    fn write(self, facts: &Facts<'_>, into: &mut Vec<u8>) {
        let tls = facts.tls.unwrap_or(TlsFacts { version: "", cipher: "", server_name: "" });
        match self {
            Self::ClientAddress => decimal::address(into, facts.client),
            Self::RequestId => into.extend_from_slice(facts.request_id),
            Self::Host => {
                if let Ok(host) = Host::parse(facts.authority) {
                    into.extend_from_slice(host.name().as_bytes());
                }
            }
            Self::Scheme => into.extend_from_slice(if facts.tls.is_some() { b"https" } else { b"http" }),
            Self::Listener => into.extend_from_slice(facts.listener.as_bytes()),
            Self::Route => into.extend_from_slice(facts.route.as_bytes()),
            Self::TlsVersion => into.extend_from_slice(tls.version.as_bytes()),
            Self::TlsCipher => into.extend_from_slice(tls.cipher.as_bytes()),
            Self::TlsServerName => into.extend_from_slice(tls.server_name.as_bytes()),
        }
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        if written.len() > LONGEST {
            return Err("the value is longer than 4 KiB; shorten it".into());
        }
        if let Some(bad) = written.chars().find(|character| character.is_control()) {
            return Err(format!("{bad:?} cannot stand in a header field; remove it"));
        }
        if written.trim() != written {
            return Err("a header field loses the blanks around its value; remove them".into());
        }
        let mut parts = Parts::default();
        let mut rest = written;
        while let Some(at) = rest.find(['{', '}']) {
            let (text, from) = rest.split_at(at);
            parts.text(text);
            rest = match from.get(..2) {
                Some(brace @ ("{{" | "}}")) => {
                    parts.text(&brace[1..]);
                    &from[2..]
                }
                _ => {
                    let inside = from.strip_prefix('{').and_then(|after| after.split_once('}'));
                    let (name, after) = inside.ok_or_else(|| alone(written))?;
                    parts.list.push(Part::Variable(variable(name)?));
                    after
                }
            };
        }
        parts.text(rest);
        Ok(Self { written: written.to_owned(), parts: parts.list })
    }
}

/// The parts so far.
#[derive(Default)]
struct Parts {
    list: Vec<Part>,
}

impl Parts {
    /// Text that follows text belongs to it.
    fn text(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.extend_from_slice(text.as_bytes()),
            _ => self.list.push(Part::Text(text.as_bytes().to_vec())),
        }
    }
}

fn alone(written: &str) -> String {
    format!("`{written}` has a brace without its other one; write a variable like {{host}}, or double the brace")
}

fn variable(name: &str) -> Result<Variable, String> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        return Ok(*variable);
    }
    let known = VARIABLES.map(|(known, _)| known);
    let advice = match suggest::closest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {{{meant}}}?"),
        None => format!("write one of {}, or double its braces", known.map(|known| format!("{{{known}}}")).join(", ")),
    };
    Err(format!("there is no variable {{{name}}}; {advice}"))
}

impl Setting for Template {
    fn shape() -> Shape {
        Shape::text("the value of a header field, with variables like {client_address} in it", "{client_address}")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }

    fn shown(&self) -> serde_json::Value {
        self.written.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    fn filled(written: &str) -> String {
        let template: Template = written.parse().unwrap();
        let value = template.literal().map(<[u8]>::to_vec).or_else(|| template.filled(&facts())).unwrap();
        String::from_utf8(value).unwrap()
    }

    #[test]
    fn every_variable_has_its_value() {
        for (written, expected) in [
            ("", ""),
            ("plain, with a blank", "plain, with a blank"),
            ("{client_address}", "192.0.2.7"),
            ("id={request_id};", "id=abc;"),
            ("{scheme}://{host}/", "https://shop.example/"),
            ("{listener} {route}", "https shop"),
            ("{tls_version} {tls_cipher} {tls_server_name}", "TLSv1.3 TLS_AES_128_GCM_SHA256 shop.example"),
            ("{{host}} {{{host}}}", "{host} {shop.example}"),
        ] {
            assert_eq!(filled(written), expected, "{written}");
        }
        let plain = Facts { tls: None, ..facts() };
        let template: Template = "{scheme}|{tls_version}|{tls_server_name}".parse().unwrap();
        assert_eq!(template.filled(&plain).unwrap(), b"http||");
    }

    #[test]
    fn what_is_no_value_says_what_to_write() {
        for (written, told) in [
            ("{clent_address}", "there is no variable {clent_address}; did you mean {client_address}?"),
            ("{}", "there is no variable {}; write one of {client_address}, "),
            ("{host", "`{host` has a brace without its other one; "),
            ("host}", "`host}` has a brace without its other one; "),
            ("a\nb", "'\\n' cannot stand in a header field; remove it"),
            (" a", "a header field loses the blanks around its value; remove them"),
        ] {
            let error = written.parse::<Template>().unwrap_err();
            assert!(error.starts_with(told), "{written}: {error}");
        }
        assert!("x".repeat(LONGEST + 1).parse::<Template>().is_err());
    }
}
