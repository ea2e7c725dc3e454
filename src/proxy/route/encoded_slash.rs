//! What a route does with an encoded slash in a path.

use crate::base::settings::{Node, Setting, Shape};

/// `encoded_slash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// `"refuse"`: 400.
    #[default]
    Refuse,
    /// `"keep"`: stays an encoded octet within its segment.
    Keep,
}

impl Setting for EncodedSlash {
    fn shape() -> Shape {
        Shape::Choice(vec!["refuse", "keep"])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&[("refuse", Self::Refuse), ("keep", Self::Keep)])
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Refuse => "refuse".into(),
            Self::Keep => "keep".into(),
        }
    }
}
