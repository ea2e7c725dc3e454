//! Conditions on header fields.

use super::HeaderSettings;
use crate::proxy::message::Fields;

/// The header conditions of a route; all must hold.
#[derive(Debug)]
pub(super) struct Headers(Box<[HeaderSettings]>);

impl Headers {
    /// All of `conditions`.
    pub(super) fn new(conditions: Vec<HeaderSettings>) -> Self {
        Self(conditions.into())
    }

    /// How many conditions there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The names of the fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.name.as_str())
    }

    /// Whether each condition holds for any field of its name.
    pub(super) fn match_fields(&self, fields: &Fields) -> bool {
        self.0
            .iter()
            .all(|condition| fields.values(condition.name.as_bytes()).any(|value| condition.value.holds(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::At;
    use crate::proxy::route::ValuePattern;
    use crate::proxy::route::tests::value_regex;

    fn holds(pattern: ValuePattern, values: &[&str]) -> bool {
        let mut fields = Fields::default();
        values.iter().for_each(|value| fields.add(b"X-Group", value.as_bytes()));
        let name = At { value: "x-group".to_owned(), ..At::default() };
        Headers::new(vec![HeaderSettings { name, value: pattern }]).match_fields(&fields)
    }

    #[test]
    fn any_field_of_the_name_may_match() {
        let exact = || ValuePattern::Exact("B".into());
        assert!(holds(exact(), &["A", "B"]));
        assert!(!holds(exact(), &["A", "b", "B "]));
        assert!(!holds(exact(), &[]));
        assert!(holds(ValuePattern::Present, &[""]));
        assert!(!holds(ValuePattern::Present, &[]));
    }

    #[test]
    fn a_regular_expression_is_held_against_each_value() {
        let regex = || value_regex("a|ab");
        assert!(holds(regex(), &["ab"]) && holds(regex(), &["x", "a"]));
        assert!(!holds(regex(), &["abc", "xa", "a\n"]));
    }
}
