//! The config files that ship, and golden files of what is wrong with others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::{AdminListen, Config, Loaded, LogLevel, Overrides, line, schema};
use crate::base::settings::{Entry, Environment, Shape};

/// The config files in `folder`, sorted. Tests run in the root of the repository.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    files.sort();
    files
}

/// The variables that a file asks for in lines like `# env: NAME=value`.
fn environment(path: &Path) -> Environment {
    let text = fs::read_to_string(path).unwrap();
    let pairs = text.lines().filter_map(|line| line.strip_prefix("# env: ")?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn load(path: &str) -> Loaded {
    let path = Path::new(path);
    match Config::load(path, &environment(path), &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(failure) => panic!("{}\n{}", path.display(), failure.marked()),
    }
}

#[test]
fn every_config_that_ships_is_accepted_without_a_warning() {
    for path in files("config").iter().chain(&files("tests/config/valid")) {
        let loaded = load(path.to_str().unwrap());
        let warnings: Vec<String> = loaded.warnings.iter().map(|warning| line(warning, &loaded.sources)).collect();
        assert_eq!(warnings, Vec::<String>::new());
    }
}

/// `UPDATE_GOLDEN=1 cargo test --lib config` writes the expected texts anew; read the difference before committing it.
fn updating() -> bool {
    std::env::vars_os().any(|(name, _)| name == "UPDATE_GOLDEN")
}

#[test]
fn golden_every_bad_config_says_what_to_do() {
    for path in files("tests/config/invalid") {
        let failure =
            Config::load(&path, &environment(&path), &Overrides::default()).expect_err(path.to_str().unwrap());
        assert!(failure.problems.iter().all(|problem| !problem.advice.is_empty() && !problem.message.ends_with('.')));
        let told = format!("{}\n{failure}\n", failure.marked());
        let golden = path.with_extension("txt");
        if updating() {
            fs::write(&golden, &told).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(told, expected, "{}", golden.display());
    }
}

#[test]
fn a_file_that_is_not_there_says_what_to_do() {
    let failure = Config::load(Path::new("none.toml"), &Environment::default(), &Overrides::default()).unwrap_err();
    let told = failure.to_string();
    assert!(told.contains("does not exist") && told.contains("portcullis demo") && told.contains("-c FILE"), "{told}");
    assert!(Config::load(Path::new("config"), &Environment::default(), &Overrides::default()).is_err());
}

#[test]
fn what_is_no_file_does_not_hold_it_up() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let folder = tempfile::tempdir().unwrap();
    let [pipe, main] = ["pipe.toml", "main.toml"].map(|name| folder.path().join(name));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::write(&main, "include = [\"pipe.toml\"]").unwrap();
    for (path, said) in [(&pipe, "is not a file"), (&main, "`pipe.toml` cannot be included: this is not a file")] {
        let failure = Config::load(path, &Environment::default(), &Overrides::default()).unwrap_err();
        let told = failure.to_string().replace(&format!("{}/", folder.path().display()), "");
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let path = "config/portcullis.schema.json";
    if updating() {
        fs::write(path, schema()).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == schema(), "renew it: portcullis config schema > config/portcullis.schema.json");
}

#[test]
fn environment_beats_file_and_flags_beat_environment() {
    let path = Path::new("tests/config/valid/environment.toml");
    let loaded = load(path.to_str().unwrap());
    let config = loaded.config;
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.admin.listen, AdminListen::Off);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.listeners[0].name.value, "127.0.0.1:8080");
    assert_eq!(config.listeners[0].max_connections, 500);
    assert_eq!(config.pools[0].backends[0].url.text, "http://127.0.0.1:3000");
    let flags = Overrides { log_level: Some(LogLevel::Trace), ..Overrides::default() };
    assert_eq!(Config::load(path, &environment(path), &flags).unwrap().config.log.level, LogLevel::Trace);
}

#[test]
fn includes_join_one_config_and_are_watched() {
    let loaded = load("tests/config/valid/include.toml");
    assert_eq!(loaded.config.routes.len(), 2);
    assert_eq!(loaded.config.certificates[0].cert.value, Path::new("tests/config/valid/sites/a.example.crt"));
    assert_eq!(loaded.config.certificates[0].name.value, "a.example");
    assert_eq!(loaded.sources.files().count(), 3);
    assert_eq!(loaded.sources.patterns().collect::<Vec<_>>(), [Path::new("tests/config/valid/sites/*.toml")]);
}

#[test]
fn a_config_without_listeners_has_443_and_80() {
    let config = load("tests/config/valid/default-listeners.toml").config;
    let binds: Vec<String> = config.listeners.iter().map(|listener| listener.bind[0].to_string()).collect();
    assert_eq!(binds, ["0.0.0.0:443", "0.0.0.0:80"]);
    assert!(config.listeners[0].tls.is_some());
    assert_eq!(config.listeners[1].redirect_https.map(|redirect| redirect.port), Some(443));
}

#[test]
fn the_reference_holds_every_key_with_its_default() {
    let text = fs::read_to_string("config/reference.toml").unwrap();
    let document = DeTable::parse(&text).unwrap();
    let mut written = BTreeMap::new();
    walk_table(document.get_ref(), &Config::shape(), "", &mut written);
    let mut wanted = BTreeMap::new();
    collect(&Config::shape(), "", &mut wanted);
    for (path, default) in wanted.iter().filter(|(path, _)| !path.starts_with("route.pool.")) {
        let Some(values) = written.get(path) else { panic!("config/reference.toml lacks `{path}`") };
        let Some(default) = default else { continue };
        let shown = values.iter().any(|value| value.is_null() || value == default);
        assert!(shown, "config/reference.toml shows `{path}` as {values:?}, the default is {default}");
    }
}

/// Every key below `shape` with its default.
fn collect(shape: &Shape, path: &str, into: &mut BTreeMap<String, Option<Json>>) {
    match shape {
        Shape::Table(entries) => {
            for Entry { name, shape, default, .. } in entries {
                let path = format!("{path}{name}");
                collect(shape, &format!("{path}."), into);
                into.insert(path, default.clone());
            }
        }
        Shape::OneOf(forms) => forms.iter().for_each(|form| collect(form, path, into)),
        Shape::List(inner) | Shape::Map(inner) => collect(inner, path, into),
        _ => {}
    }
}

/// Every key that is written in `table`, with its values; null for a table, whose own keys have the defaults.
fn walk_table(table: &DeTable<'_>, shape: &Shape, path: &str, into: &mut BTreeMap<String, Vec<Json>>) {
    for (key, value) in table {
        let path = format!("{path}{}", key.get_ref());
        walk(value.get_ref(), &inner(shape, key.get_ref()), &path, into);
    }
}

fn walk(value: &DeValue<'_>, shape: &Shape, path: &str, into: &mut BTreeMap<String, Vec<Json>>) {
    let shown = match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => Json::from(number.as_str().parse::<i64>().unwrap()),
        DeValue::Float(number) => Json::from(number.as_str().parse::<f64>().unwrap()),
        DeValue::Boolean(value) => Json::from(*value),
        _ => Json::Null,
    };
    into.entry(path.to_owned()).or_default().push(shown);
    match (value, shape) {
        (DeValue::Array(array), _) => array.iter().for_each(|entry| walk(entry.get_ref(), shape, path, into)),
        (DeValue::Table(table), Shape::Map(_)) => {
            table.iter().for_each(|(_, entry)| walk(entry.get_ref(), shape_of_map(shape), path, into));
        }
        (DeValue::Table(table), _) => walk_table(table, shape, &format!("{path}."), into),
        _ => {}
    }
}

