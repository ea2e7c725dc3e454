//! THE SPINE, second half: one request and its response.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Instant, SystemTime};

use crate::base::alarm::{Alarm, Moment};
use crate::base::clock;
use crate::base::log::access;
use crate::base::metrics::Label;
use crate::proxy::balance::Pool;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::{Downstream, Length};
use crate::proxy::http::forwarded::{self, Client, Forwarding};
use crate::proxy::http::{Deciding, Host, answer, hop_by_hop};
use crate::proxy::message::{Name, Request, Response, Span};
use crate::proxy::policy;
use crate::proxy::route::{EncodedSlash, Facts};
use crate::proxy::serve::Connection;
use crate::proxy::snapshot::{Action, Listener, Route, Snapshot};
use crate::proxy::upstream::{self, Call, Timeouts, Trip};

/// The two messages of an exchange. The connection uses the same ones for all of its exchanges.
pub struct Messages<'a> {
    /// The head that was read.
    pub request: &'a mut Request,
    /// The head that will be written.
    pub response: &'a mut Response,
}

/// What is known of one exchange while it runs.
struct Exchange<'a> {
    connection: &'a Connection,
    listener: &'a Listener,
    snapshot: Rc<Arc<Snapshot>>,
    alarm: &'a Alarm,
    client: Client,
    started: Instant,
    time: SystemTime,
    target: Span,
    route: Option<Arc<Route>>,
    trip: Trip,
}

/// Runs one exchange: takes ONE snapshot, always produces a response where the client is still there, writes the log line and
/// the counters. `arrived` is what became of reading the request.
pub async fn exchange<D: Downstream>(
    connection: &Connection,
    listener: &Listener,
    client: &mut D,
    messages: Messages<'_>,
    (alarm, arrived): (&Alarm, Result<(), Fault>),
) {
    let Messages { request, response } = messages;
    let snapshot = connection.worker.current();
    let mut exchange = Exchange {
        connection,
        listener,
        alarm,
        client: Client::resolve(connection.peer, &request.fields, &snapshot.trusted_proxies),
        snapshot,
        started: Instant::now(),
        time: clock::now(),
        target: request.target_span(),
        route: None,
        trip: Trip::default(),
    };
    let load = connection.worker.load();
    load.add();
    let result = match arrived {
        Ok(()) => exchange.answer(client, request, response).await,
        Err(fault) => Err(fault),
    };
    let fault = match result {
        Ok(()) => None,
        Err(fault) => {
            exchange.refuse(client, fault, request, response).await;
            Some(fault)
        }
    };
    load.subtract();
    exchange.record(request, response, fault);
}

