//! A message head: one byte arena and a flat list of fields that point into it.
//!
//! Both codecs fill it and policies edit it; nothing is copied to a map, nothing is allocated per field, and a
//! connection uses the same two messages for all its exchanges.

mod fields;
mod name;
mod spare;

pub use fields::{Field, Fields, NameSet, Span, list_members};
pub use name::{Name, is_token};
pub use spare::{Set, Spare};

/// The protocol version a message was received in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// HTTP/1.0: no persistent connection by default, no chunked framing.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// As the access log shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// The head of a request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The header fields and the bytes of the whole head.
    pub fields: Fields,
    /// The protocol it came in.
    pub version: Version,
    /// Whether it asks to become a WebSocket tunnel: an upgrade of HTTP/1.1, or an extended CONNECT of HTTP/2 (RFC 8441), whose
    /// method counts as GET, so that routes and policies see one and the same.
    pub tunnel: bool,
    method: Span,
    target: Span,
    authority: Span,
}

impl Request {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.tunnel = false;
        self.method = Span::default();
        self.target = Span::default();
        self.authority = Span::default();
    }

    /// The method, case-sensitive. A token (RFC 9110 §9.1).
    pub fn method(&self) -> &[u8] {
        self.fields.bytes(self.method)
    }

    /// The target in origin form as it was received: path and query, undecoded.
    pub fn target(&self) -> &[u8] {
        self.fields.bytes(self.target)
    }

    /// Where the target lies, so that it can still be told once a rewrite has replaced it.
    pub fn target_span(&self) -> Span {
        self.target
    }

    /// The raw path: the target up to the first `?`.
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        &target[..query_mark(target).unwrap_or(target.len())]
    }

    /// The query without its `?`, where there is one.
    pub fn query(&self) -> Option<&[u8]> {
        let target = self.target();
        query_mark(target).map(|mark| &target[mark + 1..])
    }

    /// The host and optional port that the client asked for: `Host`, the authority of an absolute target, or `:authority`.
    pub fn authority(&self) -> &[u8] {
        self.fields.bytes(self.authority)
    }

    /// Sets the method to bytes that are already in the arena.
    pub fn set_method(&mut self, span: Span) {
        self.method = span;
    }

    /// Sets the target to bytes that are already in the arena.
    pub fn set_target(&mut self, span: Span) {
        self.target = span;
    }

    /// Sets the authority to bytes that are already in the arena.
    pub fn set_authority(&mut self, span: Span) {
        self.authority = span;
    }

    /// Makes the authority the value of the one field of a known name.
    pub fn set_authority_field(&mut self, name: Name) {
        self.fields.set_stored(name, self.authority);
    }

    /// Replaces the target.
    pub fn rewrite_target(&mut self, target: &[u8]) {
        self.target = self.fields.store(target);
    }

    /// Replaces the first `cut` bytes of the target (all of it, where it is shorter) by the parts of `front`, as a rewrite does.
    pub fn replace_target_front(&mut self, cut: usize, front: &[&[u8]]) {
        let cut = (cut as u32).min(self.target.len);
        let rest = Span { start: self.target.start + cut, len: self.target.len - cut };
        self.target = self.fields.store_joined(front, rest);
    }
}

fn query_mark(target: &[u8]) -> Option<usize> {
    target.iter().position(|byte| *byte == b'?')
}

/// The head of a response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The header fields.
    pub fields: Fields,
    /// The protocol it came in.
    pub version: Version,
    /// The status code, 100 to 599.
    pub status: u16,
}

impl Response {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.status = 0;
    }
}
