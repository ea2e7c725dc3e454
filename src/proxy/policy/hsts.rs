//! `Strict-Transport-Security` (RFC 6797) for the hosts whose `[[host]]` asks for it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The value for each host.
#[derive(Debug, Default)]
pub struct Hsts {
    /// By name; a wildcard by its whole text, star included.
    values: HashMap<Box<str>, Box<[u8]>, RandomState>,
}

impl Hsts {
    /// `hosts` are the names of `[[host]]`, exact or with a wildcard for one label, and the seconds that clients shall
    /// keep to HTTPS.
    pub fn new<'a>(hosts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let value = |seconds: u64| format!("max-age={seconds}").into_bytes().into();
        Self { values: hosts.into_iter().map(|(name, seconds)| (name.into(), value(seconds))).collect() }
    }

    /// The value for answers over TLS to `host`, the checked one: that of its exact name, else that of the wildcard.
    pub fn value(&self, host: &str) -> Option<&[u8]> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(host).map(|value| &value[..]).or_else(|| self.wildcard(host))
    }

    /// A checked host is at most 255 bytes, so its wildcard fits on the stack.
    fn wildcard(&self, host: &str) -> Option<&[u8]> {
        let (label, ending) = host.split_once('.')?;
        let mut text = [b'*'; 256];
        let length = ending.len() + 2;
        text[1] = b'.';
        text.get_mut(2..length)?.copy_from_slice(ending.as_bytes());
        let text = std::str::from_utf8(&text[..length]).ok()?;
        self.values.get(text).filter(|_| !label.is_empty()).map(|value| &value[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_comes_before_the_wildcard_of_one_label() {
        let hsts = Hsts::new([("example.com", 60), ("*.example.com", 120), ("old.example.com", 0)]);
        let value = |host: &str| hsts.value(host).map(|value| String::from_utf8_lossy(value).into_owned());
        for (host, expected) in [
            ("example.com", Some("max-age=60")),
            ("www.example.com", Some("max-age=120")),
            ("old.example.com", Some("max-age=0")),
            ("a.www.example.com", None),
            (".example.com", None),
            ("example.org", None),
            ("com", None),
            ("", None),
        ] {
            assert_eq!(value(host).as_deref(), expected, "{host}");
        }
        assert_eq!(hsts.value(&format!("a.{}", "b".repeat(300))), None);
    }
}
