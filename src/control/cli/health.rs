//! What `portcullis status` says of the health of backends: a cell in their table, and below it what is down, and why.

use super::table::{ago, plain};
use crate::control::admin::status::{Backend, Health, Pool};

/// One cell: how many of its addresses are up, and whether that is about to change.
pub(super) fn cell(backend: &Backend) -> String {
    let up = backend.health.iter().filter(|health| is_up(health)).count();
    match backend.health.as_slice() {
        [] => "-".to_owned(),
        [one] => {
            let failed = one.last.as_ref().is_some_and(|last| last.problem.is_some());
            match (is_up(one), failed) {
                (true, true) => format!("up, {} failed", one.in_a_row),
                (false, false) => format!("down, {} good", one.in_a_row),
                _ => one.state.clone(),
            }
        }
        several if up == several.len() => "up".to_owned(),
        several => format!("{up} of {} up", several.len()),
    }
}

/// What is down, a line each, and the pools that ask it all the same; nothing where nothing is.
pub(super) fn told(pools: &[Pool]) -> String {
    let mut text = String::new();
    for pool in pools {
        for backend in &pool.backends {
            for health in backend.health.iter().filter(|health| !is_up(health)) {
                text += &format!("  {}\n", plain(&line(&pool.name, backend, health)));
            }
        }
    }
    if !text.is_empty() {
        text.insert_str(0, "Backends that are down:\n");
    }
    for pool in pools.iter().filter(|pool| pool.asks_all) {
        let name = plain(&pool.name);
        text += &format!("Too few backends of {name} are up: those that are down are asked too.\n");
    }
    text
}

fn line(pool: &str, backend: &Backend, health: &Health) -> String {
    let mut line = format!("{pool} {}", backend.url);
    if backend.health.len() > 1 {
        line += &format!(" at {}", health.address);
    }
    line += &format!(", for {}: {}", ago(health.seconds), health.reason.as_deref().unwrap_or("unknown"));
    let now = health.last.as_ref().and_then(|last| last.problem.as_ref());
    if let Some(now) = now.filter(|now| Some(*now) != health.reason.as_ref()) {
        line += &format!("; now {now}");
    }
    line
}

fn is_up(health: &Health) -> bool {
    health.state != "down"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::admin::status::Probe;

    fn health(address: &str, reason: Option<&str>, last: Option<&str>, in_a_row: u32) -> Health {
        Health {
            address: address.into(),
            state: if reason.is_some() { "down" } else { "up" }.into(),
            seconds: 192,
            reason: reason.map(str::to_owned),
            in_a_row,
            last: Some(Probe { problem: last.map(str::to_owned), ..Probe::default() }),
            ..Health::default()
        }
    }

    fn backend(health: Vec<Health>) -> Backend {
        Backend { url: "http://a:80".into(), health, ..Backend::default() }
    }

    #[test]
    fn a_cell_says_how_it_is_and_what_is_coming() {
        let (good, bad) = (|| health("1", None, None, 9), || health("2", Some("status 503"), Some("status 503"), 4));
        for (of, shown) in [
            (vec![], "-"),
            (vec![good()], "up"),
            (vec![health("1", None, Some("status 500"), 2)], "up, 2 failed"),
            (vec![bad()], "down"),
            (vec![health("1", Some("status 500"), None, 1)], "down, 1 good"),
            (vec![good(), good()], "up"),
            (vec![good(), bad()], "1 of 2 up"),
        ] {
            assert_eq!(cell(&backend(of)), shown);
        }
    }

    #[test]
    fn what_is_down_is_told_with_its_reason() {
        let pool = |health, asks_all| {
            let (name, backends) = ("web".into(), vec![backend(health)]);
            Pool { name, backends, asks_all, ..Pool::default() }
        };
        assert_eq!(told(&[pool(vec![health("1", None, None, 9)], false)]), "");
        let one = health("1", Some("status 503"), Some("status 503"), 4);
        assert_eq!(
            told(&[pool(vec![one.clone()], false)]),
            "Backends that are down:\n  web http://a:80, for 3m 12s: status 503\n"
        );
        let other = health("2", Some("status 503"), Some("connect_failed: refused\x1b"), 4);
        assert_eq!(
            told(&[pool(vec![one, other], true)]),
            "Backends that are down:\n  web http://a:80 at 1, for 3m 12s: status 503\n  \
             web http://a:80 at 2, for 3m 12s: status 503; now connect_failed: refused\u{fffd}\n\
             Too few backends of web are up: those that are down are asked too.\n"
        );
    }
}
