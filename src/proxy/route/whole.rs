//! Regular expressions that match a whole text, never a part of it. The engine is linear in the text; the size of the
//! compiled expression is bounded.

/// The most memory that one compiled expression may take, in bytes.
const LARGEST: usize = 1 << 20;

/// Compiles the expression of a `path`.
///
/// # Errors
/// What is wrong with the expression, or that it is too large.
pub(super) fn path(text: &str) -> Result<regex::Regex, regex::Error> {
    let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(LARGEST).build();
    compile(text).and_then(|_| compile(&anchored(text)))
}

/// Compiles the expression of a header or query value.
///
/// # Errors
/// What is wrong with the expression, or that it is too large.
pub(super) fn value(text: &str) -> Result<regex::bytes::Regex, regex::Error> {
    let compile = |text: &str| regex::bytes::RegexBuilder::new(text).size_limit(LARGEST).build();
    compile(text).and_then(|_| compile(&anchored(text)))
}

/// Only for what compiles on its own: `a)(?:b` would otherwise slip out of the group.
fn anchored(text: &str) -> String {
    format!(r"\A(?:{text})\z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        for (expression, text, expected) in [
            ("/a|/ab", "/ab", true),
            ("/a|/ab", "/abc", false),
            ("/a|/ab", "x/a", false),
            ("(?m)^/a$", "/a\n/b", false),
            ("/users/[0-9]+", "/users/42", true),
            ("/users/[0-9]+", "/users/42/x", false),
            ("", "", true),
            ("(?i)/A", "/a", true),
        ] {
            assert_eq!(path(expression).unwrap().is_match(text), expected, "{expression} {text}");
            assert_eq!(value(expression).unwrap().is_match(text.as_bytes()), expected, "{expression} {text}");
        }
    }

    #[test]
    fn what_does_not_stand_on_its_own_or_grows_too_large_is_refused() {
        for expression in ["a)(?:b", "(", "(?P<x>", r"\w{1000}{1000}", "[z-a]"] {
            assert!(path(expression).is_err() && value(expression).is_err(), "{expression}");
        }
    }
}
