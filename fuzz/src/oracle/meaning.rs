//! What a reader took a message for.

use portcullis::proxy::message::Fields;

/// Names in lower case, and values.
pub type List = Vec<(Vec<u8>, Vec<u8>)>;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The method.
    pub method: Vec<u8>,
    /// Path and query.
    pub target: Vec<u8>,
    /// The host of an absolute target, where there is one.
    pub authority: Option<Vec<u8>>,
    /// The fields, by name.
    pub fields: List,
    /// The body.
    pub body: Body,
}

/// A response.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The fields, by name.
    pub fields: List,
    /// The body.
    pub body: Body,
}

/// A body, as far as it was there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its trailers, by name.
    pub trailers: List,
    /// Whether it came to its end.
    pub whole: bool,
}

/// The fields of a message, by name.
pub fn listed(fields: &Fields) -> List {
    sorted(fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())))
}

/// Fields by name; those of one name stay in their order, which is all that means anything (RFC 9110 §5.3).
pub fn sorted(fields: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> List {
    let mut list: List = fields.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    list.sort_by(|one, other| one.0.cmp(&other.0));
    list
}

/// The fields of hyper's map, by name.
pub fn mapped(map: &http::HeaderMap) -> List {
    sorted(map.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())))
}

/// Whether the fields frame a body in one way at most: some reader takes another of two for the right one.
pub fn is_framed_once(fields: &List) -> bool {
    let framing = |(name, _): &&(Vec<u8>, Vec<u8>)| matches!(name.as_slice(), b"content-length" | b"transfer-encoding");
    fields.iter().filter(framing).count() <= 1
}

/// Bytes as a failing assertion shows them.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