fn shape_of_map(shape: &Shape) -> &Shape {
    match shape {
        Shape::Map(inner) => inner,
        other => other,
    }
}

/// The shape of `key` in a table of `shape`, through lists and alternatives.
fn inner(shape: &Shape, key: &str) -> Shape {
    match shape {
        Shape::Table(entries) => {
            entries.iter().find(|entry| entry.name == key).map_or(Shape::Boolean, |entry| entry.shape.clone())
        }
        Shape::List(of) => inner(of, key),
        Shape::OneOf(forms) => {
            forms.iter().map(|form| inner(form, key)).find(|found| *found != Shape::Boolean).unwrap_or(Shape::Boolean)
        }
        other => other.clone(),
    }
}

#[test]
fn an_acl_may_be_longer_than_other_lists() {
    let deny: Vec<String> =
        (0..20_000_u32).map(|number| format!("\"{}/24\"", std::net::Ipv4Addr::from(number << 8))).collect();
    let rest = "[[listener]]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = [\"http://127.0.0.1:1\"]\n";
    let text = format!("[acl]\ndeny = [{}]\n{rest}", deny.join(","));
    assert_eq!(Config::parse(&text, &Environment::default()).unwrap().acl.lists.deny.len(), deny.len());
}

/// The largest texts of each kind of trouble end soon and tell a bounded number of problems.
#[test]
fn large_texts_are_bounded() {
    let environment = Environment::default();
    let unknown: String = (0..20_000).map(|number| format!("key{number} = 1\n")).collect();
    let routes = "[[route]]\npool = \"x\"\n".repeat(11_000);
    let broken = "= \n".repeat(1 << 17);
    let listed = format!("include = [{}]", "1,".repeat(1 << 16));
    let pools: String = (0..11_000).map(|number| format!("[pool.p{number}]\nbackends = []\n")).collect();
    for text in
        [unknown, routes, broken, listed, pools, "x".repeat(9 << 20), "\"".repeat(1 << 20), "\n".repeat(1 << 20)]
    {
        let failure = Config::parse(&text, &environment).unwrap_err();
        assert!(failure.problems.len() <= 200);
        assert!(failure.marked().len() < 1 << 20);
    }
}

/// Cuts and splices of a whole config: whatever the text, there is an answer and no panic.
#[test]
fn no_text_panics() {
    let text = fs::read_to_string("config/reference.toml").unwrap();
    let environment = Environment::default();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..150 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..bytes.len());
            let end = (at + random.usize(0..40)).min(bytes.len());
            let piece =
                *random.choice(&["", "\"", "[", "]]", "\u{e9}", "=", "${", "'''", "\n", "{", "0", "-", "\0"]).unwrap();
            bytes.splice(at..end, piece.bytes());
        }
        let broken = String::from_utf8_lossy(&bytes);
        if let Err(failure) = Config::parse(&broken, &environment) {
            assert!(!failure.marked().is_empty() && !failure.to_string().is_empty());
        }
    }
}
