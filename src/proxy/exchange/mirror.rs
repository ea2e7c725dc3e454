//! Copies of requests for a pool whose answers nobody gets. The request itself waits for nothing of it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Exchange;
use crate::base::decimal::number;
use crate::proxy::balance::{Pool, SendProxy};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::http::grpc;
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::message::{Fields, Name, Request, Response};
use crate::proxy::snapshot::Route;
use crate::proxy::upstream::{self, Call, Timeouts, Trip};
use crate::proxy::worker::Worker;

/// The largest body that is copied.
pub(super) const LARGEST: usize = 64 << 10;

/// Copies on one worker that are under way, or whose bodies are still being read; more requests than that are not copied meanwhile.
const MOST: usize = 128;

/// How long one may take, with its answer.
const LONGEST: Duration = Duration::from_secs(30);

/// How much of an answer is taken before it is thrown away.
const PIECE: usize = 64 << 10;

impl Exchange<'_> {
    /// Where this request is to be copied to, and how. Counted where there are too many already.
    pub(super) fn mirror<'r>(&self, route: &'r Route, request: &Request, length: Length) -> Option<&'r Arc<Pool>> {
        let mirror = route.mirror.as_ref()?;
        // What may go on for long is not copied.
        if request.tunnel || grpc::is_call(request) || !mirror.takes_next() {
            return None;
        }
        let worker = &self.connection.worker;
        let fits = match length {
            Length::Known(length) => length <= LARGEST as u64,
            Length::Empty | Length::Unknown => true,
            Length::Tunnel => false,
        };
        if fits && worker.mirrors.count() + worker.kept_bodies.get() < MOST {
            return Some(&mirror.target);
        }
        worker.metrics.mirrored(mirror.target.label, "dropped");
        None
    }

    /// Sends a copy of the request with this body; without one it was too large to be kept, or did not come whole.
    pub(super) fn send_copy(&self, route: &Route, pool: &Arc<Pool>, request: &Request, body: Option<Vec<u8>>) {
        let worker = Rc::clone(&self.connection.worker);
        let Some(body) = body else { return worker.metrics.mirrored(pool.label, "dropped") };
        let mut request = request.clone();
        request.fields.remove(Name::Expect);
        if !body.is_empty() && request.fields.first(Name::ContentLength).is_none() {
            // It came in chunks, and is whole now.
            request.fields.set_written(Name::ContentLength, |length| number(length, body.len() as u64));
        }
        let copy = Copy {
            request,
            body,
            pool: Arc::clone(pool),
            timeouts: Timeouts {
                connect: route.timeouts.connect.limit(),
                response: route.timeouts.response.limit(),
                idle: route.timeouts.idle.limit(),
            },
            header: (pool.send_proxy == SendProxy::V2).then(|| self.connection.ends.introduced(self.client.address)),
            from: self.client.address,
        };
        let failed = Rc::clone(&worker);
        let label = pool.label;
        worker.mirrors.start(copy.send(Rc::clone(&worker)), move |said| {
            tracing::error!(said, "panicked on the copy of a request; this is a bug");
            failed.metrics.mirrored(label, "failed");
        });
    }
}

/// One copy.
struct Copy {
    request: Request,
    body: Vec<u8>,
    pool: Arc<Pool>,
    timeouts: Timeouts,
    header: Option<Header>,
    /// The client, for pools that go by it.
    from: IpAddr,
}

impl Copy {
    async fn send(self, worker: Rc<Worker>) {
        let alarm = worker.alarms.alarm();
        let (mut nobody, mut response, mut trip) = (Nobody::with(self.body), Response::default(), Trip::default());
        let call = Call {
            request: &self.request,
            pool: &self.pool,
            header: self.header,
            from: self.from,
            timeouts: self.timeouts,
            body_limit: None,
            body_idle: None,
            write_idle: LONGEST,
            tunnel_idle: None,
            patient: false,
            total: worker.alarms.after(Some(LONGEST)),
            alarm: &alarm,
            client: &worker.upstream,
            metrics: &worker.metrics,
        };
        let answered = match upstream::forward(&mut nobody, &call, &mut response, &mut trip).await {
            Ok(begun) if begun.length() != Length::Tunnel => {
                upstream::relay(&mut nobody, &call, begun, &mut trip).await.is_ok()
            }
            _ => false,
        };
        worker.metrics.mirrored(self.pool.label, if answered { "answered" } else { "failed" });
    }
}

/// Who gets the answer to a copy: it has the body of the request, and takes whatever comes.
struct Nobody {
    body: Vec<u8>,
    given: usize,
    answer: Vec<u8>,
}

impl Nobody {
    fn with(body: Vec<u8>) -> Self {
        Self { body, given: 0, answer: Vec::new() }
    }
}

impl Downstream for Nobody {
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
        self.answer.clear();
    }

    fn finish(&mut self, _: Option<&Fields>) {}

    fn wants(&self) -> usize {
        PIECE
    }

    fn unwritten(&self) -> usize {
        0
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn close_after(&mut self) {}

    fn retract(&mut self) -> bool {
        true
    }

    fn abort(&mut self) {}
}