impl Exchange<'_> {
    /// Finds the route and does what it says.
    async fn answer<D: Downstream>(
        &mut self,
        client: &mut D,
        request: &mut Request,
        response: &mut Response,
    ) -> Result<(), Fault> {
        let snapshot = Rc::clone(&self.snapshot);
        let host = self.host(request)?;
        let hsts = self.connection.tls.as_ref().and_then(|_| snapshot.hsts.value(host.name()));
        let path = deciding(request)?;
        if self.listener.status_path.iter().any(|own| own == path.as_str()) {
            let mut body = Vec::new();
            answer::status(self.listener.gauge.open(), self.connection.worker.is_draining(), response, &mut body);
            return self.reply(client, request, response, &body).await;
        }
        if let Some(port) = self.listener.redirect_https {
            policy::to_https(request, host.name(), port, response);
            return self.reply(client, request, response, &[]).await;
        }
        let facts = Facts { listener: self.listener.index, host: host.name(), path: path.as_str(), request };
        let route = Arc::clone(snapshot.routes.find(&facts).ok_or(Fault::NoRoute)?);
        self.route = Some(Arc::clone(&route));
        if path.has_encoded_slash() && route.encoded_slash == EncodedSlash::Refuse {
            return Err(Fault::Malformed(Malformed::Path));
        }
        match &route.action {
            Action::Redirect(redirect) => {
                redirect.answer(request, response);
                set_hsts(response, hsts);
                self.reply(client, request, response, &[]).await
            }
            Action::Respond(respond) => {
                let body = respond.answer(response);
                set_hsts(response, hsts);
                self.reply(client, request, response, &body).await
            }
            Action::Forward(pool) => {
                let deciding = route.rewrite.as_ref().map(|_| path.as_str().to_owned());
                self.prepare(request, &route, deciding.as_deref())?;
                self.forward(client, request, response, (&route, pool), hsts).await
            }
        }
    }

    /// The host, checked: there is one, and the connection's certificate covers it.
    fn host<'r>(&self, request: &'r Request) -> Result<Host<'r>, Fault> {
        let host = Host::parse(request.authority()).map_err(Fault::Malformed)?;
        match &self.connection.tls {
            Some(tls) if !tls.covers(host.name()) => Err(Fault::Misdirected),
            _ => Ok(host),
        }
    }

    /// Makes the request what the backend is to get: hop-by-hop fields go first, then ours are added.
    fn prepare(&self, request: &mut Request, route: &Route, deciding: Option<&str>) -> Result<(), Fault> {
        if let (Some(rewrite), Some(deciding)) = (&route.rewrite, deciding) {
            rewrite.apply(request, deciding).map_err(Fault::Malformed)?;
        }
        hop_by_hop::strip_request(&mut request.fields).map_err(Fault::Malformed)?;
        // Answered here: the backend gets the body without being asked first.
        request.fields.remove(b"expect");
        let forwarding = Forwarding { client: self.client, tls: self.connection.tls.is_some() };
        forwarded::apply(request, &forwarding, &mut self.connection.worker.ids.borrow_mut());
        Ok(())
    }

    async fn forward<D: Downstream>(
        &mut self,
        client: &mut D,
        request: &Request,
        response: &mut Response,
        (route, pool): (&Route, &Pool),
        hsts: Option<&[u8]>,
    ) -> Result<(), Fault> {
        if let (Length::Known(length), Some(limit)) = (client.request_length(), route.body_limit)
            && length > limit
        {
            return Err(Fault::BodyTooLarge);
        }
        let worker = &self.connection.worker;
        let call = Call {
            request,
            pool,
            timeouts: Timeouts {
                connect: route.timeouts.connect.limit(),
                response: route.timeouts.response.limit(),
                idle: route.timeouts.idle.limit(),
            },
            body_limit: route.body_limit,
            body_idle: self.listener.timeouts.body_idle.0,
            write_idle: self.listener.timeouts.write_idle.0,
            total: worker.alarms.after(route.timeouts.total.limit()),
            alarm: self.alarm,
            client: &worker.upstream,
            metrics: &worker.metrics,
        };
        let begun = upstream::forward(client, &call, response, &mut self.trip).await?;
        hop_by_hop::strip_response(&mut response.fields).map_err(|_| Fault::BackendMalformed)?;
        if response.status == 204 {
            // It has no body whatever it announces (RFC 9110 §8.6); a client that waits for one would take the next answer for it.
            response.fields.remove(b"content-length");
        }
        set_hsts(response, hsts);
        self.start(client, response, begun.length());
        upstream::relay(client, &call, begun, &mut self.trip).await
    }

    /// Starts the response, which is the connection's last one where a drain has begun.
    fn start<D: Downstream>(&self, client: &mut D, response: &Response, length: Length) {
        if self.connection.port.draining.get() || self.connection.worker.is_draining() {
            client.close_after();
        }
        client.start(response, length);
    }

    /// Answers a fault, where the response has not begun and there is someone to read it.
    async fn refuse<D: Downstream>(
        &mut self,
        client: &mut D,
        fault: Fault,
        request: &Request,
        response: &mut Response,
    ) {
        if fault == Fault::ClientGone {
            return client.abort();
        }
        if client.has_started() {
            return client.abort();
        }
        if fault.facts().closes {
            client.close_after();
        }
        let mut body = Vec::new();
        answer::refusal(fault, response, &mut body);
        // A client that does not take its refusal is left to the close that follows.
        let _ = self.reply(client, request, response, &body).await;
    }

    /// Sends an answer of the gateway's own.
    async fn reply<D: Downstream>(
        &mut self,
        client: &mut D,
        request: &Request,
        response: &mut Response,
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut length = Vec::with_capacity(20);
        crate::proxy::http::h1::write::number(&mut length, body.len() as u64);
        if !matches!(response.status, 204 | 304) {
            response.fields.set(b"content-length", &length);
        }
        let empty = body.is_empty() || request.method() == b"HEAD" || matches!(response.status, 204 | 304);
        self.start(client, response, if empty { Length::Empty } else { Length::Known(body.len() as u64) });
        if !empty {
            client.room().extend_from_slice(body);
            client.appended(body.len());
            self.trip.response_bytes = body.len() as u64;
        }
        client.finish(None);
        let due: Moment = self.alarm.alarms().after(Some(self.listener.timeouts.write_idle.0));
        std::future::poll_fn(|cx| match client.poll_flush(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.alarm.poll(cx, due).map(|()| {
                client.abort();
                Err(Fault::ClientGone)
            }),
        })
        .await
    }

    /// Writes the log line and the counters.
    fn record(&self, request: &Request, response: &Response, fault: Option<Fault>) {
        let worker = &self.connection.worker;
        let duration = self.started.elapsed();
        let status = if response.status == 0 { fault.map_or(0, Fault::status) } else { response.status };
        let route = self.route.as_deref();
        let label = route.map_or(Label::NONE, |route| route.label);
        worker.metrics.request(self.listener.label, label, status, duration);
        if let Some(fault) = fault {
            worker.metrics.refused(fault.reason(), label);
        }
        worker.access.write(&access::Entry {
            time: self.time,
            client: self.client_address(),
            method: request.method(),
            host: request.authority(),
            target: request.fields.bytes(self.target),
            protocol: request.version.as_str(),
            status,
            request_bytes: self.trip.request_bytes,
            response_bytes: self.trip.response_bytes,
            duration,
            listener: &self.listener.name,
            route: route.map_or("", |route| &route.name),
            backend: self.trip.endpoint.as_ref().map(|endpoint| endpoint.url.text.as_str()),
            backend_duration: self.trip.response_time,
            retries: self.trip.retries,
            request_id: request.fields.first(Name::XRequestId).unwrap_or(b""),
            reason: fault.map(Fault::reason),
            tls: self.connection.tls.as_ref().map(|tls| tls.version),
            user_agent: request.fields.first(Name::UserAgent),
            referer: request.fields.first(Name::Referer),
        });
    }

    fn client_address(&self) -> IpAddr {
        self.client.address
    }
}

/// The deciding path. `*`, the target of a server-wide OPTIONS, is its own.
fn deciding(request: &Request) -> Result<Deciding<'_>, Fault> {
    let path = request.path();
    Deciding::of(if path == b"*" { b"/" } else { path }).map_err(Fault::Malformed)
}

fn set_hsts(response: &mut Response, value: Option<&[u8]>) {
    if let Some(value) = value {
        response.fields.set(b"strict-transport-security", value);
    }
}
