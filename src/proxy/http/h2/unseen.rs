//! Streams that the client has opened and the gateway has not been given yet, and what `h2` does with them of its own accord:
//! what it resets or answers itself has no exchange that would tell of it.

use std::collections::VecDeque;

use h2::Reason;

use super::frames::{Frame, Kind, Seen};
use crate::proxy::fault::{Fault, Malformed};

/// The most streams that are kept track of. Far more than can be open.
const MOST: usize = 2_048;

/// What a GOAWAY says that leaves open which stream will have been the last one.
const ANY: u32 = 0x7fff_ffff;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Opened and neither accepted nor refused, in the order they were opened.
    opened: VecDeque<Opened>,
    /// The last one that was opened.
    last: u32,
    /// The error frame whose code is being read, how much of its payload has come, and what it says so far.
    sending: Option<(Frame, usize, u64)>,
    /// The last stream that is served; none before the final GOAWAY.
    served: Option<u32>,
    /// What `h2` refused and nobody has told of.
    pub(super) refused: Vec<Fault>,
    /// Why `h2` ends the connection.
    pub(super) ended: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    stream: u32,
    fragment: bool,
}

impl Unseen {
    /// The client sends HEADERS, which open a stream or end it with trailers. False where `h2` ignores them: they open one after it
    /// was told that no more are served.
    #[must_use]
    pub(super) fn headers(&mut self, stream: u32) -> bool {
        if self.served.is_some_and(|served| stream > served) {
            return false;
        }
        if stream <= self.last {
            return true;
        }
        self.last = stream;
        if self.opened.len() >= MOST {
            self.opened.pop_front();
        }
        self.opened.push_back(Opened { stream, fragment: false });
        true
    }

    /// The `:path` of the block that is being read has a fragment.
    pub(super) fn mark(&mut self, stream: u32) {
        if let Some(opened) = self.opened.back_mut().filter(|opened| opened.stream == stream) {
            opened.fragment = true;
        }
    }

    /// A stream is given to the gateway. Whether its `:path` had a fragment.
    pub(super) fn accept(&mut self, stream: u32) -> bool {
        self.remove(stream).is_some_and(|opened| opened.fragment)
    }

    /// What `h2` sends.
    pub(super) fn sent(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Frame(frame) => {
                self.sending = matches!(frame.kind, Kind::Reset | Kind::GoAway).then_some((frame, 0, 0));
                if frame.kind == Kind::Headers && self.remove(frame.stream).is_some() {
                    // Only `h2` answers what was not accepted, and only for this.
                    self.refused.push(Fault::HeadersTooLarge);
                }
            }
            Seen::Payload(bytes) => {
                for byte in bytes {
                    self.payload(*byte);
                }
            }
        }
    }

    fn payload(&mut self, byte: u8) {
        let Some((frame, at, says)) = &mut self.sending else { return };
        *says = *says << 8 | u64::from(byte);
        *at += 1;
        // GOAWAY begins with the last stream that is served (RFC 9113 §6.8).
        if *at < if frame.kind == Kind::GoAway { 8 } else { 4 } {
            return;
        }
        let (frame, served, code) = (*frame, (*says >> 32) as u32, Reason::from(*says as u32));
        self.sending = None;
        if frame.kind == Kind::GoAway {
            self.served = (served < ANY).then_some(served);
            self.ended = self.ended.or_else(|| (code != Reason::NO_ERROR).then(|| of_connection(code)));
        } else if self.remove(frame.stream).is_some() {
            self.refused.push(of_stream(code));
        }
    }

    fn remove(&mut self, stream: u32) -> Option<Opened> {
        let at = self.opened.iter().position(|opened| opened.stream == stream)?;
        self.opened.remove(at)
    }
}

fn of_stream(code: Reason) -> Fault {
    match code {
        Reason::PROTOCOL_ERROR => Fault::Malformed(Malformed::Syntax),
        Reason::REFUSED_STREAM => Fault::TooManyStreams,
        _ => Fault::Http2Protocol,
    }
}

/// Why `h2` ends a connection with this code.
pub(super) fn of_connection(code: Reason) -> Fault {
    if code == Reason::ENHANCE_YOUR_CALM { Fault::Http2Flood } else { Fault::Http2Protocol }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::h2::frames::Frames;

    fn sent(unseen: &mut Unseen, kind: u8, stream: u8, payload: &[u8]) {
        let bytes = [&[0, 0, payload.len() as u8, kind, 4, 0, 0, 0, stream][..], payload].concat();
        let mut frames = Frames::after(0);
        bytes.iter().for_each(|byte| frames.pass(&[*byte], |seen| unseen.sent(seen)));
    }

    #[test]
    fn what_h2_refuses_is_told_once() {
        let mut unseen = Unseen::default();
        [1, 3, 5, 7].into_iter().for_each(|stream| assert!(unseen.headers(stream)));
        assert!(!unseen.accept(1));
        sent(&mut unseen, 3, 1, &[0, 0, 0, 1]);
        sent(&mut unseen, 3, 3, &[0, 0, 0, 1]);
        sent(&mut unseen, 1, 5, &[0x08, 3, b'4', b'3', b'1']);
        sent(&mut unseen, 3, 5, &[0, 0, 0, 1]);
        sent(&mut unseen, 3, 7, &[0, 0, 0, 7]);
        let expected = [Fault::Malformed(Malformed::Syntax), Fault::HeadersTooLarge, Fault::TooManyStreams];
        assert_eq!((unseen.refused.as_slice(), unseen.ended), (&expected[..], None));
    }

    #[test]
    fn the_code_of_goaway_says_why_the_connection_ends() {
        for (code, expected) in [(0, None), (1, Some(Fault::Http2Protocol)), (11, Some(Fault::Http2Flood))] {
            let mut unseen = Unseen::default();
            sent(&mut unseen, 7, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, code, b't', b'o', b'o']);
            assert_eq!(unseen.ended, expected);
        }
    }

    #[test]
    fn a_mark_belongs_to_the_stream_that_is_being_opened() {
        let mut unseen = Unseen::default();
        assert!(unseen.headers(1) && unseen.headers(3));
        unseen.mark(3);
        // Trailers.
        assert!(unseen.headers(1));
        unseen.mark(1);
        assert_eq!([unseen.accept(1), unseen.accept(3)], [false, true]);
    }

    #[test]
    fn what_is_never_taken_is_forgotten() {
        let mut unseen = Unseen::default();
        (0..1_000_000).for_each(|number| assert!(unseen.headers(number * 2 + 1)));
        assert_eq!(unseen.opened.len(), MOST);
    }

    #[test]
    fn after_the_last_stream_none_is_kept_track_of() {
        let mut unseen = Unseen::default();
        sent(&mut unseen, 7, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert!(unseen.headers(1) && unseen.headers(3), "the client may not know yet");
        sent(&mut unseen, 7, 0, &[0, 0, 0, 3, 0, 0, 0, 0]);
        assert!(unseen.headers(3) && !unseen.headers(5));
        assert_eq!((unseen.opened.len(), unseen.ended), (2, None));
    }
}
