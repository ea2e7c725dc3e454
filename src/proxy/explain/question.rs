//! The request that is asked about: a URL and what goes with it, and the bytes that a client would send for it.

use std::net::IpAddr;

use crate::base::token::is_token;
use crate::proxy::http::Host;

/// The longest URL.
const LONGEST_URL: usize = 8 << 10;
/// The most header fields.
const MOST_FIELDS: usize = 100;
/// The longest of them.
const LONGEST_FIELD: usize = 16 << 10;
/// The longest method.
const LONGEST_METHOD: usize = 32;

/// A request that is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// `https://host:port/path?query`.
    pub url: String,
    /// Where the connection comes from; whom its PROXY header names, where the listener takes such.
    pub from: IpAddr,
    /// The method.
    pub method: String,
    /// Header fields, as `Name: value`. `Host` takes the place of the URL's.
    pub fields: Vec<String>,
    /// The name of the listener; none where the URL says which.
    pub listener: Option<String>,
}

/// Why something cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}; {advice}")]
pub struct Unaskable {
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub advice: String,
}

impl Unaskable {
    pub(super) fn new(error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { error: error.into(), advice: advice.into() }
    }
}

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) secure: bool,
    /// As a client sends it.
    pub(super) authority: String,
    /// Normalised.
    pub(super) host: String,
    /// Where it is written.
    pub(super) port: Option<u16>,
    /// Path and query, as they are written.
    pub(super) target: String,
}

const EXAMPLE: &str = "write one like \"https://example.com/path\"";

impl Question {
    /// A GET from 127.0.0.1.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            from: [127, 0, 0, 1].into(),
            method: "GET".into(),
            fields: Vec::new(),
            listener: None,
        }
    }

    /// Whether it is a request at all, whatever listeners there are.
    ///
    /// # Errors
    /// Where it is none.
    pub fn check(&self) -> Result<(), Unaskable> {
        self.head(&self.url()?).map(drop)
    }

    /// The parts of the URL.
    ///
    /// # Errors
    /// Where it is none, or too long.
    pub(super) fn url(&self) -> Result<Url, Unaskable> {
        let url = self.url.as_str();
        if url.len() > LONGEST_URL {
            return Err(Unaskable::new(format!("the URL has {} bytes", url.len()), "write one of 8 KiB at most"));
        }
        if url.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err(Unaskable::new(
                "the URL has a blank or a control character",
                "write it percent-encoded: `%20`",
            ));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(Unaskable::new(format!("`{url}` has no scheme"), format!("write \"https://{url}\"")));
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(Unaskable::new(format!("`{scheme}` is not a scheme that a gateway serves"), EXAMPLE)),
        };
        // A fragment is never sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Unaskable::new("the URL has a user in it", "leave it out, or write it as a header field"));
        }
        let host = Host::parse(authority.as_bytes()).map_err(|_| {
            let advice =
                "write a name (one with other letters as clients send it: `xn--…`) or an address, IPv6 in brackets";
            Unaskable::new(format!("`{authority}` is not a host"), advice)
        })?;
        let usual = if secure { 443 } else { 80 };
        let sent = if host.port() == Some(usual) { authority.rsplit_once(':').map(|(host, _)| host) } else { None };
        Ok(Url {
            secure,
            authority: sent.unwrap_or(authority).to_owned(),
            port: host.port(),
            host: host.into_name().into_owned(),
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
        })
    }

    /// What a client of HTTP/1.1 sends.
    ///
    /// # Errors
    /// Where method or fields could not be sent as they are written.
    pub(super) fn head(&self, url: &Url) -> Result<Vec<u8>, Unaskable> {
        if !is_token(&self.method) || self.method.len() > LONGEST_METHOD {
            return Err(Unaskable::new(format!("`{}` is not a method", self.method), "write one like \"GET\""));
        }
        if self.fields.len() > MOST_FIELDS {
            return Err(Unaskable::new(
                format!("there are {} header fields", self.fields.len()),
                "leave some out: 100 at most",
            ));
        }
        let mut named = false;
        let mut lines = String::new();
        for field in &self.fields {
            let name = field_name(field)?;
            named |= name.eq_ignore_ascii_case("host");
            lines += &format!("{field}\r\n");
        }
        let host = if named { String::new() } else { format!("Host: {}\r\n", url.authority) };
        Ok(format!("{} {} HTTP/1.1\r\n{host}{lines}\r\n", self.method, url.target).into_bytes())
    }
}

