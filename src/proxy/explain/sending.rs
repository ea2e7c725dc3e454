//! What a route does with a request that was let in: its answer, or what a backend gets and which that may be.

use std::sync::Arc;

use super::Case;
use super::explanation::{Backend, Candidate, Pool, Says};
use super::telling::{End, Stop, Telling};
use crate::base::size::Size;
use crate::proxy::balance::{self, Asking, Nobody};
use crate::proxy::exchange::{body_limit, exceeds, prepare};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::Length;
use crate::proxy::http::forwarded::{Forwarding, RequestIds};
use crate::proxy::message::{Name, Request, Response};
use crate::proxy::policy::headers::{self, Outline};
use crate::proxy::policy::{Split, SplitBy};
use crate::proxy::snapshot::{Action, Route};

/// Endpoints of a pool are told up to so many.
const MOST_CANDIDATES: usize = 100;

/// The pools of a route with their shares, and the one that is certain.
struct Choice<'r> {
    shares: Vec<(u64, &'r Arc<balance::Pool>)>,
    certain: Option<&'r Arc<balance::Pool>>,
}

/// The one origin that a request names; none where there are several.
pub(super) fn origin(request: &Request) -> Option<&[u8]> {
    let mut origins = request.fields.all(Name::Origin);
    origins.next().filter(|_| origins.next().is_none())
}

/// What the route's action comes to.
pub(super) fn send(
    case: &Case<'_>,
    request: &mut Request,
    (route, path, host): (&Arc<Route>, &str, &str),
    length: Length,
    told: &mut Telling,
) -> Result<End, Stop> {
    let mut response = Response::default();
    let choice = match &route.action {
        Action::Redirect(redirect) => {
            redirect.answer(request, &mut response);
            told.answers("redirect", "the route redirects");
            on_answer(case, route, host, told);
            return Ok(End::of(&response));
        }
        Action::Respond(respond) => {
            let _body = respond.answer(&mut response);
            told.answers("respond", "the route answers by itself");
            on_answer(case, route, host, told);
            return Ok(End::of(&response));
        }
        Action::Forward(pool) => Choice { shares: vec![(1, pool)], certain: Some(pool) },
        Action::Split(split) => share(case, split, request, told)?,
    };
    if let Some(rewrite) = &route.rewrite {
        let why = "its prefix is spelled in another way than routes read it";
        let applied = rewrite.apply(request, path);
        applied.map_err(|malformed| told.refused("rewrite", why, Fault::Malformed(malformed)))?;
        told.changes("rewrite", format!("the backend gets {}", text(request.path())));
    }
    make_ready(case, route, request, told)?;
    mirror(route, request, told);
    limit_body(route, request, length, told)?;
    told.explanation.backend = Some(Backend {
        target: text(request.target()),
        fields: request.fields.iter().map(|(_, name, _)| text(name)).collect(),
        pools: choice.shares.iter().map(|(share, pool)| described(case, *share, pool, request)).collect(),
    });
    pick(case, &choice, request, told)?;
    on_answer(case, route, host, told);
    Ok(End::Forwarded { pool: choice.certain.map(|pool| pool.name.clone()) })
}

/// The shares of a split.
fn share<'r>(
    case: &Case<'_>,
    split: &'r Split<Arc<balance::Pool>>,
    request: &Request,
    told: &mut Telling,
) -> Result<Choice<'r>, Stop> {
    let certain = split.foresee(request, case.client.address);
    let by = match split.by() {
        SplitBy::Request => "each request is shared out anew",
        SplitBy::Ip => "the client's address decides",
        SplitBy::Cookie => "the cookie decides",
    };
    let shares: Vec<_> = split.shares().collect();
    let total: u64 = shares.iter().map(|(share, _)| share).sum();
    let parts: Vec<String> = shares.iter().map(|(share, pool)| format!("{} {share}", pool.name)).collect();
    let parts = format!("{by} over {} of {total}", parts.join(", "));
    match (certain, total) {
        (_, 0) => return Err(told.refused("split", "no pool has a share", Fault::NoBackend)),
        (Some(pool), _) => told.say("split", Says::Passes, format!("{parts}: {}", pool.name)),
        (None, _) if split.by() == SplitBy::Cookie => {
            told.say("split", Says::Open, format!("{parts}; the client has none yet and is given one"))
        }
        (None, _) => told.say("split", Says::Open, parts),
    };
    Ok(Choice { shares, certain })
}

