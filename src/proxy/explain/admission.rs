//! Limits and lists: whether the request is let in at all, in the order of the exchange.

use std::sync::Arc;

use super::Case;
use super::explanation::{Bucket, List, Says};
use super::telling::{Stop, Telling};
use crate::base::mode::Mode;
use crate::proxy::fault::Fault;
use crate::proxy::message::Request;
use crate::proxy::policy::acl::{self, Evidence, Of};
use crate::proxy::policy::rate_limit::{Asked, Exempt, Key, Left, Look};
use crate::proxy::snapshot::Route;

/// See `Exchange::admit`.
pub(super) fn admit(
    case: &Case<'_>,
    request: &Request,
    (host, path, route): (&str, &str, Option<&Arc<Route>>),
    told: &mut Telling,
) -> Result<(), Stop> {
    let limits = &case.seen.snapshot.rate_limits;
    let limited = route.filter(|_| case.listener.redirect_https.is_none());
    let asked = Asked { client: case.client.address, host, fields: &request.fields };
    let look = limited.map(|route| limits.look(&route.rate_limits, &asked, case.seen.now)).unwrap_or_default();
    let mode = if limits.observes() { Mode::Observe } else { Mode::Enforce };
    exempt(&look, told);
    for left in &look.own {
        limit(left, mode, told)?;
        if left.wait.is_some() {
            // Those behind it are not asked.
            break;
        }
    }
    let list = case.seen.snapshot.acl.deciding(route.map(Arc::as_ref), path);
    judge(case, list, told)?;
    let observed = told.observed.contains(&Fault::RateLimited);
    look.all.as_ref().filter(|_| !observed).map_or(Ok(()), |left| limit(left, mode, told))
}

fn exempt(look: &Look, told: &mut Telling) {
    let why = match look.exempt {
        None => return,
        Some(Exempt::Route) => "the route says that no limit holds for it".to_owned(),
        Some(Exempt::Client(network)) => format!("no limit holds for clients of {network}"),
    };
    told.say("rate_limit", Says::Passes, why);
}

/// What one bucket says.
fn limit(left: &Left, mode: Mode, told: &mut Telling) -> Result<(), Stop> {
    let whose = match &left.key {
        Key::Ip => "of the client".to_owned(),
        Key::Host => "of the host".to_owned(),
        Key::Route => "of all together".to_owned(),
        // The value may be a secret.
        Key::Header(name) => format!("of this value of {name}"),
    };
    let stands = format!("{}: {} of {} {whose} left at {}", left.name, left.left, left.burst, left.rate);
    let (says, why) = match left.wait {
        None => (Says::Passes, stands),
        Some(wait) => (objects(mode), format!("{stands}, the next in {:.1} s", wait.as_secs_f64())),
    };
    told.say("rate_limit", says, why).bucket = Some(Bucket {
        limit: left.name.clone(),
        key: left.key.to_string(),
        rate: left.rate.to_string(),
        burst: left.burst,
        left: left.left,
        wait_seconds: left.wait.map(|wait| wait.as_secs_f64()),
    });
    if left.wait.is_some() { told.object(Fault::RateLimited, mode) } else { Ok(()) }
}

/// What the list says that decides.
fn judge(case: &Case<'_>, list: &acl::List, told: &mut Telling) -> Result<(), Stop> {
    let client = case.client.address;
    let Evidence { network, objection } = list.evidence(client);
    let verb = if objection.is_some() { "denies" } else { "allows" };
    let why = match (network, objection) {
        (Some(network), _) => format!("{} decides: its {network} {verb} {client}", list.of),
        (None, Some(_)) => format!("{} decides: it allows others, and {client} is none of them", list.of),
        (None, None) => format!("{} decides: it has nothing against {client}", list.of),
    };
    let (of, path) = match &list.of {
        Of::Global => ("global", ""),
        Of::Rule(path) => ("rule", path.as_str()),
        Of::Route => ("route", ""),
    };
    told.say("acl", objection.map_or(Says::Passes, objects), why).list = Some(List {
        of: of.to_owned(),
        path: path.to_owned(),
        network: network.map(|network| network.to_string()),
        place: String::new(),
        denies: objection.is_some(),
    });
    objection.map_or(Ok(()), |mode| told.object(Fault::AclDenied, mode))
}

fn objects(mode: Mode) -> Says {
    match mode {
        Mode::Enforce => Says::Refuses,
        Mode::Observe => Says::WouldRefuse,
    }
}
