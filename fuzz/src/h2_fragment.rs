//! Fragments in `:path` are found in header blocks as a decoder would find them, however the blocks are written and cut.

use portcullis::proxy::http::h2::fragment::Fragments;
use portcullis::proxy::http::h2::frames::{Frames, Kind, Seen};

/// The first byte says in which pieces the rest arrives, the second whether it is frames already or the fields to write.
pub fn run(bytes: &[u8]) {
    let [step, mode, rest @ ..] = bytes else { return };
    let step = usize::from(*step).max(1);
    if mode % 4 == 0 {
        // Whatever it is, it is the same in pieces; in none of them is it more than one at a time.
        assert_eq!(found(rest, step), found(rest, rest.len().max(1)));
        return;
    }
    let mut encoder = Encoder::default();
    rest.chunks(4).for_each(|operation| encoder.field(operation));
    encoder.end_block(0);
    assert_eq!(found(&encoder.bytes, step), encoder.expected, "{} in pieces of {step}", encoder.bytes.escape_ascii());
}

/// Which header blocks have a fragment, by number.
fn found(bytes: &[u8], step: usize) -> Vec<usize> {
    let (mut frames, mut fragments) = (Frames::after(0), Fragments::default());
    let (mut blocks, mut found) = (0, Vec::new());
    let mut reads = false;
    for piece in bytes.chunks(step) {
        frames.pass(piece, |seen| match seen {
            Seen::Frame(frame) => {
                reads = matches!(frame.kind, Kind::Headers | Kind::Continuation);
                match frame.kind {
                    Kind::Headers => {
                        blocks += 1;
                        fragments.headers(frame);
                    }
                    Kind::Continuation => fragments.continuation(frame),
                    _ => {}
                }
            }
            Seen::Payload(payload) if reads => {
                if fragments.payload(payload) && found.last() != Some(&blocks) {
                    found.push(blocks);
                }
            }
            Seen::Payload(_) => {}
        });
    }
    found
}

/// Writes header blocks (RFC 7541) and knows what is in them.
#[derive(Default)]
struct Encoder {
    bytes: Vec<u8>,
    block: Vec<u8>,
    /// The entries of the dynamic table, newest first: whether it is `:path`, whether that has a fragment, and its size.
    table: Vec<(bool, bool, usize)>,
    blocks: usize,
    marked: bool,
    /// The blocks that have a fragment.
    expected: Vec<usize>,
}

/// The size of the dynamic table (RFC 7541 §4.1).
const TABLE: usize = 4096;

/// Names that are written out.
const NAMES: [&[u8]; 4] = [b":path", b"x", b":pathx", b"a0%a/"];

/// Octets that values are made of, and their Huffman codes (RFC 7541 Appendix B) with the lengths.
const OCTETS: [(u8, u32, u32); 16] = [
    (b'0', 0x0, 5),
    (b'a', 0x3, 5),
    (b'%', 0x15, 6),
    (b'/', 0x18, 6),
    (b':', 0x5c, 7),
    (b'&', 0xf8, 8),
    (b'!', 0x3f8, 10),
    (b'?', 0x3fc, 10),
    (b'|', 0x7fc, 11),
    (b'#', 0xffa, 12),
    (b'>', 0xffb, 12),
    (b'$', 0x1ff9, 13),
    (b'p', 0x2b, 6),
    (b't', 0x9, 5),
    (b'h', 0x27, 6),
    (b'x', 0x79, 7),
];

impl Encoder {
    /// How it is written, which name it has, and its value: two bytes that say what it repeats, and how often.
    fn field(&mut self, operation: &[u8]) {
        let [how, name, value, times] = *operation else { return };
        match how % 8 {
            0 => return self.end_block(name),
            1 => return self.number(0x20, 5, TABLE),
            2 if !self.table.is_empty() => {
                let index = usize::from(name) % self.table.len();
                self.marked |= self.table[index].0 && self.table[index].1;
                return self.number(0x80, 7, 62 + index);
            }
            _ => {}
        }
        let octets = [value % 16, value / 16].map(|index| OCTETS[usize::from(index)].0);
        let value: Vec<u8> = octets.into_iter().cycle().take(usize::from(times) % 140).collect();
        let (kept, first, bits) = if how & 0x10 != 0 { (true, 0x40, 6) } else { (false, how & 0x10, 4) };
        let (path, length) = self.name(name, (first, bits), how & 0x20 != 0);
        self.string(&value, how & 0x40 != 0);
        let marked = path && value.contains(&b'#');
        self.marked |= marked;
        if kept {
            self.table.insert(0, (path, marked, length + value.len() + 32));
            while self.table.iter().map(|entry| entry.2).sum::<usize>() > TABLE {
                self.table.pop();
            }
        }
    }

