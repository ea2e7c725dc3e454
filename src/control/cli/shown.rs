//! An explanation as people read it.

use super::table::{Table, plain};
use crate::proxy::explain::Explanation;
use crate::proxy::explain::explanation::{Backend, Candidate, Kind, Outcome, Pool, Route, Says, Verdict};

/// The whole, top down: the request, whom it meets, what they say, how it ends.
pub(super) fn shown(explanation: &Explanation) -> String {
    let request = &explanation.request;
    let head = format!("{} {} from {}\n", request.method, request.url, request.from);
    let parts = [
        plain_lines(&head),
        met(explanation),
        verdicts(&explanation.verdicts),
        explanation.backend.as_ref().map(sent).unwrap_or_default(),
        plain_lines(&format!("=> {}\n", ended(&explanation.outcome, explanation.backend.as_ref()))),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Line by line, so that nothing in a line can end it.
fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line) + "\n").collect()
}

/// Listener, certificate, client, path and route.
fn met(explanation: &Explanation) -> String {
    let Explanation { request, listener, certificate, route, .. } = explanation;
    let mut lines: Vec<(&str, String)> = Vec::new();
    let addresses = listener.addresses.join(", ");
    lines.push(("listener", format!("{} ({addresses}): {}", listener.name, listener.why)));
    if let Some(certificate) = certificate {
        lines.push(("certificate", format!("{} ({}): {}", certificate.name, certificate.names, certificate.why)));
    }
    if request.client != request.from {
        lines.push(("client", format!("{}, whom the trusted proxy names", request.client)));
    }
    if !request.path.is_empty() {
        lines.push(("path", request.path.clone()));
    }
    match route {
        Some(route) => lines.push(("route", of_route(route))),
        None if explanation.passed_over.is_empty() => {}
        None => lines.push(("route", "none".to_owned())),
    }
    for passed in &explanation.passed_over {
        let lack = match passed.lack.as_str() {
            "listener" => "does not serve on this listener",
            "method" => "serves other methods",
            "header" => "wants other header fields",
            _ => "wants another query",
        };
        lines.push(("", format!("passes over {}, which {lack}", passed.name)));
    }
    if let Some(next) = explanation.next_route.as_ref().filter(|_| route.is_some()) {
        lines.push(("", format!("the next would be {next}")));
    }
    lines.iter().map(|(name, text)| plain(&format!("{name:<11}  {text}")) + "\n").collect()
}

fn of_route(route: &Route) -> String {
    let place = if route.place.is_empty() { String::new() } else { format!(" ({})", route.place) };
    format!("{}{place}: {}", route.name, route.matched.join("; "))
}

fn verdicts(verdicts: &[Verdict]) -> String {
    let mut table = Table::new(["ASKED", "SAYS", "WHY"]);
    for verdict in verdicts {
        let says = match verdict.says {
            Says::Passes => "passes",
            Says::Changes => "changes",
            Says::WouldRefuse => "would refuse",
            Says::Refuses => "refuses",
            Says::Answers => "answers",
            Says::Open => "open",
        };
        let place = verdict.list.as_ref().map(|list| list.place.as_str()).filter(|place| !place.is_empty());
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        table.row([verdict.by.clone(), says.to_owned(), format!("{}{place}", verdict.why)]);
    }
    table.show()
}

/// What a backend gets, and who may be it.
fn sent(backend: &Backend) -> String {
    let mut table =
        Table::new(["POOL", "BALANCE", "CANDIDATE", "ADDRESS", "WEIGHT", "STATE", "ACTIVE", "SCORE", "PICKED"]);
    for pool in &backend.pools {
        for candidate in &pool.candidates {
            let Candidate { url, address, active, .. } = candidate;
            let (name, balance) = (pool.name.clone(), pool.balance.clone());
            let picked = if candidate.picked { "yes" } else { "" };
            let weight = format!("{}{}", candidate.weight, if candidate.backup { ", backup" } else { "" });
            let (score, active) = (score(pool, candidate), active.to_string());
            let state = if candidate.available { "up" } else { "down" }.to_owned();
            table.row([name, balance, url.clone(), address.clone(), weight, state, active, score, picked.to_owned()]);
        }
    }
    let more = backend.pools.iter().filter(|pool| pool.more > 0);
    let more: String = more.map(|pool| plain(&format!("and {} more in {}", pool.more, pool.name)) + "\n").collect();
    table.show() + &more
}

fn score(pool: &Pool, candidate: &Candidate) -> String {
    match candidate.score {
        // What asks to be left alone costs more than anything.
        Some(score) if score > 1e9 => format!("{} held", pool.score),
        Some(score) => format!("{} {score:.2}", pool.score),
        None => String::new(),
    }
}

fn ended(outcome: &Outcome, backend: Option<&Backend>) -> String {
    let status = outcome.status.map(|status| format!("{status} ")).unwrap_or_default();
    let observed = match outcome.observed.as_slice() {
        [] => String::new(),
        list => format!("; what only observes would have refused it: {}", list.join(", ")),
    };
    let end = match outcome.kind {
        Kind::Forwarded => forwarded(outcome, backend),
        Kind::Answered if !outcome.location.is_empty() => format!("{status}to {}", outcome.location),
        Kind::Answered => format!("{status}by the gateway itself"),
        Kind::Refused => format!("{status}refused: {} (Proxy-Status: {})", outcome.reason, outcome.proxy_status),
        Kind::HungUp if outcome.reason.is_empty() => "no answer: the connection is closed".to_owned(),
        Kind::HungUp => format!("no answer: the connection is closed ({})", outcome.reason),
    };
    end + &observed
}

fn forwarded(outcome: &Outcome, backend: Option<&Backend>) -> String {
    let target = backend.map_or("", |backend| backend.target.as_str());
    if outcome.pool.is_empty() {
        return format!("forwarded as {target} to one of the pools, by weight");
    }
    let pools = backend.into_iter().flat_map(|backend| &backend.pools).filter(|pool| pool.name == outcome.pool);
    let picked = pools.flat_map(|pool| &pool.candidates).find(|candidate| candidate.picked);
    let picked = picked.map(|candidate| format!(", there to {}", candidate.url)).unwrap_or_default();
    format!("forwarded as {target} to the pool {}{picked}", outcome.pool)
}
