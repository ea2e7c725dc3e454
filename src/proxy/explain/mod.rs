//! What would become of a request, and why, without sending it: no token is taken, no turn, nothing is counted.
//!
//! It goes the way of `serve` and `exchange`, station by station, and asks what they ask: none of the decisions is made here. Where
//! they only decide, the station has a sibling that says by what ([`crate::proxy::route::Table::tried`],
//! [`crate::proxy::policy::acl::List::evidence`], [`crate::proxy::policy::rate_limit::RateLimits::look`],
//! [`crate::proxy::policy::Split::foresee`], [`crate::proxy::balance::Pool::foresee`], [`crate::proxy::tls::Frontend::foresee`]).
//! That the order is the same is held by one table of cases, which the tests send to the gateway and ask about.
//!
//! A request is taken for one of HTTP/1.1, from a client that speaks TLS 1.3. What its body holds, and what a backend makes of it,
//! cannot be known.

mod admission;
mod door;
pub mod explanation;
mod guard;
mod question;
mod sending;
mod telling;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

pub use explanation::Explanation;
pub use question::{Question, Unaskable};

use door::Door;
use question::Url;
use telling::{End, Stop, Telling};

use crate::proxy::exchange::{checked_host, deciding};
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::forwarded::Client;
use crate::proxy::http::h1::framing::Framing;
use crate::proxy::http::h1::server::{self, read_whole};
use crate::proxy::http::{Deciding, body::Length};
use crate::proxy::listen::{Bind, Ends};
use crate::proxy::message::Request;
use crate::proxy::policy;
use crate::proxy::route::{EncodedSlash, Facts};
use crate::proxy::snapshot::{Listener, Route, Snapshot};
use crate::proxy::tls;

/// Routes that are passed over are told up to so many.
const MOST_PASSED_OVER: usize = 10;

/// What is asked about.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The config, compiled.
    pub snapshot: &'a Snapshot,
    /// Where each listener accepts connections.
    pub places: &'a [(String, Bind)],
    /// The moment.
    pub now: Instant,
    /// Whether the gateway drains.
    pub draining: bool,
    /// Whether names of backends have been looked up.
    pub resolved: bool,
}

/// What is known of the request before it is read.
struct Case<'a> {
    seen: Seen<'a>,
    listener: &'a Listener,
    tls: Option<tls::Facts>,
    client: Client,
}

/// What would become of `question`.
///
/// # Errors
/// Where it is no request to a listener.
pub fn explain(seen: Seen<'_>, question: &Question) -> Result<Explanation, Unaskable> {
    let url = question.url()?;
    let head = question.head(&url)?;
    let door = Door::find(&seen, question, &url)?;
    let mut ends = Ends::new(SocketAddr::new(question.from, 0));
    ends.local = door.local;
    let peer = ends.peer.ip();
    let mut told = Telling::default();
    told.explanation.request = explanation::Request {
        url: question.url.clone(),
        method: question.method.clone(),
        from: peer.to_string(),
        client: peer.to_string(),
        ..explanation::Request::default()
    };
    told.explanation.listener = door.told(&seen);
    let ended = connect(seen, &door, (&url, ends), &mut told).and_then(|tls| {
        let mut request = Request::default();
        let read = read_whole(&head, door.listener.limits, &mut request);
        let client = Client::resolve(peer, &request.fields, ends.believed(&seen.snapshot.trusted_proxies));
        told.explanation.request.client = client.address.to_string();
        told.explanation.request.trusted_peer = client.trusted_peer;
        let case = Case { seen, listener: door.listener, tls, client };
        let why = "it is malformed, or larger than the listener takes";
        let facts = read.map_err(|fault| told.refused("request", why, fault))?;
        answer(&case, &mut request, length(&facts), &mut told)
    });
    Ok(told.ended(ended))
}

/// What comes before HTTP: see `serve`.
fn connect(
    seen: Seen<'_>,
    door: &Door<'_>,
    (url, ends): (&Url, Ends),
    told: &mut Telling,
) -> Result<Option<tls::Facts>, Stop> {
    let listener = door.listener;
    let (open, most) = (listener.gauge.open(), listener.max_connections);
    if open >= most {
        let why = format!("{open} connections are open, and there may be {most}");
        return Err(told.hang_up("max_connections", why, Fault::TooManyConnections));
    }
    let peer = ends.peer.ip();
    if listener.tls.is_some() && seen.snapshot.turns_away(peer) {
        let why = format!("every list denies {peer} everything: the connection is closed before the handshake");
        return Err(told.hang_up("acl", why, Fault::AclDenied));
    }
    let (open, most) = (listener.gauge.of(peer), listener.max_connections_per_ip);
    if ends.counted().is_some() && open >= most {
        let why = format!("{open} connections of the client are open, and there may be {most}");
        return Err(told.hang_up("max_connections_per_ip", why, Fault::TooManyOfPeer));
    }
    let Some(frontend) = &listener.tls else {
        if url.secure {
            let why = "the listener speaks no TLS: it makes nothing of the handshake".to_owned();
            return Err(told.no_handshake(why, ""));
        }
        return Ok(None);
    };
    if !url.secure {
        told.refuses("tls", "the listener speaks TLS, and the URL says http".to_owned());
        return Err(Fault::PlainHttp.into());
    }
    // An address is no server name (RFC 6066 §3).
    let name = Some(url.host.as_str()).filter(|host| host.parse::<IpAddr>().is_err());
    match frontend.foresee(name, ends.local_ip()) {
        Ok((facts, why)) => {
            told.explanation.certificate = Some(shown(&facts, why, ends.local_ip()));
            Ok(Some(facts))
        }
        Err(error) => Err(told.no_handshake(error.to_string(), error.cause())),
    }
}

