//! Header transforms: fields that a route removes, sets and adds, on requests to the backend and on answers to the client.

mod settings;
mod template;

pub use settings::TransformSettings;
pub(super) use settings::refused;
pub use template::{Facts, TlsFacts};

use self::template::Template;

use crate::proxy::message::{Fields, Name};

/// One transform, compiled. What it removes goes first, then it sets, then it adds.
#[derive(Clone, Debug, Default)]
pub struct Transform {
    remove: Box<[FieldName]>,
    /// Fields that replace those of their name.
    set: Box<[(FieldName, Template)]>,
    /// Fields beside those of their name.
    add: Box<[(FieldName, Template)]>,
}

/// A field name, told once.
#[derive(Clone, Debug)]
struct FieldName {
    known: Name,
    text: Box<[u8]>,
}

impl FieldName {
    fn new(text: &str) -> Self {
        Self { known: Name::of(text.as_bytes()), text: text.as_bytes().into() }
    }
}

/// What a transform does, by the names of the fields. Their values may be secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Removed.
    pub remove: Vec<String>,
    /// Replaced.
    pub set: Vec<String>,
    /// Added.
    pub add: Vec<String>,
}

/// The values of one transform for one message. Cheap where none has a variable in it.
pub struct Values(Vec<Vec<u8>>);

impl Transform {
    /// What the settings say.
    pub fn new(settings: &TransformSettings) -> Self {
        let fields = |list: &[(String, Template)]| {
            list.iter().map(|(name, template)| (FieldName::new(name), template.clone())).collect()
        };
        Self {
            remove: settings.remove.iter().map(|name| FieldName::new(name)).collect(),
            set: fields(&settings.set),
            add: fields(&settings.add),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// What it does.
    pub fn outline(&self) -> Outline {
        let text = |name: &FieldName| String::from_utf8_lossy(&name.text).into_owned();
        let texts = |list: &[(FieldName, Template)]| list.iter().map(|(name, _)| text(name)).collect();
        Outline { remove: self.remove.iter().map(text).collect(), set: texts(&self.set), add: texts(&self.add) }
    }

    /// What its variables are here. Apart from [`apply`](Self::apply), because they may be in what that changes.
    pub fn values(&self, facts: &Facts<'_>) -> Values {
        let templates = self.set.iter().chain(&self.add).map(|(_, template)| template);
        Values(templates.filter_map(|template| template.filled(facts)).collect())
    }

    /// Changes the fields.
    pub fn apply(&self, fields: &mut Fields, values: &Values) {
        let mut filled = values.0.iter();
        for name in &self.remove {
            fields.remove_named(name.known, &name.text);
        }
        for (replaces, list) in [(true, &self.set), (false, &self.add)] {
            for (name, template) in list {
                let Some(value) = template.literal().or_else(|| filled.next().map(Vec::as_slice)) else { continue };
                if replaces {
                    fields.remove_named(name.known, &name.text);
                }
                fields.add_known(name.known, &name.text, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    pub(super) fn facts() -> Facts<'static> {
        Facts {
            client: Ipv4Addr::new(192, 0, 2, 7).into(),
            request_id: b"abc",
            authority: b"Shop.Example:8443",
            listener: "https",
            route: "shop",
            tls: Some(TlsFacts { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", server_name: "shop.example" }),
        }
    }

    fn transform(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> Transform {
        let pairs = |list: &[(&str, &str)]| {
            list.iter().map(|(name, value)| ((*name).to_owned(), value.parse().unwrap())).collect()
        };
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        Transform::new(&TransformSettings { remove, set: pairs(set), add: pairs(add) })
    }

    fn applied(transform: &Transform, list: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut fields = Fields::default();
        list.iter().for_each(|(name, value)| fields.add(name.as_bytes(), value.as_bytes()));
        transform.apply(&mut fields, &transform.values(&facts()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|(_, name, value)| (text(name), text(value))).collect()
    }

    fn owned(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_go_are_replaced_and_are_added() {
        let transform =
            transform(&["Server", "x-b"], &[("X-A", "new"), ("Referer", "r")], &[("X-C", "2"), ("x-b", "3")]);
        let before = [("x-a", "1"), ("X-A", "2"), ("X-B", "1"), ("X-C", "1"), ("server", "s"), ("referer", "old")];
        let after = [("X-C", "1"), ("X-A", "new"), ("Referer", "r"), ("X-C", "2"), ("x-b", "3")];
        assert_eq!(applied(&transform, &before), owned(&after));
    }

    #[test]
    fn variables_are_filled_where_they_stand() {
        let transform = transform(
            &[],
            &[("X-Who", "{client_address} by {listener}"), ("X-Plain", "p")],
            &[("X-Id", "{request_id}")],
        );
        let after = [("X-Who", "192.0.2.7 by https"), ("X-Plain", "p"), ("X-Id", "abc")];
        assert_eq!(applied(&transform, &[]), owned(&after));
    }

    #[test]
    fn nothing_is_filled_where_there_is_no_variable() {
        let transform = transform(&["a"], &[("b", "1")], &[("c", "{{2}}")]);
        assert!(transform.values(&facts()).0.is_empty() && !transform.is_empty());
        assert_eq!(applied(&transform, &[("A", "x")]), owned(&[("b", "1"), ("c", "{2}")]));
        assert!(Transform::default().is_empty());
    }
}
