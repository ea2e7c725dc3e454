//! Methods and field names: the tokens of HTTP that a route names.

use super::{HeaderSettings, ValuePattern};
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape};
use crate::proxy::message::is_token;

/// Field names are compared in lower case.
pub(super) fn field(section: &Section<'_>, name: &At<String>, value: ValuePattern) -> Option<HeaderSettings> {
    if !is_token(name) {
        section.problem(
            name.place,
            format!("`{}` is not the name of a header field", name.value),
            "write a name like \"X-Group\"",
        );
        return None;
    }
    Some(HeaderSettings { name: At::new(name.to_ascii_lowercase(), name.place), value })
}

/// A method as it is written.
pub(super) struct Method(pub(super) String);

impl Setting for Method {
    fn shape() -> Shape {
        Shape::Text { what: "a method", example: "GET", pattern: Some("^[A-Z0-9!#$%&'*+.^_`|~-]+$|\\$\\{") }
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if !is_token(&text) || text.len() > 32 {
            return node.problem(format!("`{text}` is not a method"), "write a token in upper case, like \"GET\"");
        }
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            let upper = text.to_ascii_uppercase();
            return node
                .problem(format!("`{text}` is not a method: they are case-sensitive"), format!("write \"{upper}\""));
        }
        Some(Self(text.into_owned()))
    }
}
