//! Finds a fragment in `:path`. The `http` crate, which `h2` makes a request with, cuts it off without a word, so it is looked
//! for in the header blocks (RFC 7541) as they pass by.
//!
//! Nothing is decoded but the value of `:path` and new names that may be it. Of the dynamic table two bits an entry are kept:
//! an index counts from the newest entry, and what was evicted is not referred to, or `h2` ends the connection.

use super::frames::Frame;
use super::huffman::Huffman;

/// `:path` as a plain string and as a Huffman-coded one (RFC 7541 Appendix B), before its padding.
const PATH: [&[u8]; 2] = [b":path", &[0xb9, 0x58, 0xd3, 0x3f]];

/// The indices of `:path` in the static table (RFC 7541 Appendix A).
const STATIC: [usize; 2] = [4, 5];

/// The first index of the dynamic table.
const DYNAMIC: usize = 62;

/// How a HEADERS frame begins before its block: with padding, its length; with a priority, five bytes.
const PRIORITY: u32 = 5;

/// The reader of one connection's header blocks.
#[derive(Debug, Default)]
pub struct Fragments {
    /// What the frame begins with and is not of the block.
    prelude: Prelude,
    /// Bytes of the frame that are left, padding not counted.
    left: usize,
    step: Step,
    /// The field being read is `:path`.
    path: bool,
    /// It goes into the dynamic table.
    kept: bool,
    /// It has a `#` in its value.
    marked: bool,
    /// The dynamic table, newest entry lowest: which are `:path`, and which of them have a fragment. Of 32 bytes an entry at
    /// least, 128 fit into the 4,096 bytes that a client may use.
    paths: u128,
    marks: u128,
}

#[derive(Debug, Default)]
struct Prelude {
    padded: bool,
    priority: u32,
    stream: u32,
    dependency: u32,
}

#[derive(Debug, Default)]
enum Step {
    /// At the first byte of a field.
    #[default]
    Field,
    /// Within a number (RFC 7541 §5.1).
    Number { of: Number, value: usize, shift: u32 },
    /// At the length of a string.
    Length { of: Text },
    /// Within a string.
    String { of: Text, left: usize, huffman: bool, at: usize, reading: Huffman },
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Field,
    Name,
    TableSize,
    Length { of: Text, huffman: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Name,
    Value,
}

impl Fragments {
    /// A HEADERS frame begins.
    pub fn headers(&mut self, frame: Frame) {
        let priority = if frame.has_priority() { PRIORITY } else { 0 };
        self.prelude = Prelude { padded: frame.is_padded(), priority, stream: frame.stream, dependency: 0 };
        self.left = frame.length;
        self.step = Step::Field;
    }

    /// A CONTINUATION frame begins.
    pub fn continuation(&mut self, frame: Frame) {
        self.left = frame.length;
    }

    /// More of the frame's payload. Whether it has the end of a `:path` with a fragment.
    pub fn payload(&mut self, mut bytes: &[u8]) -> bool {
        while (self.prelude.padded || self.prelude.priority > 0) && !bytes.is_empty() {
            self.left = self.left.saturating_sub(1);
            self.begin(bytes[0]);
            bytes = &bytes[1..];
        }
        let mut bytes = &bytes[..bytes.len().min(self.left)];
        self.left -= bytes.len();
        let mut found = false;
        while let [first, rest @ ..] = bytes {
            bytes = if matches!(self.step, Step::String { .. }) {
                self.string(bytes, &mut found)
            } else {
                found |= self.byte(*first);
                rest
            };
        }
        found
    }

    /// A byte before the block.
    fn begin(&mut self, byte: u8) {
        let prelude = &mut self.prelude;
        if std::mem::take(&mut prelude.padded) {
            self.left = self.left.saturating_sub(usize::from(byte));
            return;
        }
        prelude.priority -= 1;
        if prelude.priority > 0 {
            prelude.dependency = prelude.dependency << 8 | u32::from(byte);
        } else if prelude.dependency & (u32::MAX >> 1) == prelude.stream {
            // `h2` resets such a stream without reading its block.
            self.left = 0;
        }
    }

