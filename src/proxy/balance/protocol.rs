//! What is spoken to the backends of a pool, and what connections to them begin with.

use crate::base::settings::{Node, Scalar, Setting, Shape};

/// `send_proxy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SendProxy {
    /// `false`.
    #[default]
    Off,
    /// A PROXY header of version 2 that names the client; such a connection carries that client's requests only.
    V2,
}

/// `protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/2 with `https://` backends that offer it, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: in clear text to `http://` and `unix:` backends; an `https://` backend without it is refused.
    Http2,
}

const PROTOCOLS: [(&str, Protocol); 3] = [("auto", Protocol::Auto), ("h1", Protocol::Http1), ("h2", Protocol::Http2)];

impl Setting for Protocol {
    fn shape() -> Shape {
        Shape::words(&PROTOCOLS)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&PROTOCOLS)
    }

    fn shown(&self) -> serde_json::Value {
        PROTOCOLS
            .iter()
            .find(|(_, protocol)| protocol == self)
            .map_or(serde_json::Value::Null, |(word, _)| (*word).into())
    }
}

impl Setting for SendProxy {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Choice(vec!["v2"]), Shape::Constant(false)])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self::Off),
            Scalar::Filled(text) if text == "false" => Some(Self::Off),
            Scalar::Text(text) | Scalar::Filled(text) if text == "v2" => Some(Self::V2),
            Scalar::Text(text) | Scalar::Filled(text) => node.problem(
                format!("`{text}` is not a value of `send_proxy`"),
                "write \"v2\", or false; version 1 is not sent",
            ),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Off => false.into(),
            Self::V2 => "v2".into(),
        }
    }
}
