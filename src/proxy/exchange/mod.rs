//! THE SPINE, second half: one request and its response.

mod aside;
mod auth;
mod forward;
mod kept;
mod keys;
mod limit;
mod mirror;
mod record;
mod reply;
mod said;

pub use forward::{body_limit, exceeds};
pub use record::{Caller, refused};

use auth::Beside;
use kept::Kept;
use said::Said;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::base::alarm::Alarm;
use crate::base::clock;
use crate::proxy::balance::Pool;
use crate::proxy::connection::Connection;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::{Downstream, Length};
use crate::proxy::http::forwarded::{self, Client, Forwarding, RequestIds};
use crate::proxy::http::{Deciding, Host, answer, hop_by_hop};
use crate::proxy::message::{Name, Request, Response, Span};
use crate::proxy::policy::auth::Granted;
use crate::proxy::policy::{self, Choice, Split, headers, rate_limit};
use crate::proxy::route::{EncodedSlash, Facts};
use crate::proxy::snapshot::{Action, Listener, Route, Snapshot};
use crate::proxy::tls;
use crate::proxy::upstream::Trip;
use crate::proxy::worker::Current;

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
    snapshot: Rc<Current>,
    alarm: &'a Alarm,
    client: Client,
    started: Instant,
    time: SystemTime,
    target: Span,
    said: Said,
    route: Option<Arc<Route>>,
    /// The cookie of a split that the client is to be given.
    cookie: Option<[u8; 16]>,
    /// What policies that only observe would have refused it for. Nothing is allocated for none.
    observed: Vec<Fault>,
    trip: Trip,
    /// The rate limit that refused it.
    limited: Option<rate_limit::Refusal>,
    /// What its refusal says beside the reason.
    beside: Option<Box<Beside>>,
    /// Whom it was let through for.
    granted: Option<Box<Granted>>,
    /// Whether its fields are what the backend is to get.
    prepared: bool,
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
    let (snapshot, ends) = (connection.worker.current(), &connection.ends);
    let mut exchange = Exchange {
        connection,
        listener,
        alarm,
        client: Client::resolve(ends.peer.ip(), &request.fields, ends.believed(&snapshot.trusted_proxies)),
        snapshot,
        started: Instant::now(),
        time: clock::now(),
        target: request.target_span(),
        said: Said::of(request),
        route: None,
        cookie: None,
        observed: Vec::new(),
        trip: Trip::default(),
        limited: None,
        beside: None,
        granted: None,
        prepared: false,
    };
    let _counted = connection.worker.load().count();
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
        let host = checked_host(request, self.connection.tls.as_ref())?;
        let hsts = self.connection.tls.as_ref().and_then(|_| snapshot.hsts.value(host.name()));
        let path = deciding(request)?;
        let own = self.listener.status_path.iter().any(|own| own == path.as_str());
        let facts = Facts { listener: &self.listener.name, host: host.name(), path: path.as_str(), request };
        self.route = if own { None } else { snapshot.routes.find(&facts).cloned() };
        self.admit(&snapshot, (host.name(), path.as_str()), request)?;
        if own {
            let mut body = Vec::new();
            answer::status(self.listener.gauge.open(), self.connection.worker.is_draining(), response, &mut body);
            return self.reply(client, request, response, &body).await;
        }
        if let Some(port) = self.listener.redirect_https {
            // Whichever it is, it serves where the redirect leads to.
            self.route = None;
            policy::to_https(request, host.name(), port, response);
            return self.reply(client, request, response, &[]).await;
        }
        let route = self.route.clone().ok_or(Fault::NoRoute)?;
        if path.has_encoded_slash() && route.encoded_slash == EncodedSlash::Refuse {
            return Err(Fault::Malformed(Malformed::Path));
        }
        if route.policies.answer(request, self.origin(request), response) {
            return self.reply(client, request, response, &[]).await;
        }
        let decided = route.rewrite.as_ref().map(|_| path.as_str().to_owned());
        self.guard(&route, client.request_length(), request).await?;
        let pool = match &route.action {
            Action::Redirect(redirect) => {
                redirect.answer(request, response);
                set_hsts(response, hsts);
                return self.reply(client, request, response, &[]).await;
            }
            Action::Respond(respond) => {
                let body = respond.answer(response);
                set_hsts(response, hsts);
                return self.reply(client, request, response, &body).await;
            }
            Action::Forward(pool) => pool,
            Action::Split(split) => self.choose(split, request)?,
        };
        self.make_ready((&route, decided), request)?;
        let length = client.request_length();
        let mirror = self.mirror(&route, request, length);
        if length == Length::Empty
            && let Some(mirror) = mirror
        {
            self.send_copy(&route, mirror, request, Some(Vec::new()));
        } else if let Some(mirror) = mirror {
            let connection = self.connection;
            let mut kept = Kept::of(client, &connection.worker);
            // Boxed, so that exchanges without it are no larger.
            let result = Box::pin(self.forward(&mut kept, Messages { request, response }, (&route, pool), hsts)).await;
            self.send_copy(&route, mirror, request, kept.body());
            return result;
        }
        self.forward(client, Messages { request, response }, (&route, pool), hsts).await
    }

    /// The pool of a split that this request goes to. The client may be given a cookie that keeps it there.
    fn choose<'s>(&mut self, split: &'s Split<Arc<Pool>>, request: &Request) -> Result<&'s Arc<Pool>, Fault> {
        let ids = &self.connection.worker.ids;
        let choice = split.choose(request, self.client.address, || ids.borrow_mut().number());
        let Choice { target, cookie } = choice.ok_or(Fault::NoBackend)?;
        self.cookie = cookie;
        Ok(target)
    }

    /// Makes the request what the backend is to get. With a rewrite, `decided` is its deciding path.
    fn make_ready(&mut self, (route, decided): (&Route, Option<String>), request: &mut Request) -> Result<(), Fault> {
        if let (Some(rewrite), Some(path)) = (&route.rewrite, decided) {
            rewrite.apply(request, &path).map_err(Fault::Malformed)?;
        }
        self.prepare(request)?;
        if !self.client.trusted_peer {
            self.snapshot.identity.strip(&mut request.fields);
        }
        if let Some(auth) = &route.auth {
            auth.apply(&mut request.fields, self.granted.as_deref());
        }
        if route.policies.change_requests() {
            let values = route.policies.values(&self.facts(route, request));
            route.policies.on_request(request, &values);
        }
        Ok(())
    }

    /// What variables in header fields stand for.
    fn facts<'f>(&'f self, route: &'f Route, request: &'f Request) -> headers::Facts<'f> {
        headers::Facts {
            client: self.client.address,
            request_id: request.fields.first(Name::XRequestId).unwrap_or_default(),
            authority: request.authority(),
            listener: &self.listener.name,
            route: &route.name,
            tls: self.connection.tls.as_ref().map(|tls| headers::TlsFacts {
                version: tls.version,
                cipher: tls.cipher,
                server_name: tls.server_name.as_deref().unwrap_or_default(),
            }),
        }
    }

    /// The origin of the page that the request comes from, where it says one.
    fn origin<'r>(&self, request: &'r Request) -> Option<&'r [u8]> {
        self.said.origin.map(|span| request.fields.bytes(span))
    }

    /// Lets the client in, or refuses it before it learns anything: whether there is a route, where it would be redirected to.
    /// First come the limits of clients and routes, then the ACL, then the global limit. Without a route, a rule of the ACL or
    /// its global list decides.
    fn admit(&mut self, snapshot: &Snapshot, (host, path): (&str, &str), request: &Request) -> Result<(), Fault> {
        // Where a request is redirected to, it is counted.
        let limited = self.route.clone().filter(|_| self.listener.redirect_https.is_none());
        if let Some(route) = &limited {
            self.limit_client(route, host, request)?;
        }
        let list = snapshot.acl.deciding(self.route.as_deref(), path);
        if let Some(mode) = list.objection(self.client.address) {
            self.object(Fault::AclDenied, mode)?;
        }
        limited.map_or(Ok(()), |route| self.limit_all(&route, host, request))
    }
}