    /// A byte that is not within a string. Whether a `:path` with a fragment ends with it.
    fn byte(&mut self, byte: u8) -> bool {
        let (of, value, prefix) = match &mut self.step {
            Step::Number { of, value, shift } => {
                // What does not fit is an error that ends the connection.
                let more = usize::from(byte & 0x7f).checked_shl(*shift).unwrap_or(usize::MAX / 2);
                (*value, *shift) = (value.saturating_add(more), shift.saturating_add(7));
                let (of, value) = (*of, *value);
                return byte < 0x80 && self.number(of, value);
            }
            Step::Length { of } => (Number::Length { of: *of, huffman: byte & 0x80 != 0 }, byte & 0x7f, 0x7f),
            Step::Field | Step::String { .. } => {
                (self.path, self.marked, self.kept) = (false, false, matches!(byte, 0x40..=0x7f));
                match byte {
                    0x80.. => (Number::Field, byte & 0x7f, 0x7f),
                    0x40.. => (Number::Name, byte & 0x3f, 0x3f),
                    0x20.. => (Number::TableSize, byte & 0x1f, 0x1f),
                    _ => (Number::Name, byte & 0x0f, 0x0f),
                }
            }
        };
        if value < prefix {
            return self.number(of, usize::from(value));
        }
        self.step = Step::Number { of, value: usize::from(value), shift: 0 };
        false
    }

    /// A number is whole.
    fn number(&mut self, of: Number, value: usize) -> bool {
        let entry = |table: u128| value >= DYNAMIC && table.checked_shr((value - DYNAMIC) as u32).unwrap_or(0) & 1 != 0;
        match of {
            Number::Field => {
                self.step = Step::Field;
                return entry(self.marks);
            }
            Number::TableSize => self.step = Step::Field,
            Number::Name => {
                self.path = STATIC.contains(&value) || entry(self.paths);
                self.step = Step::Length { of: if value == 0 { Text::Name } else { Text::Value } };
            }
            Number::Length { of, huffman } => {
                if of == Text::Name {
                    self.path = value >= PATH[usize::from(huffman)].len() && (huffman || value == PATH[0].len());
                }
                self.step = Step::String { of, left: value, huffman, at: 0, reading: Huffman::default() };
                if value == 0 {
                    return self.end(of);
                }
            }
        }
        false
    }

