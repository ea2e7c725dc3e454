//! Conditions on query parameters.

use std::borrow::Cow;

use super::{QuerySettings, ValuePattern};

/// The query conditions of a route; all must hold.
#[derive(Debug)]
pub(super) struct Queries(Box<[QuerySettings]>);

impl Queries {
    /// All of `conditions`.
    pub(super) fn new(conditions: Vec<QuerySettings>) -> Self {
        Self(conditions.into())
    }

    /// How many conditions there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The names of the parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.name.as_str())
    }

    /// Whether each condition holds for the first parameter of its name. A parameter without `=` has an empty value.
    pub(super) fn match_query(&self, query: Option<&[u8]>) -> bool {
        self.0.iter().all(|condition| {
            let value = query.and_then(|query| first(query, condition.name.as_bytes()));
            value.is_some_and(|value| match &condition.value {
                ValuePattern::Exact(exact) => decoded(value).eq(exact.bytes()),
                ValuePattern::Regex(_, regex) => regex.is_match(&contiguous(value)),
                ValuePattern::Present => true,
            })
        })
    }
}

/// The value, not yet decoded, of the first parameter of that name.
fn first<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty()).find_map(|parameter| {
        let (raw_name, value) = match parameter.iter().position(|byte| *byte == b'=') {
            Some(mark) => (&parameter[..mark], &parameter[mark + 1..]),
            None => (parameter, &parameter[parameter.len()..]),
        };
        decoded(raw_name).eq(name.iter().copied()).then_some(value)
    })
}

/// The octets that `text` stands for (`application/x-www-form-urlencoded`). A `%` without two hex digits is itself.
fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        let digit = |index: usize| behind.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(0).zip(digit(1))) {
            (b'%', Some((high, low))) => {
                rest = &behind[2..];
                Some((high * 16 + low) as u8)
            }
            (b'+', _) => Some(b' '),
            _ => Some(byte),
        }
    })
}

/// The decoded value in one piece; allocated only where it differs.
fn contiguous(value: &[u8]) -> Cow<'_, [u8]> {
    if value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        Cow::Owned(decoded(value).collect())
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::At;
    use crate::proxy::route::tests::value_regex;

    fn holds(pattern: ValuePattern, query: Option<&str>) -> bool {
        let name = At { value: "a b".to_owned(), ..At::default() };
        Queries::new(vec![QuerySettings { name, value: pattern }]).match_query(query.map(str::as_bytes))
    }

    #[test]
    fn the_first_parameter_of_the_name_decides() {
        for (query, expected) in [
            ("a+b=x%26y+z", true),
            ("a%20b=x%26y%20z", true),
            ("&&c=1&a%20b=x%26y+z&a+b=no", true),
            ("a+b=no&a+b=x%26y+z", false),
            ("A+b=x%26y+z", false),
            ("a+b", false),
            ("", false),
            ("a+b=x%26y+z%", false),
            ("a+b=x%26y+z;c=1", false),
        ] {
            assert_eq!(holds(ValuePattern::Exact("x&y z".into()), Some(query)), expected, "{query}");
        }
    }

    #[test]
    fn presence_needs_no_value() {
        for (query, expected) in
            [(Some("a+b"), true), (Some("a+b="), true), (Some("a"), false), (Some(""), false), (None, false)]
        {
            assert_eq!(holds(ValuePattern::Present, query), expected, "{query:?}");
        }
    }

    #[test]
    fn a_regular_expression_sees_the_whole_decoded_value() {
        let regex = || value_regex("[0-9 ]+");
        assert!(holds(regex(), Some("a+b=1%202+3")) && holds(regex(), Some("a+b=123")));
        assert!(!holds(regex(), Some("a+b=1x")) && !holds(regex(), Some("a+b=")));
    }

    #[test]
    fn broken_escapes_stand_for_themselves() {
        for text in ["%", "%4", "%zz", "100%", "%%41"] {
            let expected = if text == "%%41" { b"%A".to_vec() } else { text.as_bytes().to_vec() };
            assert_eq!(decoded(text.as_bytes()).collect::<Vec<_>>(), expected);
        }
    }
}
