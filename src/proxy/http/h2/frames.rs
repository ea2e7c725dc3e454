//! Reads frame headers (RFC 9113 §4.1) as they pass by, without touching the frames: what `h2` does not count can be counted.

/// The client's first bytes (RFC 9113 §3.4).
pub(super) const PREFACE: usize = 24;

const HEADER: usize = 9;

/// The types of frames that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Bytes of payload.
    pub(super) length: usize,
    flags: u8,
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
        Self { kind, length, flags: header[4] }
    }

    /// DATA: the last of its stream. HEADERS: of a message without a body.
    pub(super) fn ends_stream(self) -> bool {
        self.flags & 1 != 0
    }

    /// SETTINGS and PING: the answer to one of ours.
    pub(super) fn is_ack(self) -> bool {
        self.flags & 1 != 0
    }

    /// HEADERS and CONTINUATION: the last of its header block.
    fn ends_headers(self) -> bool {
        self.flags & 4 != 0
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; HEADER],
    filled: usize,
    /// Bytes up to the next frame header.
    left: usize,
    current: Kind,
    block: bool,
}

impl Frames {
    /// A direction that begins with `preface` bytes which are no frame.
    pub(super) fn after(preface: usize) -> Self {
        Self { header: [0; HEADER], filled: 0, left: preface, current: Kind::Other, block: false }
    }

    /// Looks at the next bytes and tells `each` frame that begins among them.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let payload = self.left.min(bytes.len());
            self.left -= payload;
            bytes = &bytes[payload..];
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
                each(frame);
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
            let (mut frames, mut kinds) = (Frames::after(PREFACE), Vec::new());
            bytes.chunks(size).for_each(|piece| frames.pass(piece, |frame| kinds.push((frame.kind, frame.length))));
            let expected =
                [(Kind::Settings, 6), (Kind::Headers, 3), (Kind::Continuation, 2), (Kind::Data, 0), (Kind::Other, 4)];
            assert_eq!(kinds, expected, "in pieces of {size}");
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
