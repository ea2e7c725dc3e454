//! An exchange that goes to a backend: what bounds it, and how its answer comes back.

use std::rc::Rc;
use std::sync::Arc;

use super::{Exchange, Messages, set_hsts};
use crate::proxy::balance::{Pool, SendProxy};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Length};
use crate::proxy::http::{grpc, hop_by_hop};
use crate::proxy::message::{Name, Request};
use crate::proxy::policy::auth::Identity;
use crate::proxy::snapshot::Route;
use crate::proxy::upstream::{self, Call, Timeouts};
use crate::proxy::worker::Worker;

impl<'a> Exchange<'a> {
    /// Sends the request to a backend of the pool and its answer to the client.
    pub(super) async fn forward<D: Downstream>(
        &mut self,
        client: &mut D,
        Messages { request, response }: Messages<'_>,
        (route, pool): (&Route, &Arc<Pool>),
        hsts: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let grpc = grpc::is_call(request);
        if exceeds(client.request_length(), body_limit(route, request)) {
            return Err(Fault::BodyTooLarge);
        }
        if !client.expects_continue() {
            request.fields.remove(Name::Expect);
        }
        let connection = self.connection;
        let worker = &connection.worker;
        let snapshot = Rc::clone(&self.snapshot);
        let call = self.call(request, (route, pool), (worker, &snapshot.identity), grpc);
        let begun = upstream::forward(client, &call, response, &mut self.trip).await?;
        hop_by_hop::strip_response(&mut response.fields).map_err(|_| Fault::BackendMalformed)?;
        if response.status == 204 {
            // It has no body whatever it announces (RFC 9110 §8.6); a client that waits for one would take the next answer for it.
            response.fields.remove(Name::ContentLength);
        }
        set_hsts(response, hsts);
        let cookie = self
            .trip
            .endpoint
            .as_ref()
            .and_then(|endpoint| pool.set_cookie(request, endpoint, connection.tls.is_some()));
        if let Some(cookie) = cookie {
            response.fields.add(b"set-cookie", &cookie);
        }
        self.start(client, request, response, begun.length());
        if begun.length() != Length::Tunnel {
            return upstream::relay(client, &call, begun, &mut self.trip).await;
        }
        let _counted = Tunnel::begin(worker);
        let drain = || {
            let begun = connection.port.draining.get() || worker.is_draining();
            begun.then(|| worker.current().tunnel_drain)
        };
        upstream::tunnel(client, &call, begun, &mut self.trip, drain).await
    }

    /// The request as the pool gets it, with its deadlines. Calls of gRPC may be silent, in either direction and before their
    /// answer, for as long as tunnels; what bounds them is their own deadline.
    fn call<'c>(
        &self,
        request: &'c Request,
        (route, pool): (&Route, &'c Arc<Pool>),
        (worker, identity): (&'c Worker, &'c Identity),
        grpc: bool,
    ) -> Call<'c>
    where
        'a: 'c,
    {
        let tunnel_idle = route.timeouts.tunnel_idle.limit();
        let timeouts = &route.timeouts;
        let (response, idle) =
            if grpc { (tunnel_idle, tunnel_idle) } else { (timeouts.response.limit(), timeouts.idle.limit()) };
        let body_idle = self.listener.timeouts.body_idle.0;
        let introduced = || self.connection.ends.introduced(self.client.address);
        let deadline = if grpc { grpc::timeout(request) } else { None };
        Call {
            request,
            pool,
            from: self.client.address,
            header: (pool.send_proxy == SendProxy::V2).then(introduced),
            timeouts: Timeouts { connect: timeouts.connect.limit(), response, idle },
            body_limit: route.body_limit.filter(|_| !grpc),
            body_idle: if grpc { tunnel_idle } else { Some(body_idle) },
            write_idle: self.listener.timeouts.write_idle.0,
            tunnel_idle,
            patient: grpc || request.tunnel,
            total: worker.alarms.after(timeouts.total.limit()).min(worker.alarms.after(deadline)),
            alarm: self.alarm,
            identity,
            client: &worker.upstream,
            metrics: &worker.metrics,
        }
    }
}

/// The largest body that a request of the route may have; none where there is no limit.
pub fn body_limit(route: &Route, request: &Request) -> Option<u64> {
    route.body_limit.filter(|_| !grpc::is_call(request) && !request.tunnel)
}

/// Whether a body that announces its length is larger than it may be.
pub fn exceeds(length: Length, limit: Option<u64>) -> bool {
    matches!((length, limit), (Length::Known(length), Some(limit)) if length > limit)
}

/// A tunnel among its worker's, in whatever way it ends.
struct Tunnel<'a>(&'a Worker);

impl<'a> Tunnel<'a> {
    fn begin(worker: &'a Worker) -> Self {
        worker.tunnels.set(worker.tunnels.get() + 1);
        Self(worker)
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.0.tunnels.set(self.0.tunnels.get() - 1);
    }
}
