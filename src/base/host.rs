//! Host names as configs write them: one spelling for each, checked label by label.

use std::net::{IpAddr, Ipv6Addr};

/// The name in lower case without a trailing dot, and whether `*.` stood before it. IP addresses are names; IPv6 loses
/// its brackets and takes its shortest form. An error is a message and an advice, split by `; `.
pub fn parse(text: &str) -> Result<(String, bool), String> {
    let wrong = |advice: &str| Err(format!("`{text}` is not a host name; {advice}"));
    if let Some(address) = address(text) {
        return Ok((address, false));
    }
    if text == "*" {
        return wrong("leave `host` out to serve every host");
    }
    if let Some((_, rest)) = text.split_once("://") {
        return wrong(&format!("write the name alone: \"{}\"", rest.split(['/', ':']).next().unwrap_or_default()));
    }
    if !text.is_ascii() {
        return wrong("write its A-labels, as DNS has them: \"xn--bcher-kva.example\"");
    }
    if let Some((name, _)) = text.split_once(':') {
        return wrong(&format!("a host has no port: write \"{name}\", and the port in a listener's `bind`"));
    }
    let (name, wildcard) = match text.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (text, false),
    };
    if name.contains('*') {
        return wrong("a star stands only at the front: \"*.example.com\"");
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.len() > 253 || !name.split('.').all(is_label) {
        return wrong("write labels of letters, digits and hyphens, with dots between them: \"www.example.com\"");
    }
    Ok((name, wildcard))
}

fn address(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(|address| address.to_string()),
        None => text.parse::<IpAddr>().ok().map(|address| address.to_string()),
    }
}

/// Underscores are no part of host names proper, but DNS has them and people use them.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_each_name() {
        for (text, name, wildcard) in [
            ("WWW.Example.com.", "www.example.com", false),
            ("*.example.com", "example.com", true),
            ("[2001:DB8:0::1]", "2001:db8::1", false),
            ("127.0.0.1", "127.0.0.1", false),
            ("localhost", "localhost", false),
        ] {
            assert_eq!(parse(text).unwrap(), (name.to_owned(), wildcard));
        }
    }

    #[test]
    fn what_is_no_name_says_what_to_write() {
        for (text, advice) in [
            ("*", "leave `host` out"),
            ("https://a.example/x", "\"a.example\""),
            ("a.example:8080", "no port"),
            ("bücher.example", "A-labels"),
            ("a.*.example", "only at the front"),
            ("*.*.example", "only at the front"),
            ("a..example", "labels"),
            ("-a.example", "labels"),
            ("", "labels"),
            ("a b", "labels"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(advice), "{error}");
        }
    }
}
