//! The recorded shape of the settings: what the JSON schema and the test of `config/reference.toml` are made of.

use serde_json::Value;

use super::Section;

/// What a value may look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `true` or `false`.
    Boolean,
    /// A whole number in a range, both ends included.
    Integer(i64, i64),
    /// A number with or without a fraction, in a range.
    Number(f64, f64),
    /// A string.
    Text {
        /// What it is, with its article: `a duration`.
        what: &'static str,
        /// An example, without quotes.
        example: &'static str,
        /// A regular expression (ECMA 262) that every valid string matches.
        pattern: Option<&'static str>,
    },
    /// One of these strings.
    Choice(Vec<&'static str>),
    /// Exactly this boolean.
    Constant(bool),
    /// A list.
    List(Box<Self>),
    /// Any of these forms.
    OneOf(Vec<Self>),
    /// A table with these keys and no others.
    Table(Vec<Entry>),
    /// A table whose keys are names given by the user.
    Map(Box<Self>),
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub name: &'static str,
    /// What it does: one or two sentences with unit and range.
    pub doc: &'static str,
    /// What it may look like.
    pub shape: Shape,
    /// What holds where it is left out, where that is one value.
    pub default: Option<Value>,
    /// Whether the table is refused without it.
    pub required: bool,
}

impl Shape {
    /// The shape of a table, recorded by running the function that reads it.
    pub fn table(read: impl FnOnce(&mut Section<'_>)) -> Self {
        Self::Table(Section::record(read))
    }

    /// A string without further rules.
    pub const fn text(what: &'static str, example: &'static str) -> Self {
        Self::Text { what, example, pattern: None }
    }

    /// One of the words of a table of words and their values.
    pub fn words<T>(words: &[(&'static str, T)]) -> Self {
        Self::Choice(words.iter().map(|(word, _)| *word).collect())
    }

    /// The shape of the numbers from `low` to `high`. Strings keep theirs: their range is told by the documentation.
    pub(super) fn narrowed(self, low: &Value, high: &Value) -> Self {
        match (&self, low.as_i64().zip(high.as_i64()), low.as_f64().zip(high.as_f64())) {
            (Self::Integer(..), Some((low, high)), _) => Self::Integer(low, high),
            (Self::Number(..), _, Some((low, high))) => Self::Number(low, high),
            _ => self,
        }
    }

    /// What a value of this shape is, with its article.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Integer(..) => "a whole number".into(),
            Self::Number(..) => "a number".into(),
            Self::Text { what, .. } => (*what).into(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }
            Self::Constant(value) => value.to_string(),
            Self::List(_) => "a list".into(),
            Self::OneOf(forms) => forms.iter().map(Self::described).collect::<Vec<_>>().join(" or "),
            Self::Table(_) | Self::Map(_) => "a table".into(),
        }
    }

    /// How a value of this shape is written.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Boolean => "true".into(),
            Self::Integer(low, high) => 100.clamp(*low, *high).to_string(),
            Self::Number(low, high) => format!("{:?}", 0.5f64.clamp(*low, *high)),
            Self::Text { example, .. } => format!("\"{example}\""),
            Self::Choice(words) => words.first().map(|word| format!("\"{word}\"")).unwrap_or_default(),
            Self::Constant(value) => value.to_string(),
            Self::List(inner) => format!("[{}]", inner.example()),
            Self::OneOf(forms) => forms.first().map(Self::example).unwrap_or_default(),
            Self::Table(entries) => match entries.iter().find(|entry| entry.required).or_else(|| entries.first()) {
                Some(entry) => format!("{{ {} = {} }}", entry.name, entry.shape.example()),
                None => "{}".into(),
            },
            Self::Map(inner) => format!("{{ name = {} }}", inner.example()),
        }
    }
}
