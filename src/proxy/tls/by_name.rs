//! A map from host names and one-label wildcards to what holds for them: one lookup for the handshake and for requests.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::names::without_dot;

/// Values by name. An exact name goes before a wildcard; what was put in first stays.
#[derive(Debug)]
pub(super) struct ByName<V> {
    exact: HashMap<Box<str>, V, RandomState>,
    /// By the name without its `*.`.
    wildcards: HashMap<Box<str>, V, RandomState>,
}

impl<V> ByName<V> {
    pub(super) fn new() -> Self {
        Self { exact: HashMap::default(), wildcards: HashMap::default() }
    }

    /// Puts in a lower-case name without a final dot, unless it is there already.
    pub(super) fn put_exact(&mut self, name: &str, value: V) {
        if !self.exact.contains_key(name) {
            self.exact.insert(name.into(), value);
        }
    }

    /// Puts in `*.parent`, unless it is there already.
    pub(super) fn put_wildcard(&mut self, parent: &str, value: V) {
        if !self.wildcards.contains_key(parent) {
            self.wildcards.insert(parent.into(), value);
        }
    }

    /// What holds for `host`: any case, with or without a final dot. `*.example.com` asks for that very wildcard.
    pub(super) fn find(&self, host: &str) -> Option<&V> {
        let mut folded = [0; LONGEST_NAME];
        let host = lower(without_dot(host), &mut folded)?;
        match host.split_once('.') {
            Some(("*", parent)) => self.wildcards.get(parent),
            Some(("", _)) => None,
            Some((_, parent)) => self.exact.get(host).or_else(|| self.wildcards.get(parent)),
            None => self.exact.get(host),
        }
    }
}

/// RFC 1035 §2.3.4.
const LONGEST_NAME: usize = 255;

/// `name` in lower case, without an allocation; nothing where it is longer than any name.
fn lower<'a>(name: &'a str, folded: &'a mut [u8; LONGEST_NAME]) -> Option<&'a str> {
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(name);
    }
    let folded = folded.get_mut(..name.len())?;
    folded.copy_from_slice(name.as_bytes());
    folded.make_ascii_lowercase();
    std::str::from_utf8(folded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_beats_a_wildcard_and_the_first_stays() {
        let mut map = ByName::new();
        map.put_wildcard("example.com", 1);
        map.put_wildcard("example.com", 2);
        map.put_exact("a.example.com", 3);
        map.put_exact("a.example.com", 4);
        for (host, found) in [
            ("a.example.com", Some(3)),
            ("A.Example.Com.", Some(3)),
            ("b.example.com", Some(1)),
            ("*.example.com", Some(1)),
            ("example.com", None),
            (".example.com", None),
            ("b.a.example.com", None),
            ("", None),
        ] {
            assert_eq!(map.find(host).copied(), found, "{host}");
        }
        assert_eq!(map.find(&"A".repeat(300)), None);
    }
}
