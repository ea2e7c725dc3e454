//! How often a backend may be asked for a sign of life.
//!
//! Servers of gRPC bear a ping with each thing that they say, or one in five minutes. They end the connection of who asks more
//! often, with all the calls on it, and a pong is nothing said.

use std::time::Duration;

use crate::base::alarm::Moment;
use crate::proxy::http::h2::frames::{Frame, Kind};

/// How long after the last ping another one is borne whatever was said: five minutes, and what may be lost on the way.
pub(super) const RARELY: Duration = Duration::from_secs(310);

/// What has been asked and said on a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    last: Option<Moment>,
    /// The backend has said something since.
    spoken: bool,
}

impl Pings {
    /// A frame of ours.
    pub(super) fn sent(&mut self, frame: Frame, now: Option<Moment>) {
        if frame.kind == Kind::Ping && !frame.is_ack() {
            (self.last, self.spoken) = (now, false);
        }
    }

    /// A frame of the backend.
    pub(super) fn received(&mut self, frame: Frame) {
        match frame.kind {
            // What came before the answer was said before the question.
            Kind::Ping if frame.is_ack() => self.spoken = false,
            Kind::Headers | Kind::Data => self.spoken = true,
            _ => {}
        }
    }

    /// Whether the backend bears another one.
    pub(super) fn may_ask(&self, now: Moment) -> bool {
        self.spoken || self.last.is_none_or(|last| now >= last.plus(RARELY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::alarm::Alarms;
    use crate::proxy::http::h2::frames::{Frames, Seen};

    const DATA: (u8, u8) = (0, 0);
    const HEADERS: (u8, u8) = (1, 4);
    const RESET: (u8, u8) = (3, 0);
    const PING: (u8, u8) = (6, 0);
    const PONG: (u8, u8) = (6, 1);
    const WINDOW_UPDATE: (u8, u8) = (8, 0);

    fn frame((kind, flags): (u8, u8)) -> Frame {
        let mut found = None;
        Frames::after(0).pass(&[0, 0, 8, kind, flags, 0, 0, 0, 1], |seen| match seen {
            Seen::Frame(frame) => found = Some(frame),
            Seen::Payload(_) => {}
        });
        found.unwrap()
    }

    #[test]
    fn a_second_question_needs_something_said_after_the_answer_to_the_first() {
        let now = Alarms::start().now();
        let asked = |received: &[(u8, u8)]| {
            let mut pings = Pings::default();
            pings.sent(frame(PONG), Some(now));
            assert!(pings.may_ask(now), "the first one, and a pong is none");
            pings.sent(frame(PING), Some(now));
            received.iter().for_each(|one| pings.received(frame(*one)));
            pings
        };
        for said in [HEADERS, DATA] {
            assert!(asked(&[PONG, said]).may_ask(now));
            assert!(!asked(&[said, PONG]).may_ask(now));
        }
        for pings in [asked(&[]), asked(&[PONG]), asked(&[PONG, RESET, WINDOW_UPDATE, PING])] {
            assert!(!pings.may_ask(now.plus(RARELY - Duration::from_millis(1))));
            assert!(pings.may_ask(now.plus(RARELY)));
        }
    }
}
