//! `portcullis status`: what is live.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::ask::{Address, Gateway};
use super::table::{Table, ago, plain};
use super::{counts, health};
use crate::control::admin::status::{Backend, Breaker, PATH, Pool, Problem, Status};

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis status                      of the gateway that serves config/portcullis.toml
  portcullis status --json | jq .pools
  portcullis status --ready --admin 127.0.0.1:9901    for a health check: needs neither config nor token
  portcullis status --admin 10.0.0.5:9901 --token-file admin.token

The config says where the gateway's admin listener is and where its token stands.
Exit codes: 0 shown or ready, 1 no gateway there, not ready, or the token refused, 2 bad config.";

/// Which gateway to ask and how to show it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Prints the whole status as JSON
    #[arg(long)]
    json: bool,
    /// Asks only whether requests should come here: not while it starts or drains
    #[arg(long, conflicts_with = "json")]
    ready: bool,
    /// The config that the gateway serves
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "config/portcullis.toml")]
    file: PathBuf,
    #[command(flatten)]
    address: Address,
}

pub(super) fn run(options: &Options) -> ExitCode {
    // Readiness is told without a token.
    let gateway = match options.address.gateway(&options.file, !options.ready) {
        Ok(gateway) => gateway,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(crate::control::BAD_CONFIG);
        }
    };
    let shown = if options.ready { readiness(&gateway) } else { shown(&gateway, options.json) };
    match shown {
        Ok(text) => super::print(&text),
        Err(problem) => {
            eprintln!("portcullis: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn readiness(gateway: &Gateway) -> Result<String, String> {
    gateway.is_ready().map(|()| "ready\n".to_owned()).map_err(|error| error.to_string())
}

fn shown(gateway: &Gateway, json: bool) -> Result<String, String> {
    let body = gateway.ask(PATH).map_err(|error| error.to_string())?;
    let unreadable = |error| {
        format!("what answers on {gateway} is no gateway of this kind: {error}; `--admin` names another address")
    };
    if json {
        let whole: serde_json::Value = serde_json::from_slice(&body).map_err(unreadable)?;
        return Ok(format!("{whole:#}\n"));
    }
    Ok(for_people(&serde_json::from_slice(&body).map_err(unreadable)?))
}

fn for_people(status: &Status) -> String {
    let state = if status.ready { "serving" } else { "starting or draining" };
    let head = format!(
        "portcullis {}: {state} for {}, config {} (generation {}), {}, {}\n",
        plain(&status.version),
        ago(status.uptime_seconds),
        plain(&status.config_file),
        status.generation,
        number(status.routes, "route"),
        number(status.workers.into(), "worker"),
    );
    let parts = [head, problems(&status.problems), listeners(status), pools(status), certificates(status)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn problems(problems: &[Problem]) -> String {
    let Some(_) = problems.first() else { return String::new() };
    let mut text = String::from("The last reload was refused; the config before it serves on:\n");
    for problem in problems {
        let place = match (problem.file.as_str(), problem.line) {
            ("", _) => String::new(),
            (file, 0) => format!("{file}: "),
            (file, line) => format!("{file}:{line}:{}: ", problem.column),
        };
        text += &format!("  {}\n", plain(&format!("{place}{}", problem.message)));
        if !problem.advice.is_empty() {
            text += &format!("    {}\n", plain(&problem.advice));
        }
    }
    text
}

fn listeners(status: &Status) -> String {
    let mut table = Table::new(["LISTENER", "ADDRESSES", "TLS", "CONNECTIONS"]);
    for listener in &status.listeners {
        let tls = if listener.tls { "yes" } else { "no" };
        let open = listener.connections_open.to_string();
        table.row([listener.name.clone(), listener.addresses.join(", "), tls.into(), open]);
    }
    table.show()
}

fn pools(status: &Status) -> String {
    let mut table =
        Table::new(["POOL", "BALANCE", "BACKEND", "ADDRESSES", "WEIGHT", "HEALTH", "ACTIVE", "REQUESTS", "FAILURES"]);
    let (mut problems, mut breakers) = (String::new(), String::new());
    for pool in &status.pools {
        for backend in &pool.backends {
            let addresses = backend.addresses.len() as u64;
            let [addresses, active, requests, failures] =
                [addresses, backend.active_requests, backend.requests, backend.failures]
                    .map(|number: u64| number.to_string());
            let weight = weight(backend);
            let (name, balance, url) = (pool.name.clone(), pool.balance.clone(), backend.url.clone());
            table.row([name, balance, url, addresses, weight, health::cell(backend), active, requests, failures]);
            if let Some(problem) = &backend.problem {
                problems += &format!("  {}\n", plain(&format!("{}: {problem}", backend.url)));
            }
            let open = backend.breakers.iter().filter(|breaker| breaker.since.is_some() && breaker.state != "closed");
            breakers.extend(open.map(|breaker| format!("  {}\n", plain(&open_breaker(pool, backend, breaker)))));
        }
    }
    if !problems.is_empty() {
        problems.insert_str(0, "Names that do not resolve; the addresses they had last serve on:\n");
    }
    if !breakers.is_empty() {
        breakers.insert_str(0, "Breakers that are not closed:\n");
    }
    table.show() + &problems + &health::told(&status.pools) + &breakers + &counts::told(status)
}

/// A breaker that is not closed: since when, why, and the last request that it went by.
fn open_breaker(pool: &Pool, backend: &Backend, breaker: &Breaker) -> String {
    let state = breaker.state.replace('_', " ");
    let until = breaker.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let observed = if breaker.observed { ", observed only" } else { "" };
    let mut text = format!("{} {} {}: {state}{until}{observed}", pool.name, backend.url, breaker.address);
    if let Some(change) = breaker.history.iter().rev().find(|change| change.to == "open") {
        text += &format!("; {} at {}", change.why, change.at);
        if let Some(last) = change.evidence.last() {
            text += &format!(", the last: {} after {} ms", last.got, last.milliseconds);
        }
    }
    text
}

/// The weight that the config gives a backend; what it is now, where that is another; and whether it stands back.
fn weight(backend: &Backend) -> String {
    let mut text = backend.weight.to_string();
    // A gateway that is older than this program does not tell.
    if backend.current_weight > 0.0 && backend.current_weight != f64::from(backend.weight) {
        text += &format!(", now {:.2}", backend.current_weight);
    }
    if backend.backup {
        text += ", backup";
    }
    text
}

fn certificates(status: &Status) -> String {
    let mut table = Table::new(["CERTIFICATE", "NAMES", "EXPIRES", "DAYS LEFT", "FILES"]);
    let mut problems = String::new();
    for certificate in &status.certificates {
        let (names, files) = (certificate.names.join(", "), certificate.files.join(", "));
        let left = certificate.days_left.to_string();
        table.row([certificate.name.clone(), names, certificate.not_after.clone(), left, files]);
        if let Some(problem) = &certificate.problem {
            problems += &format!("  {}\n", plain(&format!("{}: {problem}", certificate.name)));
        }
    }
    if !problems.is_empty() {
        problems.insert_str(0, "Changed files that were refused; the certificates above serve on:\n");
    }
    table.show() + &problems
}

fn number(number: u64, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::admin::status::{BreakerChange, BreakerEvidence, Certificate, Listener};

    fn status() -> Status {
        let backend = |url: &str, weight| Backend {
            url: url.into(),
            addresses: vec!["10.0.0.1:80".into()],
            weight,
            requests: 9,
            ..Backend::default()
        };
        Status {
            version: "0.1.0".into(),
            uptime_seconds: 3720,
            ready: true,
            workers: 2,
            generation: 7,
            config_file: "p.toml".into(),
            routes: 1,
            listeners: vec![Listener {
                name: "https".into(),
                addresses: vec!["0.0.0.0:443".into()],
                tls: true,
                connections_open: 3,
            }],
            pools: vec![Pool {
                name: "web".into(),
                balance: "round_robin".into(),
                backends: vec![backend("http://a:80", 5), backend("http://bb:80", 1)],
                ..Pool::default()
            }],
            ..Status::default()
        }
    }

    #[test]
    fn people_get_a_line_and_tables() {
        assert_eq!(
            for_people(&status()),
            "portcullis 0.1.0: serving for 1h 2m, config p.toml (generation 7), 1 route, 2 workers\n\
             \n\
             LISTENER  ADDRESSES    TLS  CONNECTIONS\n\
             https     0.0.0.0:443  yes  3\n\
             \n\
             POOL  BALANCE      BACKEND       ADDRESSES  WEIGHT  HEALTH  ACTIVE  REQUESTS  FAILURES\n\
             web   round_robin  http://a:80   1          5       -       0       9         0\n\
             web   round_robin  http://bb:80  1          1       -       0       9         0\n"
        );
    }

    #[test]
    fn weights_that_follow_what_is_measured_are_shown_beside_the_configs() {
        let backend = |weight, current_weight, backup| Backend { weight, current_weight, backup, ..Backend::default() };
        for (backend, shown) in [
            (backend(3, 3.0, false), "3"),
            (backend(3, 0.333, false), "3, now 0.33"),
            (backend(1, 1.0, true), "1, backup"),
            (backend(2, 0.0, false), "2"),
        ] {
            assert_eq!(weight(&backend), shown);
        }
    }

    #[test]
    fn breakers_that_are_not_closed_are_told_with_the_reason() {
        let mut status = status();
        let evidence =
            |got: &str, milliseconds| BreakerEvidence { got: got.into(), milliseconds, ..Default::default() };
        let change = |to: &str, why: &str, evidence| BreakerChange {
            to: to.into(),
            at: "2026-11-25T09:00:00Z".into(),
            why: why.into(),
            evidence,
        };
        let open = Breaker {
            address: "10.0.0.1:80".into(),
            state: "half_open".into(),
            since: Some("2026-11-25T09:00:30Z".into()),
            history: vec![
                change("open", "5 errors in a row", vec![evidence("503", 1), evidence("connect_failed", 3)]),
                change("half_open", "its time is over, a probe is sent", Vec::new()),
            ],
            ..Breaker::default()
        };
        let until = Some("2026-11-25T09:00:30Z".into());
        let observed = Breaker { state: "open".into(), until, observed: true, history: Vec::new(), ..open.clone() };
        let closed = Breaker { state: "closed".into(), ..open.clone() };
        status.pools[0].backends[1].breakers = vec![open, closed, observed];
        let text = for_people(&status);
        let told = "Breakers that are not closed:\n  \
             web http://bb:80 10.0.0.1:80: half open; 5 errors in a row at 2026-11-25T09:00:00Z, the last: connect_failed after 3 ms\n  \
             web http://bb:80 10.0.0.1:80: open until 2026-11-25T09:00:30Z, observed only\n";
        assert!(text.ends_with(told), "{text}");
    }

    #[test]
    fn problems_are_told_with_their_place_and_advice() {
        let mut status = status();
        let problem = Problem {
            file: "p.toml".into(),
            line: 3,
            column: 1,
            message: "unknown key `prot`".into(),
            advice: "did you mean `port`?".into(),
        };
        status.problems = vec![problem, Problem { message: "no\x1b[2J".into(), ..Problem::default() }];
        status.certificates = vec![Certificate {
            name: "c".into(),
            problem: Some("the key does not fit".into()),
            ..Certificate::default()
        }];
        status.pools[0].backends[1].problem = Some("it has no addresses".into());
        let text = for_people(&status);
        assert!(text.contains("had last serve on:\n  http://bb:80: it has no addresses\n\n"), "{text}");
        assert!(
            text.contains("\n  p.toml:3:1: unknown key `prot`\n    did you mean `port`?\n  no\u{fffd}[2J\n\n"),
            "{text}"
        );
        assert!(text.ends_with("serve on:\n  c: the key does not fit\n"), "{text}");
    }

    #[test]
    fn a_status_of_another_version_is_still_read() {
        let status: Status =
            serde_json::from_str(r#"{"version":"9","new":1,"pools":[{"name":"p","health":{}}]}"#).unwrap();
        assert_eq!((status.version.as_str(), status.pools[0].name.as_str()), ("9", "p"));
    }

    #[test]
    fn no_gateway_and_no_token_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let gateway = Gateway { address: closed.to_string(), token_file: token_file.clone() };
        assert!(shown(&gateway, false).unwrap_err().starts_with("cannot read the admin token"));
        crate::control::admin::Token::load_or_create(&token_file).unwrap();
        let problem = shown(&gateway, false).unwrap_err();
        assert!(problem.contains(&closed.to_string()) && problem.contains("is it running?"), "{problem}");
    }
}
