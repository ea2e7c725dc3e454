//! Requests of the gateway's own to a pool: who stands in the place of their client.

use std::task::{Context, Poll};

use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::message::{Fields, Response};

/// How much of an answer is taken before it is thrown away.
const PIECE: usize = 64 << 10;

/// Who gets the answer: it has the body of the request, and takes whatever comes.
pub(super) struct Aside {
    body: Vec<u8>,
    given: usize,
    answer: Vec<u8>,
    /// How much of the answer's body is kept; more is a fault. None where nobody wants to know it.
    keeps: Option<usize>,
}

impl Aside {
    /// Sends this body, and throws the answer away.
    pub(super) fn telling(body: Vec<u8>) -> Self {
        Self { body, given: 0, answer: Vec::new(), keeps: None }
    }

    /// Sends no body, and keeps the answer's, up to so many bytes.
    pub(super) fn asking(most: usize) -> Self {
        Self { keeps: Some(most), ..Self::telling(Vec::new()) }
    }

    /// What came.
    pub(super) fn into_answer(self) -> Vec<u8> {
        self.answer
    }
}

impl Downstream for Aside {
    fn request_length(&self) -> Length {
        if self.body.is_empty() { Length::Empty } else { Length::Known(self.body.len() as u64) }
    }

    fn poll_body(&mut self, _: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<Progress, Fault>> {
        let rest = self.body.get(self.given..).unwrap_or_default();
        let count = rest.len().min(limit);
        into.extend_from_slice(&rest[..count]);
        self.given += count;
        Poll::Ready(Ok(if count == 0 { Progress::End } else { Progress::Data(count) }))
    }

    fn request_trailers(&self) -> Option<&Fields> {
        None
    }

    fn expects_continue(&self) -> bool {
        false
    }

    fn interim(&mut self, _: &Response) {}

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<Gone> {
        Poll::Pending
    }

    fn start(&mut self, _: &Response, _: Length) {}

    fn has_started(&self) -> bool {
        false
    }

    fn room(&mut self) -> &mut Vec<u8> {
        &mut self.answer
    }

    fn appended(&mut self, _: usize) {
        if self.keeps.is_none() {
            self.answer.clear();
        }
    }

    fn finish(&mut self, _: Option<&Fields>) {}

    fn wants(&self) -> usize {
        // One byte more than is kept shows that it is too much.
        self.keeps.map_or(PIECE, |most| (most + 1).saturating_sub(self.answer.len()))
    }

    fn unwritten(&self) -> usize {
        0
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let too_much = self.keeps.is_some_and(|most| self.answer.len() > most);
        Poll::Ready(if too_much { Err(Fault::BodyTooLarge) } else { Ok(()) })
    }

    fn close_after(&mut self) {}

    fn retract(&mut self) -> bool {
        true
    }

    fn abort(&mut self) {}
}