    /// Writes a name: of the static table, of the dynamic one, or in full. Whether it is `:path`, and its length.
    fn name(&mut self, name: u8, (first, bits): (u8, u32), huffman: bool) -> (bool, usize) {
        match name % 8 {
            // `:path` is the fourth and the fifth, `:method` the second, `www-authenticate` the last.
            index @ (0..=3) => {
                let (index, length) = [(4, 5), (5, 5), (2, 7), (61, 16)][usize::from(index)];
                self.number(first, bits, index);
                (matches!(index, 4 | 5), length)
            }
            4 if !self.table.is_empty() => {
                let index = usize::from(name) / 8 % self.table.len();
                self.number(first, bits, 62 + index);
                (self.table[index].0, 5)
            }
            index => {
                let text = NAMES[usize::from(index) % NAMES.len()];
                self.number(first, bits, 0);
                self.string(text, huffman);
                (text == b":path", text.len())
            }
        }
    }

    /// A number behind a prefix (RFC 7541 §5.1).
    fn number(&mut self, first: u8, bits: u32, number: usize) {
        let most = (1 << bits) - 1;
        if number < most {
            return self.block.push(first | number as u8);
        }
        self.block.push(first | most as u8);
        let mut rest = number - most;
        while rest >= 0x80 {
            self.block.push(rest as u8 & 0x7f | 0x80);
            rest >>= 7;
        }
        self.block.push(rest as u8);
    }

    /// A string (RFC 7541 §5.2).
    fn string(&mut self, text: &[u8], huffman: bool) {
        if !huffman {
            self.number(0, 7, text.len());
            return self.block.extend_from_slice(text);
        }
        let (mut coded, mut waiting, mut count) = (Vec::new(), 0u64, 0);
        for octet in text {
            let (_, code, length) = *OCTETS.iter().find(|known| known.0 == *octet).unwrap();
            (waiting, count) = (waiting << length | u64::from(code), count + length);
            while count >= 8 {
                count -= 8;
                coded.push((waiting >> count) as u8);
            }
        }
        if count > 0 {
            coded.push((waiting << (8 - count)) as u8 | (0xff >> count));
        }
        self.number(0x80, 7, coded.len());
        self.block.extend_from_slice(&coded);
    }

    /// Writes the block as frames: with padding, with a priority, in one frame or two.
    fn end_block(&mut self, how: u8) {
        let block = std::mem::take(&mut self.block);
        self.blocks += 1;
        if std::mem::take(&mut self.marked) {
            self.expected.push(self.blocks);
        }
        let cut = if how & 1 != 0 { usize::from(how >> 3) % (block.len() + 1) } else { block.len() };
        let (front, back) = block.split_at(cut);
        let padding = if how & 2 != 0 { usize::from(how >> 4) } else { 0 };
        let mut payload = Vec::new();
        payload.extend((how & 2 != 0).then_some(padding as u8));
        payload.extend_from_slice(if how & 4 != 0 { &[0, 0, 0, 0, 7] } else { &[] });
        payload.extend_from_slice(front);
        payload.extend(std::iter::repeat_n(0x04, padding));
        let flags =
            if how & 1 == 0 { 4 } else { 0 } | if how & 2 != 0 { 8 } else { 0 } | if how & 4 != 0 { 0x20 } else { 0 };
        self.frame(1, flags, &payload);
        if how & 1 != 0 {
            self.frame(9, 4, back);
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let stream = (self.blocks as u32 * 2 + 1).to_be_bytes();
        self.bytes.extend_from_slice(&length[1..]);
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&stream);
        self.bytes.extend_from_slice(payload);
    }
}