/// The name of a field that is written as `Name: value`. What the value is, is for the gateway to judge.
fn field_name(field: &str) -> Result<&str, Unaskable> {
    let advice = "write it as \"Name: value\", on one line";
    match field.split_once(':') {
        Some((name, _)) if is_token(name) && field.len() <= LONGEST_FIELD && !field.contains(['\r', '\n', '\0']) => {
            Ok(name)
        }
        // The value may be a secret.
        Some((name, _)) if is_token(name) => {
            Err(Unaskable::new(format!("the header field `{name}` cannot be sent"), advice))
        }
        _ => Err(Unaskable::new("a header field has no name", advice)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_what_a_client_sends() {
        for (text, secure, authority, host, port, target) in [
            ("https://example.com", true, "example.com", "example.com", None, "/"),
            ("HTTP://Example.COM:80/a?b#c", false, "Example.COM", "example.com", Some(80), "/a?b"),
            ("https://example.com:443?q=/", true, "example.com", "example.com", Some(443), "/?q=/"),
            ("https://example.com:8443//a/../b", true, "example.com:8443", "example.com", Some(8443), "//a/../b"),
            ("https://[2001:DB8::1]:443/", true, "[2001:DB8::1]", "2001:db8::1", Some(443), "/"),
            ("http://127.0.0.1:8080/%2f", false, "127.0.0.1:8080", "127.0.0.1", Some(8080), "/%2f"),
            ("http://localhost#/a", false, "localhost", "localhost", None, "/"),
        ] {
            let (authority, host, target) = (authority.to_owned(), host.to_owned(), target.to_owned());
            let url = Question::new(text).url().unwrap();
            assert_eq!(url, Url { secure, authority, host, port, target }, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_how_to_write_one() {
        let long = format!("https://a/{}", "x".repeat(9_000));
        for (text, expected) in [
            ("example.com/a", "`example.com/a` has no scheme; write \"https://example.com/a\""),
            ("ftp://a/", "`ftp` is not a scheme that a gateway serves; write one like \"https://example.com/path\""),
            ("https://me:secret@a/", "the URL has a user in it; leave it out, or write it as a header field"),
            ("https:///a", "`` is not a host; write a name"),
            ("https://a b/", "the URL has a blank or a control character; write it percent-encoded: `%20`"),
            ("https://bücher.example/", "`bücher.example` is not a host; write a name"),
            ("https://a:99999/", "`a:99999` is not a host; write a name"),
            (&long, "the URL has 9010 bytes; write one of 8 KiB at most"),
        ] {
            let told = Question::new(text).url().unwrap_err().to_string();
            assert!(told.starts_with(expected), "{text}: {told}");
        }
    }

    fn head(method: &str, fields: &[&str]) -> Result<String, String> {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let question = Question { method: method.into(), fields, ..Question::new("http://a:8080/x?y") };
        let head = question.head(&question.url().unwrap()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(head).unwrap())
    }

    #[test]
    fn a_head_has_one_host_and_the_fields_as_they_are_written() {
        assert_eq!(
            head("GET", &["X-A: 1", "x-b:"]).unwrap(),
            "GET /x?y HTTP/1.1\r\nHost: a:8080\r\nX-A: 1\r\nx-b:\r\n\r\n"
        );
        assert_eq!(head("PUT", &["hOST: b"]).unwrap(), "PUT /x?y HTTP/1.1\r\nhOST: b\r\n\r\n");
    }

    #[test]
    fn anything_is_read_without_panic() {
        let mut random = fastrand::Rng::with_seed(13);
        let letters: Vec<char> = "htps:/@[]?#.a1:é%\\ ".chars().collect();
        for _ in 0..20_000 {
            let text: String = (0..random.usize(..20)).map(|_| letters[random.usize(..letters.len())]).collect();
            for url in [text.clone(), format!("https://{text}"), format!("http://a/{text}")] {
                let question = Question { fields: vec![text.clone()], ..Question::new(&url) };
                let _ = question.check();
                let _ = question.url().map(|url| Question::new(&text).head(&url));
            }
        }
    }

    #[test]
    fn no_field_ends_the_head_or_is_repeated_in_what_is_told() {
        for (method, field) in [
            ("GET /", "A: b"),
            ("", "A: b"),
            ("GET", "secret"),
            ("GET", ": secret"),
            ("GET", "A b: secret"),
            ("GET", "A: b\r\n\r\nGET /secret"),
            ("GET", "A: secret\n"),
        ] {
            let told = head(method, &[field]).unwrap_err();
            assert!(!told.contains("secret"), "{told}");
        }
        assert!(head("GET", &["A: b"; 100]).is_ok());
        assert!(head("GET", &["A: b"; 101]).is_err());
        assert!(head("GET", &[&format!("A: {}", "b".repeat(20_000))]).is_err());
    }
}
