//! How hosts, paths and values are written in a route, and what a pattern that could never match says instead.

use std::fmt;
use std::str::FromStr;

use super::{HostPattern, PathPattern, ValuePattern, whole};
use crate::base::host;
use crate::base::settings::{Node, Setting, Shape};

/// The text of one regular expression, in bytes.
const LONGEST_REGEX: usize = 4 << 10;

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, wildcard) = host::parse(text)?;
        Ok(if wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(source) = text.strip_prefix('~') {
            bounded(source)?;
            let regex = whole::path(source);
            return regex.map(|regex| Self::Regex(source.to_owned(), regex)).map_err(|error| refused(source, &error));
        }
        let (path, prefix) = match text.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (text, false),
        };
        possible(text, path)?;
        let path = upper_escapes(path);
        Ok(if prefix { Self::Prefix(path) } else { Self::Exact(path) })
    }
}

impl FromStr for ValuePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Present);
        }
        let Some(source) = text.strip_prefix('~') else { return Ok(Self::Exact(text.to_owned())) };
        bounded(source)?;
        let regex = whole::value(source);
        regex.map(|regex| Self::Regex(source.to_owned(), regex)).map_err(|error| refused(source, &error))
    }
}

fn bounded(source: &str) -> Result<(), String> {
    match source.len() > LONGEST_REGEX {
        true => Err("the regular expression is longer than 4 KiB; split the route, or write a prefix".into()),
        false => Ok(()),
    }
}

fn refused(source: &str, error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!(
                "the regular expression `{source}` needs more than 1 MiB; write smaller repetitions, or ASCII classes such as `[a-z]`"
            )
        }
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!(
                "`{source}` is not a regular expression: {reason}; correct it, or leave out the `~` for an exact match"
            )
        }
    }
}

/// A pattern is held against the deciding path; what that can never hold is refused, with the spelling that would match.
fn possible(text: &str, path: &str) -> Result<(), String> {
    let wrong = |advice: String| Err(format!("`{text}` can never match a path; {advice}"));
    if !text.starts_with('/') {
        return wrong(format!("write it with a slash in front: \"/{text}\""));
    }
    if path.contains('*') {
        return wrong(
            "a star stands only at the end, as `/*`; for anything else write a regular expression: \"~/a/[^/]+/b\""
                .into(),
        );
    }
    if let Some(end) = path.find(['?', '#']) {
        return wrong(format!("write the path alone: \"{}\", and conditions on the query as `query`", &path[..end]));
    }
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let inner = &segments[..segments.len().saturating_sub(1)];
    if inner.contains(&"") || segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return wrong("empty and dot segments are resolved before routes are looked up: leave them out".into());
    }
    if path.contains('\\') {
        return wrong("requests with a backslash in the path are refused; write `/`".into());
    }
    escapes(path).or_else(wrong)
}

/// Escapes of unreserved octets are decoded in the deciding path, and octets that need an escape have one.
fn escapes(path: &str) -> Result<(), String> {
    let bytes = path.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'%' {
            if !byte.is_ascii_graphic() || b"\"<>^`{|}".contains(byte) {
                let escaped: String = path.bytes().map(escaped).collect();
                return Err(format!("write it percent-encoded, as clients send it: \"{escaped}\""));
            }
            continue;
        }
        let digits = path.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            None => {
                return Err(
                    "a `%` starts an escape of two hexadecimal digits; write \"%25\" for the sign itself".into()
                );
            }
            Some(octet) if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) => {
                return Err(format!(
                    "write `{}` for `{}`: it is decoded before routes are looked up",
                    char::from(octet),
                    &path[at..at + 3]
                ));
            }
            Some(octet) if octet.is_ascii_control() || octet == b'\\' => {
                return Err(format!("requests with `{}` in the path are refused", &path[at..at + 3]));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn escaped(byte: u8) -> String {
    match byte.is_ascii_graphic() && !b"\"<>^`{|}".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    }
}

/// The deciding path holds its escapes in upper case.
fn upper_escapes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut digits = 0;
    for letter in path.chars() {
        out.push(if digits > 0 { letter.to_ascii_uppercase() } else { letter });
        digits = if letter == '%' { 2 } else { usize::saturating_sub(digits, 1) };
    }
    out
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(name) => write!(f, "*.{name}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(path) => write!(f, "{path}/*"),
            Self::Regex(source, _) => write!(f, "~{source}"),
        }
    }
}

impl Setting for HostPattern {
    fn shape() -> Shape {
        Shape::text("a host name", "www.example.com")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }
}

impl Setting for PathPattern {
    fn shape() -> Shape {
        Shape::Text { what: "a path pattern", example: "/api/*", pattern: Some("^[/~]|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }
}

impl Setting for ValuePattern {
    fn shape() -> Shape {
        Shape::text("a value pattern", "exact")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    #[test]
    fn the_three_kinds_of_path() {
        assert_eq!(path("/x"), PathPattern::Exact("/x".into()));
        assert_eq!(path("/x/"), PathPattern::Exact("/x/".into()));
        assert_eq!(path("/"), PathPattern::Exact("/".into()));
        assert_eq!(path("/x/*"), PathPattern::Prefix("/x".into()));
        assert_eq!(path("/*"), PathPattern::Prefix(String::new()));
        assert_eq!(path("/a%c3%a9"), PathPattern::Exact("/a%C3%A9".into()));
    }

    #[test]
    fn a_regular_expression_matches_the_whole_path() {
        let PathPattern::Regex(text, regex) = path("~/a|/b") else { panic!("a regex") };
        assert_eq!(text, "/a|/b");
        assert!(regex.is_match("/a") && regex.is_match("/b"));
        assert!(!regex.is_match("/a/b") && !regex.is_match("x/a") && !regex.is_match("/a\n"));
        let ValuePattern::Regex(_, regex) = "~B|C".parse().unwrap() else { panic!("a regex") };
        assert!(regex.is_match(b"C") && !regex.is_match(b"BC"));
    }

    #[test]
    fn what_can_never_match_says_what_would() {
        for (text, advice) in [
            ("x", "\"/x\""),
            ("", "\"/\""),
            ("/a/*/b", "only at the end"),
            ("/a*", "only at the end"),
            ("/a?b=1", "`query`"),
            ("/a//b", "empty and dot"),
            ("/a/../b", "empty and dot"),
            ("/%41", "write `A` for `%41`"),
            ("/%zz", "two hexadecimal digits"),
            ("/%", "two hexadecimal digits"),
            ("/%5C", "refused"),
            ("/%00", "refused"),
            ("/a b", "\"/a%20b\""),
            ("/é", "\"/%C3%A9\""),
            ("~(", "leave out the `~`"),
            ("~)(", "leave out the `~`"),
            ("~(\\w{100}){100}", "smaller repetitions"),
        ] {
            let error = text.parse::<PathPattern>().unwrap_err();
            assert!(error.contains(advice) && error.contains("; "), "{error}");
        }
    }
}
