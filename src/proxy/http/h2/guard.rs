//! Watches what a client sends, so that none costs more than its requests are worth.

use std::io;
use std::task::Poll;
use std::time::Duration;

use super::budget::Budget;
use super::fragment::Fragments;
use super::frames::{Frame, Kind, Seen};
use super::unseen::Unseen;
use super::wire::Watch;
use crate::base::alarm::Moment;

/// What HEADERS cost that `h2` ignores: they ask for nothing that is served.
const PER_IGNORED: u32 = 2;

/// What has been seen of a client's connection.
#[derive(Default)]
pub(super) struct Guard {
    budget: Budget,
    /// The client's first SETTINGS have come.
    pub(super) settled: bool,
    /// The client has overdrawn its budget: nothing more is read.
    pub(super) exhausted: bool,
    /// The stream whose header block is being read.
    block: Option<u32>,
    fragments: Fragments,
    /// Streams that are with `h2`.
    pub(super) unseen: Unseen,
}

impl Watch for Guard {
    const MOST_OUTPUT: usize = 64 << 10;

    fn begin(&mut self, _: Moment, passed: Duration) {
        self.budget.earn(passed);
    }

    fn received(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Frame(frame) => self.frame(frame),
            Seen::Payload(bytes) => self.payload(bytes),
        }
    }

    fn sent(&mut self, seen: Seen<'_>) {
        if let Seen::Frame(frame) = seen {
            self.budget.sent(frame);
        }
        self.unseen.sent(seen);
    }

    fn poll_reads(&self) -> Poll<io::Result<()>> {
        if self.exhausted { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl Guard {
    /// A frame of the client.
    fn frame(&mut self, frame: Frame) {
        self.settled |= frame.kind == Kind::Settings;
        self.exhausted |= !self.budget.pay(frame);
        match frame.kind {
            Kind::Headers => {
                self.block = Some(frame.stream);
                if !self.unseen.headers(frame.stream) {
                    self.exhausted |= !self.budget.spend(PER_IGNORED);
                }
                self.fragments.headers(frame);
            }
            Kind::Continuation => self.fragments.continuation(frame),
            _ => self.block = None,
        }
    }

    /// More of the frame's payload.
    fn payload(&mut self, bytes: &[u8]) {
        if let Some(stream) = self.block
            && self.fragments.payload(bytes)
        {
            self.unseen.mark(stream);
        }
    }
}
