//! Whether a policy refuses, or only says what it would refuse.

use crate::base::settings::{Node, Setting, Shape};

/// `mode` of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// `"enforce"`: what it objects to is refused.
    #[default]
    Enforce,
    /// `"observe"`: what it objects to is counted and logged, and goes on.
    Observe,
}

const WORDS: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];

impl Setting for Mode {
    fn shape() -> Shape {
        Shape::words(&WORDS)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&WORDS)
    }

    fn shown(&self) -> serde_json::Value {
        WORDS.iter().find(|(_, mode)| mode == self).map_or(serde_json::Value::Null, |(word, _)| (*word).into())
    }
}
