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
    /// climb above the root or take away an empty segment (`/a//../b`); overlong UTF-8; `?`, `#`, and a `%` without
    /// two hex digits.
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

/// Takes the last segment away. Whoever merges empty segments first would take another one than who does not.
fn climb(path: &mut Vec<u8>) -> Result<(), Malformed> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) if slash + 1 < path.len() => {
            path.truncate(slash);
            Ok(())
        }
        _ => Err(Malformed::Path),
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
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_decide_alike() {
        for (raw, deciding) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//b", "/a/b"),
            ("//a", "/a"),
            ("///", "/"),
            ("/a///", "/a/"),
            ("/./a", "/a"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/../b", "/b"),
            ("/a/b/../../c", "/c"),
            ("/a/b/..", "/a/"),
            ("//a/../b", "/b"),
            ("/a/./../b", "/b"),
            ("/.", "/"),
            ("/%61dmin", "/admin"),
            ("/%41dmin", "/Admin"),
            ("/a%2db", "/a-b"),
            ("/%7euser", "/~user"),
            ("/a%5Fb", "/a_b"),
            ("/a%2ehtml", "/a.html"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/..a", "/..a"),
            ("/a..", "/a.."),
            ("/%2e%2e%2e", "/..."),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/\u{937f}", "/%E9%8D%BF"),
            ("/%e0%a4%85", "/%E0%A4%85"),
            ("/a%20b", "/a%20b"),
            ("/a%3fb", "/a%3Fb"),
            ("/a%23b", "/a%23b"),
            ("/a%3bb", "/a%3Bb"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/;jsessionid=1", "/;jsessionid=1"),
            ("/%2561dmin", "/%2561dmin"),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("/a|b", "/a%7Cb"),
            ("/a%7cb", "/a%7Cb"),
            ("/\"<>[]^`{}", "/%22%3C%3E%5B%5D%5E%60%7B%7D"),
            ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
            ("/%21", "/%21"),
        ] {
            let found = Deciding::of(raw.as_bytes());
            assert_eq!(found.as_ref().map(Deciding::as_str), Ok(deciding), "{raw}");
            assert!(!found.unwrap().has_encoded_slash(), "{raw}");
        }
    }

    const REFUSED: &[&str] = &[
        // Not a path at all.
        "",
        "a",
        "*",
        "admin/x",
        "?",
        "/a?b",
        "/a#b",
        "#",
        "/a/#/../admin",
        "http://example.com/",
        "%2f",
        // Encoded dot segments, in every mix.
        "/%2e",
        "/%2E",
        "/%2e/admin",
        "/%2e%2e",
        "/%2e%2e/",
        "/%2E%2e/admin",
        "/a/%2e%2e/admin",
        "/.%2e/admin",
        "/%2e./admin",
        "/a/.%2E",
        "/a/b/%2e%2e",
        "/a/%2e/b",
        // Climbing above the root, or over an empty segment.
        "/..",
        "/../",
        "/../admin",
        "/a/../../admin",
        "/a/../..",
        "/./..",
        "/./../admin",
        "//..",
        "/a//../b",
        "/a/.//../b",
        "/a//b/../../c",
        "//../a",
        "/a///../admin",
        // Dot segments with parameters.
        "/..;/admin",
        "/.;/admin",
        "/a/..;x=1/admin",
        "/a/..;",
        "/a/.;v",
        "/a/%2e%2e;/admin",
        "/..%3b/admin",
        "/a/..%3Bx/admin",
        "/a/.%2e;a/b",
        // Dot segments beside encoded slashes, also where a route keeps those.
        "/..%2fadmin",
        "/a/..%2Fadmin",
        "/a%2f..",
        "/a%2f../b",
        "/a%2f..%2fadmin",
        "/a%2F.%2Fb",
        "/%2f..;/a",
        "/a/%2e%2e%2fadmin",
        "/a%2f..;x/b",
        "/a%2f%2e%2e",
        // Backslashes.
        "/\\",
        "/a\\b",
        "/..\\admin",
        "/a/..\\..\\admin",
        "/%5c",
        "/a%5Cb",
        "/..%5cadmin",
        "/a/..%5c..%5cadmin",
        "/\\..\\admin",
        // Nul, other control bytes and blanks.
        "/%00",
        "/admin%00.png",
        "/a\0b",
        "/%0a",
        "/%0d%0aSet-Cookie:x",
        "/a\r\nb",
        "/a\tb",
        "/%09",
        "/%7f",
        "/\u{7f}",
        "/a b",
        " /a",
        "/a ",
        "/..%00/admin",
        "/..%09/admin",
        "/%1f",
        // Broken and foreign escapes.
        "/%",
        "/a%",
        "/%2",
        "/%g0",
        "/%0g",
        "/%%32e",
        "/%u002e",
        "/%u2216",
        "/a%2",
        "/%-1",
        "/%+1",
        "/% 1",
        // Overlong UTF-8: dots and slashes in disguise.
        "/%c0%ae%c0%ae/admin",
        "/%C0%AF",
        "/%c1%9c",
        "/%e0%80%ae",
        "/%e0%80%af/x",
        "/%f0%80%80%ae",
        "/a%c0%2e%c0%80",
    ];

    #[test]
    fn bypass_spellings_are_refused() {
        for raw in REFUSED {
            assert_eq!(Deciding::of(raw.as_bytes()), Err(Malformed::Path), "{raw:?}");
        }
        for raw in [&b"/\xc0\xae"[..], b"/\xc0\xaf", b"/%c0\xae", b"/\xe0\x80\xaf"] {
            assert_eq!(Deciding::of(raw), Err(Malformed::Path), "{raw:?}");
        }
    }

    #[test]
    fn an_encoded_slash_is_told_and_stays_in_its_segment() {
        for (raw, deciding) in
            [("/a%2fb", "/a%2Fb"), ("/a%2Fb", "/a%2Fb"), ("/%2f", "/%2F"), ("/a%2f%2Fb/c", "/a%2F%2Fb/c")]
        {
            let found = Deciding::of(raw.as_bytes()).unwrap();
            assert_eq!((found.as_str(), found.has_encoded_slash()), (deciding, true), "{raw}");
        }
    }

    #[test]
    fn a_slash_that_was_taken_away_again_still_counts() {
        assert!(Deciding::of(b"/a%2fb/../c").unwrap().has_encoded_slash());
    }

    #[test]
    fn a_usual_path_is_borrowed() {
        for raw in ["/", "/index.html", "/api/v1/users/42", "/a%20b/caf%C3%A9", "/a;v=1/@x:y", "/x/"] {
            assert!(matches!(Deciding::of(raw.as_bytes()).unwrap().path, Cow::Borrowed(_)), "{raw}");
        }
    }

    /// Random paths of the pieces that matter.
    fn random_path(random: &mut fastrand::Rng) -> Vec<u8> {
        const PIECES: &[&str] = &[
            "/", "/", "/", ".", ".", "..", "a", "b", "%2e", "%2F", "%2f", ";", "%3b", "%25", "%61", "%C3%A9", "\u{e9}",
            "%c0", "%80", "\\", "%", "|", "%7C", "2e", "/..", "/./",
        ];
        let mut path = b"/".to_vec();
        for _ in 0..random.usize(0..9) {
            path.extend_from_slice(PIECES[random.usize(0..PIECES.len())].as_bytes());
        }
        path
    }

    #[test]
    fn deciding_twice_changes_nothing_and_the_short_way_agrees_with_the_long_one() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut accepted = 0;
        for _ in 0..60_000 {
            let raw = random_path(&mut random);
            let found = Deciding::of(&raw);
            assert_eq!(found, normalise(&raw), "{raw:?}");
            let Ok(found) = found else { continue };
            let text = found.as_str();
            accepted += 1;
            assert!(text.starts_with('/') && text.is_ascii() && !text.contains("//"), "{raw:?} {text}");
            assert!(!text.split('/').any(|segment| matches!(segment, "." | "..")), "{raw:?} {text}");
            assert_eq!(Deciding::of(text.as_bytes()).as_ref().map(Deciding::as_str), Ok(text), "{raw:?}");
        }
        assert!(accepted > 5_000, "{accepted}");
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50_000 {
            let raw: Vec<u8> = std::iter::once(b'/').chain((0..random.usize(0..12)).map(|_| random.u8(..))).collect();
            assert_eq!(Deciding::of(&raw), normalise(&raw), "{raw:?}");
        }
    }
}
