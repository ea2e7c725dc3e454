//! Reads Huffman-coded strings (RFC 7541 §5.2) for one character, without decoding them.

/// How many codes there are of each length that there is (RFC 7541 Appendix B). The codes of one length follow each other, and
/// those of the next begin behind them.
const LENGTHS: [(u32, u64); 21] = [
    (5, 10),
    (6, 26),
    (7, 32),
    (8, 6),
    (10, 5),
    (11, 3),
    (12, 2),
    (13, 6),
    (14, 2),
    (15, 3),
    (19, 3),
    (20, 8),
    (21, 13),
    (22, 26),
    (23, 29),
    (24, 12),
    (25, 4),
    (26, 15),
    (27, 19),
    (28, 29),
    (30, 4),
];

/// `#` is the first code of twelve bits.
const HASH: (u32, u64) = (12, 0xffa);

/// Codes are compared as the first bits of so many.
const WINDOW: u32 = 32;

/// Each length, with what is greater than all of its codes.
const ENDS: [(u32, u64); 21] = ends();

const fn ends() -> [(u32, u64); 21] {
    let (mut ends, mut code, mut before, mut at) = (LENGTHS, 0, 0, 0);
    while at < LENGTHS.len() {
        let (length, count) = LENGTHS[at];
        code = (code << (length - before)) + count;
        ends[at] = (length, code << (WINDOW - length));
        before = length;
        at += 1;
    }
    ends
}

/// Where the reader is in a string.
#[derive(Debug, Default)]
pub(super) struct Huffman {
    /// Bits that are no whole code yet, the last ones lowest.
    bits: u64,
    count: u32,
}

impl Huffman {
    /// Whether a `#` ends in the string's next bytes.
    pub(super) fn finds_hash(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        for byte in bytes {
            // Never more than 29 bits wait for the rest of their code.
            (self.bits, self.count) = (self.bits << 8 | u64::from(*byte), self.count + 8);
            while let Some((length, code)) = self.code() {
                found |= (length, code) == HASH;
                self.count -= length;
            }
            self.bits &= (1 << self.count) - 1;
        }
        found
    }

    /// The next code, where it is whole.
    fn code(&self) -> Option<(u32, u64)> {
        let unread = self.bits & ((1 << self.count) - 1);
        let window =
            if self.count > WINDOW { unread >> (self.count - WINDOW) } else { unread << (WINDOW - self.count) };
        let (length, _) = *ENDS.iter().find(|(_, end)| window < *end)?;
        (length <= self.count).then_some((length, window >> (WINDOW - length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_fill_the_tree() {
        assert_eq!(LENGTHS.iter().map(|(_, count)| count).sum::<u64>(), 257);
        assert_eq!(ENDS[20].1, 1 << WINDOW);
        let twelve = ENDS.iter().position(|(length, _)| *length == HASH.0).unwrap();
        assert_eq!(ENDS[twelve].1 >> (WINDOW - HASH.0), HASH.1 + 2);
        assert_eq!(ENDS[twelve - 1].1 >> (WINDOW - HASH.0), HASH.1);
    }

    /// Strings of RFC 7541 Appendix C.4 and C.6, none with a `#`.
    #[test]
    fn ordinary_strings_have_none() {
        for coded in [
            &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..],
            &[0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3],
        ] {
            assert!(!Huffman::default().finds_hash(coded));
        }
    }

    #[test]
    fn a_hash_is_found_wherever_its_bits_begin() {
        // `0` is five zeros.
        for zeros in 0..40_u32 {
            let mut bits = "00000".repeat(zeros as usize) + "111111111010" + &"00000".repeat(3);
            while !bits.len().is_multiple_of(8) {
                bits.push('1');
            }
            let coded: Vec<u8> =
                (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap()).collect();
            for size in 1..=coded.len() {
                let mut reading = Huffman::default();
                assert_eq!(coded.chunks(size).filter(|piece| reading.finds_hash(piece)).count(), 1, "after {zeros}");
            }
        }
    }
}
