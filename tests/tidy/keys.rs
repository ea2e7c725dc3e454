//! Every key of `config/reference.toml` is changed by a test that looks at the running gateway. A new key needs a test, and its
//! line here.

use std::collections::BTreeSet;
use std::fs;

use crate::seen::SEEN;
use crate::{none, root};

#[test]
fn every_key_is_seen_by_a_test_of_the_running_gateway() {
    let text = fs::read_to_string(root().join("config/reference.toml")).unwrap();
    let mut keys = BTreeSet::new();
    collect(&toml::from_str(&text).unwrap(), "", &mut keys);
    let seen: BTreeSet<String> = SEEN.iter().flat_map(|(_, _, keys)| *keys).map(|key| (*key).to_owned()).collect();
    let unseen =
        keys.difference(&seen).map(|key| format!("{key}: no test changes it and looks; write one, then list it"));
    let unknown = seen.difference(&keys).map(|key| format!("{key}: config/reference.toml has no such key"));
    none(&unseen.chain(unknown).collect::<Vec<_>>());
}

#[test]
fn the_tests_that_see_keys_are_there_and_name_them() {
    let mut wrong = Vec::new();
    for (file, test, keys) in SEEN {
        let text = fs::read_to_string(root().join(format!("tests/gateway/{file}.rs"))).unwrap();
        let marked = format!("#[test]\nfn {test}()");
        if !text.contains(&marked) {
            wrong.push(format!("tests/gateway/{file}.rs: no test {test}"));
        }
        // Some keys stand in the pieces that many configs begin with.
        let pieces = fs::read_to_string(root().join("tests/gateway/support/configs.rs")).unwrap();
        for key in *keys {
            let word = key.rsplit('.').next().unwrap();
            if ![&text, &pieces].iter().any(|text| names(text, word)) {
                wrong.push(format!("tests/gateway/{file}.rs does not name {key}"));
            }
        }
    }
    none(&wrong);
}

/// Whether `text` has the key: set with `=`, opened as a table, or as a string on its own.
fn names(text: &str, key: &str) -> bool {
    // As a string has it.
    let text = text.replace("\\n", "\n");
    [format!("{key} ="), format!(".{key}]"), format!("[{key}]"), format!("\"{key}\"")].iter().any(|form| {
        text.match_indices(form.as_str()).any(|(at, _)| {
            !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || matches!(before, '_' | '-'))
                // As Rust writes it, a variable.
                && !text[..at].ends_with("let ")
        })
    })
}

/// Tables whose keys are names that users choose.
const OF_USERS: [&str; 8] = [
    "route.split",
    "route.header",
    "route.validate.headers",
    "route.query",
    "route.request_headers.set",
    "route.request_headers.add",
    "route.response_headers.set",
    "route.response_headers.add",
];

/// The keys of a table, each with the tables that it is in. What holds only tables is no key of its own.
fn collect(value: &toml::Table, path: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in value {
        let named = if path == "pool" { "*" } else { key };
        let path = if path.is_empty() { named.to_owned() } else { format!("{path}.{named}") };
        match value {
            toml::Value::Table(_) if OF_USERS.contains(&path.as_str()) => drop(keys.insert(path)),
            toml::Value::Table(table) => collect(table, &path, keys),
            toml::Value::Array(list) => {
                let tables: Vec<_> = list.iter().filter_map(toml::Value::as_table).collect();
                tables.iter().for_each(|table| collect(table, &path, keys));
                if tables.len() < list.len() || list.is_empty() {
                    keys.insert(path);
                }
            }
            _ => drop(keys.insert(path)),
        }
    }
}