fn shown(facts: &tls::Facts, why: tls::Why, local: IpAddr) -> explanation::Certificate {
    let name = facts.server_name.as_deref().unwrap_or_default();
    let parent = name.split_once('.').map_or("", |(_, parent)| parent);
    let nameless = |why: &str| format!("the client sends no name, no certificate has {local}, and this one is {why}");
    explanation::Certificate {
        name: facts.identity.name.to_string(),
        names: facts.identity.pair.names.to_string(),
        why: match why {
            tls::Why::Name => format!("it has the name {name}"),
            tls::Why::Wildcard => format!("it has the wildcard *.{parent}"),
            tls::Why::Address => format!("the client sends no name, and it has the address {local}"),
            tls::Why::ListenerDefault => nameless("the listener's default_certificate"),
            tls::Why::Default => nameless("marked as the default"),
            tls::Why::Only => nameless("the only one"),
        },
    }
}

/// What comes of the request: see `exchange`.
fn answer(case: &Case<'_>, request: &mut Request, length: Length, told: &mut Telling) -> Result<End, Stop> {
    let host = checked_host(request, case.tls.as_ref()).map_err(|fault| match fault {
        Fault::Misdirected => told.refused("host", "the certificate of the connection does not cover it", fault),
        _ => told.refused("host", "it is no host", fault),
    })?;
    let host = host.into_name().into_owned();
    told.explanation.request.host.clone_from(&host);
    let (path, has_encoded_slash) = path(request, told)?;
    let own = case.listener.status_path.contains(&path);
    let route = if own { None } else { find(case, request, (&host, &path), told) };
    admission::admit(case, request, (&host, &path, route), told)?;
    if own {
        told.answers("status_path", "the gateway answers with its own status");
        return Ok(End::Answered { status: if case.seen.draining { 503 } else { 200 }, location: String::new() });
    }
    let mut response = crate::proxy::message::Response::default();
    if let Some(port) = case.listener.redirect_https {
        // Whichever it is, it serves where the redirect leads to.
        told.explanation.forget_route();
        told.answers("redirect_https", "the listener sends everything to HTTPS");
        policy::to_https(request, &host, port, &mut response);
        return Ok(End::of(&response));
    }
    let route = route.ok_or_else(|| told.refused("route", "no route serves this host and path", Fault::NoRoute))?;
    if has_encoded_slash && route.encoded_slash == EncodedSlash::Refuse {
        let why = "the path has an encoded slash, which readers disagree on";
        return Err(told.refused("encoded_slash", why, Fault::Malformed(Malformed::Path)));
    }
    if route.policies.answer(request, sending::origin(request), &mut response) {
        told.answers("cors", "the gateway answers preflights itself");
        return Ok(End::of(&response));
    }
    guard::guard(route, length, request, told)?;
    sending::send(case, request, (route, &path, &host), length, told)
}

/// The deciding path, and whether it has an encoded slash.
fn path(request: &Request, told: &mut Telling) -> Result<(String, bool), Stop> {
    let why = "it has a spelling that readers disagree on";
    let path: Deciding<'_> = deciding(request).map_err(|fault| told.refused("path", why, fault))?;
    told.explanation.request.path = path.as_str().to_owned();
    Ok((path.as_str().to_owned(), path.has_encoded_slash()))
}

/// The route, and what is to be told of it.
fn find<'a>(
    case: &Case<'a>,
    request: &Request,
    (host, path): (&str, &str),
    told: &mut Telling,
) -> Option<&'a Arc<Route>> {
    let facts = Facts { listener: &case.listener.name, host, path, request };
    let snapshot: &'a Snapshot = case.seen.snapshot;
    let tried = snapshot.routes.tried(&facts, MOST_PASSED_OVER);
    let passed = tried.iter().filter_map(|tried| Some((tried, tried.lack?)));
    told.explanation.passed_over = passed.map(|(tried, lack)| telling::passed_over(&tried.target.name, lack)).collect();
    let mut serving = tried.iter().filter(|tried| tried.lack.is_none());
    if let Some(found) = serving.next() {
        let (name, matched) = (found.target.name.clone(), found.matched(&facts));
        told.explanation.route = Some(explanation::Route { name, matched, ..explanation::Route::default() });
    }
    told.explanation.next_route = serving.next().map(|next| next.target.name.clone());
    snapshot.routes.find(&facts)
}

/// How long the body is, as the head announces it.
fn length(facts: &server::Facts) -> Length {
    match facts.framing {
        Some(Framing::Length(length)) => Length::Known(length),
        Some(Framing::Chunked) => Length::Unknown,
        Some(Framing::Empty | Framing::Close) | None => Length::Empty,
    }
}
