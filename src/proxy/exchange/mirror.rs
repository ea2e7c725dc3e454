//! Copies of requests for a pool whose answers nobody gets. The request itself waits for nothing of it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Exchange;
use super::aside::Aside;
use crate::base::decimal::number;
use crate::proxy::balance::{Pool, SendProxy};
use crate::proxy::http::body::Length;
use crate::proxy::http::grpc;
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::message::{Name, Request, Response};
use crate::proxy::policy::auth::Identity;
use crate::proxy::snapshot::Route;
use crate::proxy::upstream::{self, Call, Timeouts, Trip};
use crate::proxy::worker::Worker;

/// The largest body that is copied.
pub(super) const LARGEST: usize = 64 << 10;

/// Copies on one worker that are under way, or whose bodies are still being read; more requests than that are not copied meanwhile.
const MOST: usize = 128;

/// How long one may take, with its answer.
const LONGEST: Duration = Duration::from_secs(30);

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
        let (mut nobody, mut response, mut trip) = (Aside::telling(self.body), Response::default(), Trip::default());
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
            identity: Identity::none(),
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
