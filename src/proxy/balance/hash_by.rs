//! `hash_by`: what of a request `hash` goes by.

use crate::base::settings::{Node, Setting, Shape, suggest};
use crate::base::token::is_token;

/// `hash_by`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HashBy {
    /// The client's address.
    #[default]
    Ip,
    /// The path, as the backend gets it.
    Path,
    /// The first field of this name.
    Header(String),
    /// The first cookie of this name.
    Cookie(String),
}

const FORMS: &str = "write \"ip\", \"path\", \"header:NAME\" or \"cookie:NAME\"";

impl Setting for HashBy {
    fn shape() -> Shape {
        Shape::Text {
            what: "what of a request decides",
            example: "header:X-User",
            pattern: Some("^(ip|path|header:.+|cookie:.+)$|\\$\\{"),
        }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        let (kind, name) = text.split_once(':').map_or((&*text, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("ip", None) => Some(Self::Ip),
            ("path", None) => Some(Self::Path),
            ("header", Some(name)) if is_token(name) => Some(Self::Header(name.to_ascii_lowercase())),
            ("cookie", Some(name)) if is_token(name) => Some(Self::Cookie(name.to_owned())),
            ("header", Some(name)) => {
                node.problem(format!("`{name}` is not the name of a header field"), "write \"header:X-User\"")
            }
            ("cookie", Some(name)) => {
                node.problem(format!("`{name}` is not the name of a cookie"), "write \"cookie:session\"")
            }
            _ => {
                let advice = match (name, suggest::closest(kind, ["path", "header", "cookie"])) {
                    (Some(name), Some(meant)) if meant != "path" => format!("did you mean \"{meant}:{name}\"?"),
                    (None, Some("path")) => "did you mean \"path\"?".to_owned(),
                    _ => FORMS.to_owned(),
                };
                node.problem(format!("`{text}` is not a value of `{}`", node.key()), advice)
            }
        }
    }

    fn shown(&self) -> serde_json::Value {
        match self {
            Self::Ip => "ip".into(),
            Self::Path => "path".into(),
            Self::Header(name) => format!("header:{name}").into(),
            Self::Cookie(name) => format!("cookie:{name}").into(),
        }
    }
}
