//! The address of a backend: `http://host[:port]`.

use std::str::FromStr;

use super::BackendUrl;
use crate::base::host;
use crate::base::settings::{Node, Setting, Shape};

impl FromStr for BackendUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |advice: &str| format!("`{text}` is not a backend; {advice}");
        if text.starts_with("https://") {
            return Err(wrong("TLS to backends is not supported by this version; write \"http://host:port\""));
        }
        if text.starts_with("unix:") {
            return Err(wrong(
                "a Unix socket as a backend is not supported by this version; write \"http://host:port\"",
            ));
        }
        let Some(rest) = text.strip_prefix("http://") else {
            let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
            return Err(wrong(&format!("write a URL: \"http://{bare}\"")));
        };
        if rest.contains('@') {
            return Err(wrong("it cannot hold a user or a password; remove what stands before the `@`"));
        }
        if let Some(end) = rest.find(['/', '?', '#']) {
            return Err(wrong(&format!(
                "it has no path: write \"http://{}\", and `rewrite` in the route",
                &rest[..end]
            )));
        }
        let (host, port) = split(rest)
            .ok_or_else(|| wrong("write a port from 1 to 65535 after the colon: \"http://10.0.0.1:8080\""))?;
        match host::parse(host) {
            Ok((host, false)) => Ok(Self { text: text.to_owned(), host, port }),
            Ok((_, true)) | Err(_) => {
                Err(wrong("write a host name or an address: \"http://10.0.0.1:8080\", \"http://[2001:db8::1]:8080\""))
            }
        }
    }
}

/// Host and port; 80 where there is none. `None` for a port that is no port.
fn split(authority: &str) -> Option<(&str, u16)> {
    let after_brackets = authority.rfind(']').unwrap_or(0);
    match authority[after_brackets..].find(':') {
        None => Some((authority, 80)),
        Some(at) => {
            let (host, port) = authority.split_at(after_brackets + at);
            let digits = port[1..].bytes().all(|byte| byte.is_ascii_digit());
            let port = port[1..].parse().ok().filter(|port| digits && *port != 0)?;
            Some((host, port))
        }
    }
}

impl Setting for BackendUrl {
    fn shape() -> Shape {
        Shape::Text { what: "the URL of a backend", example: "http://10.0.0.1:8080", pattern: Some("^http://|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port() {
        for (text, host, port) in [
            ("http://10.0.0.1:8080", "10.0.0.1", 8080),
            ("http://Backend.internal", "backend.internal", 80),
            ("http://[::1]:3000", "::1", 3000),
            ("http://[2001:db8::1]", "2001:db8::1", 80),
        ] {
            let url: BackendUrl = text.parse().unwrap();
            assert_eq!((url.text.as_str(), url.host.as_str(), url.port), (text, host, port));
        }
    }

    #[test]
    fn what_is_no_backend_says_what_to_write() {
        for (text, advice) in [
            ("10.0.0.1:8080", "\"http://10.0.0.1:8080\""),
            ("ftp://a", "\"http://a\""),
            ("https://a", "TLS to backends is not supported by this version"),
            ("unix:/run/a", "not supported by this version"),
            ("http://a:80/", "no path: write \"http://a:80\""),
            ("http://u:p@a", "before the `@`"),
            ("http://a:0", "port from 1"),
            ("http://a:+1", "port from 1"),
            ("http://a:99999", "port from 1"),
            ("http://", "host name or an address"),
            ("http://*.a", "host name or an address"),
            ("http://::1", "port from 1"),
        ] {
            let error = text.parse::<BackendUrl>().unwrap_err();
            assert!(error.contains(advice), "{error}");
        }
    }
}