    /// Some of a string; what follows it.
    fn string<'a>(&mut self, bytes: &'a [u8], found: &mut bool) -> &'a [u8] {
        let Step::String { of, left, huffman, at, reading } = &mut self.step else { return bytes };
        let (piece, rest) = bytes.split_at(bytes.len().min(*left));
        match *of {
            Text::Value if !self.path => {}
            Text::Value if *huffman => self.marked |= reading.finds_hash(piece),
            Text::Value => self.marked |= memchr::memchr(b'#', piece).is_some(),
            Text::Name => {
                let wanted = PATH[usize::from(*huffman)];
                // Padding is ones.
                let fits = |(place, byte)| *wanted.get(*at + place).unwrap_or(&0xff) == byte;
                self.path = self.path && piece.iter().copied().enumerate().all(fits);
            }
        }
        *left -= piece.len();
        *at += piece.len();
        if *left == 0 {
            let of = *of;
            *found |= self.end(of);
        }
        rest
    }

    /// A string is whole.
    fn end(&mut self, of: Text) -> bool {
        if of == Text::Name {
            self.step = Step::Length { of: Text::Value };
            return false;
        }
        if self.kept {
            self.paths = self.paths << 1 | u128::from(self.path);
            self.marks = self.marks << 1 | u128::from(self.marked);
        }
        self.step = Step::Field;
        self.marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::h2::frames::{Frames, Seen};

    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    /// How many fragments are found, the bytes coming in pieces of `size`.
    fn found(bytes: &[u8], size: usize) -> usize {
        let (mut frames, mut fragments, mut count) = (Frames::after(0), Fragments::default(), 0);
        for piece in bytes.chunks(size) {
            frames.pass(piece, |seen| match seen {
                Seen::Frame(frame) if frame.kind == super::super::frames::Kind::Headers => fragments.headers(frame),
                Seen::Frame(frame) => fragments.continuation(frame),
                Seen::Payload(bytes) => count += usize::from(fragments.payload(bytes)),
            });
        }
        count
    }

    fn finds(blocks: &[&[u8]]) -> usize {
        let bytes: Vec<u8> = blocks.iter().flat_map(|block| frame(HEADERS, 4, block)).collect();
        let whole = found(&bytes, bytes.len());
        for size in 1..bytes.len() {
            assert_eq!(found(&bytes, size), whole, "in pieces of {size}");
        }
        whole
    }

    fn literal(first: u8, texts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![first];
        for text in texts {
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text);
        }
        bytes
    }

    #[test]
    fn a_fragment_is_found_however_the_path_is_spelled() {
        let huffman = [0x04, 0x83, 0x63, 0xfe, 0xbf];
        for block in [
            literal(0x04, &[b"/a#b"]),
            literal(0x15, &[b"/#"]),
            literal(0x44, &[b"#"]),
            literal(0x00, &[b":path", b"/a#"]),
            [&[0x00, 0x84, 0xb9, 0x58, 0xd3, 0x3f][..], &literal(2, &[b"/#"])[1..]].concat(),
            huffman.to_vec(),
        ] {
            assert_eq!(finds(&[&block]), 1, "{block:x?}");
            assert_eq!(finds(&[&[&[0x82, 0x87, 0x84], &block[..]].concat()]), 1, "behind others: {block:x?}");
        }
    }

    #[test]
    fn a_hash_elsewhere_is_none() {
        for block in [
            literal(0x04, &[b"/a?b"]),
            literal(0x0f, &[b""]),
            literal(0x00, &[b"x", b"/a#"]),
            literal(0x00, &[b":pathx", b"/a#"]),
            literal(0x40, &[b"", b"#"]),
            vec![0x0f, 0x24, 2, b'#', b'#'],
            vec![0x3f, 0xe1, 0x1f, 0x82],
        ] {
            assert_eq!(finds(&[&block]), 0, "{block:x?}");
        }
    }

    #[test]
    fn the_dynamic_table_is_followed() {
        let (marked, plain, other) = (literal(0x44, &[b"/#"]), literal(0x44, &[b"/a"]), literal(0x40, &[b"x", b"#"]));
        assert_eq!(finds(&[&marked, &[0xbe]]), 2, "the same field again");
        assert_eq!(finds(&[&marked, &plain, &other, &[0xc0], &[0xbf], &[0xbe]]), 2, "two entries in front of it");
        let name = literal(0x7e, &[b"/#"]);
        assert_eq!(finds(&[&plain, &name]), 1, "the name of an entry");
        assert_eq!(finds(&[&other, &name]), 0, "the name of another");
        assert_eq!(finds(&[&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]]), 0, "an index that nothing has");
    }

    #[test]
    fn what_frames_add_to_a_block_is_left_out() {
        let field = literal(0x04, &[b"/#"]);
        let padded = [&[2][..], &field, &[0x04, 0x01]].concat();
        let with_priority = [&[0, 0, 0, 3, 0][..], &field].concat();
        let both = [&[1, 0x80, 0, 0, 3, 0][..], &field, &[0x04]].concat();
        let cut =
            [frame(HEADERS, 0, &field[..2]), frame(CONTINUATION, 0, &[]), frame(CONTINUATION, 4, &field[2..])].concat();
        let itself = [&[0, 0, 0, 1, 0][..], &field].concat();
        for (bytes, expected) in [
            (frame(HEADERS, 4 | 8, &padded), 1),
            (frame(HEADERS, 4 | 0x20, &with_priority), 1),
            (frame(HEADERS, 4 | 0x28, &both), 1),
            (cut, 1),
            (frame(HEADERS, 4 | 0x20, &itself), 0),
        ] {
            for size in 1..=bytes.len() {
                assert_eq!(found(&bytes, size), expected, "{bytes:x?} in pieces of {size}");
            }
        }
    }
}
