//! The body of a request that is to be copied: kept while it passes, within bounds.

use std::cell::Cell;
use std::task::{Context, Poll};

use super::mirror::LARGEST;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::message::{Fields, Response};
use crate::proxy::worker::Worker;

/// A client whose request's body is kept while it is read.
pub(super) struct Kept<'c, 'w, D> {
    client: &'c mut D,
    body: Option<Vec<u8>>,
    whole: bool,
    _counted: Counted<'w>,
}

/// A body among those that a worker keeps, in whatever way it ends.
struct Counted<'w>(&'w Cell<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'c, 'w, D: Downstream> Kept<'c, 'w, D> {
    /// Nothing was read yet.
    pub(super) fn of(client: &'c mut D, worker: &'w Worker) -> Self {
        let count = &worker.kept_bodies;
        count.set(count.get() + 1);
        Self { client, body: Some(Vec::new()), whole: false, _counted: Counted(count) }
    }

    /// The body, where all of it came and was not too large.
    pub(super) fn body(self) -> Option<Vec<u8>> {
        self.body.filter(|_| self.whole)
    }
}

impl<D: Downstream> Downstream for Kept<'_, '_, D> {
    fn request_length(&self) -> Length {
        self.client.request_length()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<Progress, Fault>> {
        let progress = self.client.poll_body(cx, into, limit);
        match progress {
            Poll::Ready(Ok(Progress::Data(count))) => {
                let fresh = into.get(into.len() - count..).unwrap_or_default();
                self.body = self.body.take().filter(|body| body.len() + count <= LARGEST).map(|mut body| {
                    body.extend_from_slice(fresh);
                    body
                });
            }
            Poll::Ready(Ok(Progress::End)) => self.whole = true,
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        progress
    }

    fn request_trailers(&self) -> Option<&Fields> {
        self.client.request_trailers()
    }

    fn expects_continue(&self) -> bool {
        self.client.expects_continue()
    }

    fn interim(&mut self, response: &Response) {
        self.client.interim(response);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.client.poll_gone(cx)
    }

    fn start(&mut self, response: &Response, length: Length) {
        self.client.start(response, length);
    }

    fn has_started(&self) -> bool {
        self.client.has_started()
    }

    fn room(&mut self) -> &mut Vec<u8> {
        self.client.room()
    }

    fn appended(&mut self, count: usize) {
        self.client.appended(count);
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.client.finish(trailers);
    }

    fn wants(&self) -> usize {
        self.client.wants()
    }

    fn unwritten(&self) -> usize {
        self.client.unwritten()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.client.poll_flush(cx)
    }

    fn close_after(&mut self) {
        self.client.close_after();
    }

    fn retract(&mut self) -> bool {
        self.client.retract()
    }

    fn abort(&mut self) {
        self.client.abort();
    }
}
