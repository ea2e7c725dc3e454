//! Where the frames of one direction of a WebSocket end (RFC 6455 §5.2). Nothing of them is decoded: it is only known when a frame
//! of our own may come between two of theirs.

/// The longest header: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;

/// A close frame of a server, status 1001: going away (RFC 6455 §7.4.1).
pub const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// The same of a client. Its mask is zero: it hides nothing from anybody, and nobody's bytes are in it.
pub const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Boundary {
    header: [u8; LONGEST],
    filled: usize,
    /// Bytes of payload up to the next header.
    left: u64,
}

impl Boundary {
    /// Looks at the next bytes.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let payload = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= payload as u64;
            bytes = &bytes[payload..];
            let Some((byte, rest)) = bytes.split_first() else { return };
            self.header[self.filled] = *byte;
            self.filled += 1;
            bytes = rest;
            if let Some(left) = self.length() {
                (self.filled, self.left) = (0, left);
            }
        }
    }

    /// Whether a whole frame has ended and no other has begun.
    pub fn is_between(&self) -> bool {
        self.filled == 0 && self.left == 0
    }

    /// The length of the payload, where the header is complete.
    fn length(&self) -> Option<u64> {
        let header = &self.header[..self.filled];
        let [_, second, rest @ ..] = header else { return None };
        let mask = if second & 0x80 != 0 { 4 } else { 0 };
        let (size, length) = match second & 0x7f {
            126 => (2, rest.get(..2)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))),
            127 => (8, rest.get(..8)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))),
            short => (0, u64::from(short)),
        };
        (rest.len() >= size + mask).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a payload of that length.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match length {
            0..=125 => bytes.push(mask | length as u8),
            126..=0xffff => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0xff; if masked { 4 } else { 0 } + length]);
        bytes
    }

    #[test]
    fn ends_are_found_however_the_bytes_are_cut() {
        for masked in [false, true] {
            let frames: Vec<_> = [0, 1, 125, 126, 70_000, 0].iter().map(|length| frame(*length, masked)).collect();
            let ends: Vec<usize> = frames
                .iter()
                .scan(0, |at, frame| {
                    *at += frame.len();
                    Some(*at)
                })
                .collect();
            let bytes = frames.concat();
            for size in [1, 2, 3, 7, 1_000, bytes.len()] {
                let (mut boundary, mut at) = (Boundary::default(), 0);
                for piece in bytes.chunks(size) {
                    boundary.pass(piece);
                    at += piece.len();
                    assert_eq!(boundary.is_between(), ends.contains(&at), "after {at} in pieces of {size}");
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut boundary = Boundary::default();
        for _ in 0..1_000 {
            let piece: Vec<u8> = (0..random.usize(..50)).map(|_| random.u8(..)).collect();
            boundary.pass(&piece);
        }
    }

    #[test]
    fn the_close_frames_are_whole_frames() {
        for frame in [&GOING_AWAY[..], &GOING_AWAY_MASKED] {
            let mut boundary = Boundary::default();
            boundary.pass(frame);
            assert!(boundary.is_between());
        }
    }
}
