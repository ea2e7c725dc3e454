//! `"${NAME}"` in a string: the environment enters from outside, as a map.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Expanded strings longer than this are refused: an expansion may not multiply a file's size without end.
const LONGEST: usize = 1 << 20;

/// The environment variables that a config may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The value of one variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. An error is a message and an advice, split by `; `.
    pub(super) fn expand<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, String> {
        if !text.contains("${") {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(found) = rest.find("${") {
            let (before, after) = (&rest[..found], &rest[found + 2..]);
            if let Some(escaped) = before.strip_suffix('$') {
                out.push_str(escaped);
                out.push_str("${");
                rest = after;
                continue;
            }
            let Some((inside, after)) = after.split_once('}') else {
                return Err("`${` is not closed; write \"${NAME}\", or `$${` for the two characters themselves".into());
            };
            out.push_str(before);
            out.push_str(self.variable(inside)?);
            if out.len() > LONGEST {
                return Err("the string is longer than 1 MiB once its variables are filled in; shorten them".into());
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }

    fn variable<'v>(&'v self, inside: &'v str) -> Result<&'v str, String> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!(
                "`${{{inside}}}` names no environment variable; write \"${{NAME}}\" or \"${{NAME:-default}}\" (`$${{` for the two characters themselves)"
            ));
        }
        let set = self.value(name).filter(|value| default.is_none() || !value.is_empty());
        set.or(default).ok_or_else(|| {
            format!("the environment variable `{name}` is not set; set it, or give a default: \"${{{name}:-default}}\"")
        })
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_escapes() {
        let environment: Environment = [("HOST", "a.example"), ("EMPTY", "")].into_iter().collect();
        for (text, expanded) in [
            ("plain $ { }", "plain $ { }"),
            ("http://${HOST}:${PORT:-80}", "http://a.example:80"),
            ("$${HOST}", "${HOST}"),
            ("${EMPTY:-x}|${EMPTY}|${NONE:-}", "x||"),
        ] {
            assert_eq!(environment.expand(text).unwrap(), expanded);
        }
    }

    #[test]
    fn what_cannot_be_filled_in_says_so() {
        let environment = Environment::default();
        for text in ["${NONE}", "${", "${}", "${a b}", "x${NONE", "${:-x}"] {
            let error = environment.expand(text).unwrap_err();
            assert!(error.contains("; "), "{error}");
        }
    }
}
