//! Reads frame headers (RFC 9113 §4.1) as they pass by, without touching the frames: what `h2` does not count can be counted.

/// The client's first bytes (RFC 9113 §3.4).
pub(super) const PREFACE: usize = 24;

const HEADER: usize = 9;

/// The types of frames that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the type of RFC 9113 §6 that its name says")]
pub enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Any other; to be ignored (RFC 9113 §5.5).
    Other,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its type.
    pub kind: Kind,
    /// Bytes of payload.
    pub length: usize,
    /// The stream it belongs to; 0 is the connection.
    pub stream: u32,
    flags: u8,
}

/// What passes by.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// The header of a frame.
    Frame(Frame),
    /// More of the payload of the frame before.
    Payload(&'a [u8]),
}

impl Frame {
    fn parse(header: [u8; HEADER]) -> Self {
        let kind = match header[3] {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::Reset,
            4 => Kind::Settings,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Other,
        };
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
        Self { kind, length, stream, flags: header[4] }
    }

    /// DATA: the last of its stream. HEADERS: of a message without a body.
    pub(super) fn ends_stream(self) -> bool {
        self.flags & 1 != 0
    }

    /// SETTINGS and PING: the answer to one of ours.
    pub(super) fn is_ack(self) -> bool {
        self.flags & 1 != 0
    }

    /// HEADERS: the payload begins with the length of the padding at its end.
    pub(super) fn is_padded(self) -> bool {
        self.flags & 8 != 0
    }

    /// HEADERS: a priority of five bytes stands before the block.
    pub(super) fn has_priority(self) -> bool {
        self.flags & 0x20 != 0
    }

    /// HEADERS and CONTINUATION: the last of its header block.
    fn ends_headers(self) -> bool {
        self.flags & 4 != 0
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Frames {
    header: [u8; HEADER],
    filled: usize,
    /// Bytes up to the next frame header.
    left: usize,
    /// They are the preface's.
    preface: bool,
    current: Kind,
    block: bool,
}

impl Frames {
    /// A direction that begins with `preface` bytes which are no frame.
    pub fn after(preface: usize) -> Self {
        Self { header: [0; HEADER], filled: 0, left: preface, preface: preface > 0, current: Kind::Other, block: false }
    }

    /// Looks at the next bytes and tells `each` frame that begins among them, and its payload as it comes.
    pub fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(Seen<'_>)) {
        while !bytes.is_empty() {
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= payload.len();
            if !payload.is_empty() && !self.preface {
                each(Seen::Payload(payload));
            }
            self.preface &= self.left > 0;
            bytes = rest;
            let take = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
            if self.filled == HEADER {
                let frame = Frame::parse(self.header);
                (self.filled, self.left, self.current) = (0, frame.length, frame.kind);
                if matches!(frame.kind, Kind::Headers | Kind::Continuation) {
                    self.block = !frame.ends_headers();
                }
                each(Seen::Frame(frame));
            }
        }
    }

    /// Whether a header block or a frame other than DATA has begun and not ended: nothing else can come before its end.
    pub(super) fn is_within_block(&self) -> bool {
        self.block || self.filled > 0 || (self.left > 0 && self.current != Kind::Data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A preface, SETTINGS, HEADERS without their end, CONTINUATION with it, empty DATA.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![b'P'; PREFACE];
        for (length, kind, flags) in [(6u8, 4, 0), (3, 1, 0), (2, 9, 4), (0, 0, 0), (4, 200, 0)] {
            bytes.extend([0, 0, length, kind, flags, 0, 0, 0, 1]);
            bytes.extend(vec![0xff; usize::from(length)]);
        }
        bytes
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = sample();
        for size in 1..bytes.len() {
            let (mut frames, mut kinds, mut payload) = (Frames::after(PREFACE), Vec::new(), 0);
            bytes.chunks(size).for_each(|piece| {
                frames.pass(piece, |seen| match seen {
                    Seen::Frame(frame) => kinds.push((frame.kind, frame.length)),
                    Seen::Payload(bytes) => payload += bytes.len(),
                });
            });
            let expected =
                [(Kind::Settings, 6), (Kind::Headers, 3), (Kind::Continuation, 2), (Kind::Data, 0), (Kind::Other, 4)];
            assert_eq!((kinds, payload), (expected.to_vec(), 15), "in pieces of {size}");
            assert!(!frames.is_within_block());
        }
    }

    #[test]
    fn a_block_is_open_until_its_last_byte() {
        let bytes = sample();
        let begin = PREFACE + 9 + 6;
        let end = begin + 9 + 3 + 9 + 2;
        for count in PREFACE + 9 + 6..bytes.len() {
            let mut frames = Frames::after(PREFACE);
            frames.pass(&bytes[..count], |_| ());
            if count > begin && count < end {
                assert!(frames.is_within_block(), "after {count} bytes");
            }
            if count == begin || count == end || count == end + 9 {
                assert!(!frames.is_within_block(), "after {count} bytes");
            }
        }
    }
}
