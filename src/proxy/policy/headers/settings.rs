//! `request_headers` and `response_headers`.

use super::template::Template;
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape};
use crate::base::token::is_token;
use crate::proxy::message::Name;

/// One transform as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransformSettings {
    /// Fields that are removed.
    pub(super) remove: Vec<String>,
    /// Fields that replace those of their name.
    pub(super) set: Vec<(String, Template)>,
    /// Fields beside those of their name.
    pub(super) add: Vec<(String, Template)>,
}

impl TransformSettings {
    /// Reads the table.
    pub fn keys(section: &mut Section<'_>) -> Self {
        let remove: Vec<Removed> = section.key("remove", "The names of fields that are removed.").list();
        let set: Vec<(At<String>, Template)> =
            section.key("set", "Fields that replace all others of their name; see variables.").pairs();
        let add: Vec<(At<String>, Template)> = section.key("add", "Fields beside others of their name.").pairs();
        let checked = |list: Vec<(At<String>, Template)>| {
            list.into_iter().filter_map(|(name, value)| Some((changeable(section, name)?, value))).collect()
        };
        let (set, add) = (checked(set), checked(add));
        Self { remove: remove.into_iter().map(|name| name.0).collect(), set, add }
    }
}

struct Removed(String);

impl Setting for Removed {
    fn shape() -> Shape {
        Shape::text("the name of a header field", "Server")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        match refused(&text) {
            None => Some(Self(text.into_owned())),
            Some((message, advice)) => node.problem(message, advice),
        }
    }
}

fn changeable(section: &Section<'_>, name: At<String>) -> Option<String> {
    let Some((message, advice)) = refused(&name) else { return Some(name.value) };
    section.problem(name.place, message, advice);
    None
}

/// Why a field of that name is not the config's to change: what frames messages or belongs to one connection is the gateway's.
pub(in crate::proxy::policy) fn refused(name: &str) -> Option<(String, String)> {
    if !is_token(name) {
        return Some((format!("`{name}` is not the name of a header field"), "write a name like \"X-Group\"".into()));
    }
    let ours = match Name::of(name.as_bytes()) {
        Name::Host => "the host that a client asks for is passed on as it is",
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::Te
        | Name::Trailer
        | Name::TransferEncoding
        | Name::ContentLength
        | Name::Upgrade
        | Name::Http2Settings
        | Name::Expect
        | Name::SecWebSocketKey
        | Name::SecWebSocketAccept => "the gateway frames messages and keeps connections by it",
        _ => return None,
    };
    Some((format!("`{name}` cannot be changed: {ours}"), "remove it here".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_messages_is_not_the_configs() {
        for name in ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "te", "a b", "", "a:"] {
            assert!(refused(name).is_some(), "{name}");
        }
        for name in ["Server", "X-Forwarded-Host", "strict-transport-security", "X_A"] {
            assert!(refused(name).is_none(), "{name}");
        }
    }
}
