//! The deciding path: the one spelling of a path that routes and policies look at. The backend gets the raw one, so
//! every spelling that a backend might read as another path than we do is refused.

use std::borrow::Cow;

use crate::proxy::fault::Malformed;

/// A path in its deciding spelling: ASCII, starts with `/`, no `.` or `..` segment, no empty one but the last,
/// unreserved octets decoded, every octet outside a path's alphabet percent-encoded in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deciding<'a> {
    path: Cow<'a, str>,
    encoded_slash: bool,
}

impl<'a> Deciding<'a> {
    /// Normalises a raw path (without its query; `*` is the caller's to handle).
    ///
    /// Refused, because readers disagree on their meaning: a backslash and control bytes, encoded or not; a blank;
    /// dot segments that are encoded, carry parameters (`/..;/`) or stand beside an encoded slash; dot segments that
    /// climb above the root or take away a segment that is none, or several, to others (`/a//../b`, `/a/;x/../b`,
    /// `/a%2fb/../c`); overlong UTF-8; `?`, `#`, and a `%` without two hex digits.
    ///
    /// # Errors
    /// [`Malformed::Path`].
    pub fn of(raw: &'a [u8]) -> Result<Self, Malformed> {
        if !is_normal(raw) {
            return normalise(raw);
        }
        let path = std::str::from_utf8(raw).map_err(|_| Malformed::Path)?;
        Ok(Self { path: Cow::Borrowed(path), encoded_slash: false })
    }

    /// The path to decide by.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether it holds an encoded slash (`%2F`), which a route refuses unless it says `encoded_slash = "keep"`.
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }
}

/// One scan for the usual case, a path that stays as it is. Whatever is doubtful is left to [`normalise`].
fn is_normal(raw: &[u8]) -> bool {
    if raw.first() != Some(&b'/') {
        return false;
    }
    let mut after_slash = false;
    let mut index = 0;
    while index < raw.len() {
        let byte = raw[index];
        if after_slash && matches!(byte, b'/' | b'.') {
            return false;
        }
        after_slash = byte == b'/';
        if byte != b'%' {
            if CLASS[usize::from(byte)] == Class::Other {
                return false;
            }
            index += 1;
            continue;
        }
        match escaped(&raw[index..]) {
            Some(octet) if stays_encoded(octet) && raw[index + 1..index + 3].iter().all(|hex| *hex < b'a') => {
                index += 3
            }
            _ => return false,
        }
    }
    true
}

/// Whether an escape of `octet` stands for nothing but itself: neither decoded, nor refused, nor a reason to look closer.
fn stays_encoded(octet: u8) -> bool {
    !matches!(octet, b'/' | b'\\' | b';' | 0xc0 | 0xc1 | 0xe0 | 0xf0)
        && !octet.is_ascii_control()
        && CLASS[usize::from(octet)] != Class::Unreserved
}

fn normalise(raw: &[u8]) -> Result<Deciding<'static>, Malformed> {
    let rest = raw.strip_prefix(b"/").ok_or(Malformed::Path)?;
    let mut path = Vec::with_capacity(raw.len() + 16);
    let mut encoded_slash = false;
    let mut segments = rest.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let start = path.len();
        path.push(b'/');
        encoded_slash |= decode(segment, &mut path)?;
        let dots = match &path[start + 1..] {
            text @ (b"." | b"..") if text != segment => return Err(Malformed::Path),
            text @ (b"." | b"..") => text.len(),
            text if hides_dot_segment(text) => return Err(Malformed::Path),
            _ => continue,
        };
        path.truncate(start);
        if dots == 2 {
            climb(&mut path)?;
        }
        if segments.peek().is_none() {
            path.push(b'/');
        }
    }
    path.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    let path = String::from_utf8(path).map_err(|_| Malformed::Path)?;
    Ok(Deciding { path: Cow::Owned(path), encoded_slash })
}

/// Takes the last segment away. Whoever merges empty segments first would take another one than who does not; a segment of
/// parameters alone is empty to whoever cuts them off, and one with an encoded slash is two to whoever decodes it.
fn climb(path: &mut Vec<u8>) -> Result<(), Malformed> {
    let slash = path.iter().rposition(|byte| *byte == b'/').ok_or(Malformed::Path)?;
    match &path[slash + 1..] {
        [] | [b';', ..] | [b'%', b'3', b'B', ..] => Err(Malformed::Path),
        segment if find(segment, b"%2F").is_some() => Err(Malformed::Path),
        _ => {
            path.truncate(slash);
            Ok(())
        }
    }
}

/// Appends one segment in its deciding spelling. Tells whether it holds an encoded slash.
fn decode(segment: &[u8], path: &mut Vec<u8>) -> Result<bool, Malformed> {
    let mut encoded_slash = false;
    let mut before = 0;
    let mut index = 0;
    while index < segment.len() {
        let escape = segment[index] == b'%';
        let octet = if escape { escaped(&segment[index..]).ok_or(Malformed::Path)? } else { segment[index] };
        index += if escape { 3 } else { 1 };
        let class = CLASS[usize::from(octet)];
        if octet.is_ascii_control() || octet == b'\\' || overlong(before, octet) {
            return Err(Malformed::Path);
        }
        if !escape && matches!(octet, b' ' | b'?' | b'#') {
            return Err(Malformed::Path);
        }
        if class == Class::Unreserved || (class == Class::Reserved && !escape) {
            path.push(octet);
        } else {
            path.extend([b'%', HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]]);
        }
        encoded_slash |= octet == b'/';
        before = octet;
    }
    Ok(encoded_slash)
}

/// Whether these two octets start a UTF-8 sequence that is longer than it need be: an ASCII character in disguise.
fn overlong(first: u8, second: u8) -> bool {
    matches!((first, second), (0xc0 | 0xc1, 0x80..=0xbf) | (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f))
}

/// Whether a reader that decodes slashes, or drops what follows a `;`, finds a dot segment in this segment.
fn hides_dot_segment(segment: &[u8]) -> bool {
    let mut rest = segment;
    loop {
        let end = find(rest, b"%2F").unwrap_or(rest.len());
        let piece = &rest[..end];
        let parameters =
            piece.iter().position(|byte| *byte == b';').unwrap_or(end).min(find(piece, b"%3B").unwrap_or(end));
        if matches!(&piece[..parameters], b"." | b"..") {
            return true;
        }
        if end == rest.len() {
            return false;
        }
        rest = &rest[end + 3..];
    }
}

fn find(text: &[u8], escape: &[u8; 3]) -> Option<usize> {
    text.windows(3).position(|window| window == escape)
}

/// The octet of the escape that `text` starts with.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |index: usize| text.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    Some((digit(1)? * 16 + digit(2)?) as u8)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What an octet is in a path (RFC 3986 §3.3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Means the same encoded or not.
    Unreserved,
    /// Allowed in a path (or divides it), but means something else when encoded.
    Reserved,
    /// Not of a path's alphabet.
    Other,
}

const CLASS: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Other; 256];
    let mut octet = 0;
    while octet < 128 {
        table[octet] = match octet as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Unreserved,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'/' => {
                Class::Reserved
            }
            _ => Class::Other,
        };
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests;