/// The host, checked: there is one, and the certificate of the connection that it came on covers it.
///
/// # Errors
/// Where it is none, or not covered.
pub fn checked_host<'r>(request: &'r Request, tls: Option<&tls::Facts>) -> Result<Host<'r>, Fault> {
    let host = Host::parse(request.authority()).map_err(Fault::Malformed)?;
    match tls {
        Some(tls) if !tls.covers(host.name()) => Err(Fault::Misdirected),
        _ => Ok(host),
    }
}

/// Makes the fields of a request what the backend is to get: hop-by-hop ones go first, then ours are added.
///
/// # Errors
/// Where its `Connection` is too long to be obeyed.
pub fn prepare(request: &mut Request, forwarding: &Forwarding, ids: &mut RequestIds) -> Result<(), Fault> {
    hop_by_hop::strip_request(&mut request.fields).map_err(Fault::Malformed)?;
    forwarded::apply(request, forwarding, ids);
    Ok(())
}

/// The deciding path. `*`, the target of a server-wide OPTIONS, is its own.
///
/// # Errors
/// Where it is ambiguous.
pub fn deciding(request: &Request) -> Result<Deciding<'_>, Fault> {
    let path = request.path();
    Deciding::of(if path == b"*" { b"/" } else { path }).map_err(Fault::Malformed)
}

fn set_hsts(response: &mut Response, value: Option<&[u8]>) {
    if let Some(value) = value {
        response.fields.set(Name::StrictTransportSecurity, value);
    }
}