/// See `Exchange::make_ready`.
fn make_ready(case: &Case<'_>, route: &Route, request: &mut Request, told: &mut Telling) -> Result<(), Stop> {
    let forwarding = Forwarding { client: case.client, tls: case.tls.is_some() };
    // The ids are of no request.
    let mut ids = RequestIds::new(fastrand::Rng::with_seed(0));
    let why = "its `Connection` is too long to be obeyed";
    prepare(request, &forwarding, &mut ids).map_err(|fault| told.refused("headers", why, fault))?;
    if !case.client.trusted_peer {
        case.seen.snapshot.identity.strip(&mut request.fields);
    }
    if let Some(auth) = &route.auth {
        auth.apply(&mut request.fields, None);
    }
    if route.policies.change_requests() {
        let facts = headers::Facts {
            client: case.client.address,
            request_id: request.fields.first(Name::XRequestId).unwrap_or_default(),
            authority: request.authority(),
            listener: &case.listener.name,
            route: &route.name,
            tls: case.tls.as_ref().map(|tls| headers::TlsFacts {
                version: tls.version,
                cipher: tls.cipher,
                server_name: tls.server_name.as_deref().unwrap_or_default(),
            }),
        };
        let values = route.policies.values(&facts);
        route.policies.on_request(request, &values);
        told.changes("request_headers", outlined(&route.policies.outlines().0));
    }
    Ok(())
}

fn mirror(route: &Route, request: &Request, told: &mut Telling) {
    let Some(mirror) = &route.mirror else { return };
    let (pool, percent) = (&mirror.target.name, mirror.percent());
    if request.tunnel {
        told.say("mirror", Says::Passes, format!("upgrades are not copied to {pool}"));
    } else {
        told.say("mirror", Says::Open, format!("{percent} of 100 requests are copied to {pool}, bodies up to 64 KiB"));
    }
}

fn limit_body(route: &Route, request: &Request, length: Length, told: &mut Telling) -> Result<(), Stop> {
    let Some(limit) = body_limit(route, request) else { return Ok(()) };
    let announced = match length {
        Length::Known(length) => format!("a body of {length} bytes"),
        Length::Unknown => "a body of unknown length".to_owned(),
        Length::Empty | Length::Tunnel => "no body".to_owned(),
    };
    let why = format!("{announced}, and there may be {}", Size(limit));
    if exceeds(length, Some(limit)) {
        return Err(told.refused("body_limit", &why, Fault::BodyTooLarge));
    }
    let says = if length == Length::Unknown { Says::Open } else { Says::Passes };
    told.say("body_limit", says, why);
    Ok(())
}

/// Whether there is somebody to send it to.
fn pick(case: &Case<'_>, choice: &Choice<'_>, request: &Request, told: &mut Telling) -> Result<(), Stop> {
    let possible: Vec<_> = match choice.certain {
        Some(pool) => vec![pool],
        None => choice.shares.iter().filter(|(share, _)| *share > 0).map(|(_, pool)| *pool).collect(),
    };
    let mut refusing = Vec::new();
    for pool in &possible {
        let (says, why) = match stands(case, pool, request) {
            Ok(None) => continue,
            Ok(Some((says, why))) => (says, why),
            Err((fault, why)) => {
                refusing.push(fault);
                // Another pool may have one.
                (if possible.len() == 1 { Says::Refuses } else { Says::Open }, why)
            }
        };
        told.say("pool", says, format!("{}: {why}", pool.name));
    }
    match refusing.first() {
        Some(fault) if refusing.len() == possible.len() => Err((*fault).into()),
        Some(_) | None => Ok(()),
    }
}

/// What is to be said of a pool, where there is anything.
///
/// # Errors
/// Where it would refuse the request.
fn stands(case: &Case<'_>, pool: &balance::Pool, request: &Request) -> Result<Option<(Says, String)>, (Fault, String)> {
    let prospect = pool.foresee(&asking(case, request));
    let named = pool.backends.iter().any(|backend| backend.url.question().is_some());
    let (waiting, room) = (pool.waiting(), pool.queue.queue);
    if !case.seen.resolved && named {
        return Ok(Some((Says::Open, "names of its backends are not looked up for a file".to_owned())));
    }
    match prospect.nobody {
        None if pool.asks_all() => {
            let why = "too few of its backends are available, so that all of them are asked";
            Ok(Some((Says::Passes, why.to_owned())))
        }
        None => Ok(None),
        Some(Nobody::Full) => {
            let why = format!("its backends have as many requests as they may; {waiting} wait, and {room} may");
            if waiting < room { Ok(Some((Says::Open, why))) } else { Err((Fault::QueueFull, why)) }
        }
        Some(Nobody::BreakerOpen(wait)) => {
            let seconds = wait.as_secs_f64();
            Err((Fault::BreakerOpen, format!("the breakers of its backends are open, the first for {seconds:.1} s")))
        }
        Some(Nobody::NoBackend) => Err((Fault::NoBackend, "it has no backend that may be asked".to_owned())),
    }
}

fn asking<'r>(case: &Case<'_>, request: &'r Request) -> Asking<'r> {
    Asking { tried: &[], client: case.client.address, request, now: case.seen.now }
}

/// A pool, and whom it would pick.
fn described(case: &Case<'_>, share: u64, pool: &balance::Pool, request: &Request) -> Pool {
    let prospect = pool.foresee(&asking(case, request));
    let total = prospect.candidates.len();
    // Whom it would pick is told whatever place it has.
    let told =
        prospect.candidates.iter().enumerate().filter(|(at, candidate)| *at < MOST_CANDIDATES || candidate.picked);
    let candidates = told.map(|(_, candidate)| Candidate {
        url: candidate.endpoint.url.text.clone(),
        address: candidate.endpoint.address.to_string(),
        weight: candidate.weight,
        backup: candidate.backup,
        active: candidate.endpoint.load.active(),
        available: candidate.endpoint.standing.is_available(),
        score: candidate.score,
        picked: candidate.picked,
    });
    let candidates: Vec<Candidate> = candidates.collect();
    let more = total - candidates.len();
    Pool {
        name: pool.name.clone(),
        share,
        balance: pool.algorithm().name().to_owned(),
        score: prospect.score.to_owned(),
        candidates,
        more,
    }
}

/// What is done to the answer on its way back.
fn on_answer(case: &Case<'_>, route: &Route, host: &str, told: &mut Telling) {
    if case.tls.is_some() && case.seen.snapshot.hsts.value(host).is_some() {
        told.changes("hsts", "the answer says Strict-Transport-Security");
    }
    if route.policies.has_cors() {
        told.changes("cors", "the answer says which pages of other origins may read it");
    }
    if route.policies.has_security_headers() {
        told.changes("security_headers", "the answer gets those that it does not have");
    }
    let outline = route.policies.outlines().1;
    if outline != Outline::default() {
        told.changes("response_headers", outlined(&outline));
    }
}

fn outlined(outline: &Outline) -> String {
    let lists = [("removes", &outline.remove), ("sets", &outline.set), ("adds", &outline.add)];
    let told = lists.iter().filter(|(_, list)| !list.is_empty());
    told.map(|(verb, list)| format!("{verb} {}", list.join(", "))).collect::<Vec<_>>().join("; ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
