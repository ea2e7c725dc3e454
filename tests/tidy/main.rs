//! The house rules as tests: floors, sizes, words, reasons. A rule that needs an exception gets it in a table here, with why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read the source has failed")]

mod floors;
mod imports;
mod keys;
mod seen;

use std::fs;
use std::path::{Path, PathBuf};

/// A file's code without its tests: the longest it may be.
const LONGEST_CODE: usize = 300;
/// A whole file.
const LONGEST_FILE: usize = 400;

/// The one home of detached tasks, so that a panic in one is always caught and counted.
const SPAWN_HOME: &str = "src/base/task.rs";

/// Names that say nothing about what is in a file.
const VAGUE: [&str; 14] = [
    "manager", "managers", "helper", "helpers", "util", "utils", "common", "handler", "handlers", "context", "data",
    "info", "misc", "types",
];

#[test]
fn files_fit_one_idea() {
    let mut wrong = Vec::new();
    for source in everything() {
        let (code, whole) = (source.code().lines().count(), source.text.lines().count());
        if code > LONGEST_CODE || whole > LONGEST_FILE {
            wrong.push(format!(
                "{}: {code} lines without tests (at most {LONGEST_CODE}), {whole} in all (at most {LONGEST_FILE})",
                source.path
            ));
        }
    }
    none(&wrong);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = everything().into_iter().filter(|source| !source.text.starts_with("//! "));
    none(&silent.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn no_loose_ends() {
    // Put together here so that this file does not find itself.
    let anywhere = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!"),
        concat!("db", "g!"),
        concat!("unimple", "mented!"),
        concat!("#[ig", "nore"),
    ];
    let mut wrong = Vec::new();
    for source in everything() {
        wrong.extend(found(&source.path, &source.text, &anywhere));
        if source.path.starts_with("src/") {
            wrong.extend(found(
                &source.path,
                source.code(),
                &[".unwrap()", ".unwrap_err()", "fn get_", "thread::sleep"],
            ));
        }
    }
    none(&wrong);
}

#[test]
fn names_say_what_is_inside() {
    let vague = |source: &Source| {
        Path::new(&source.path).components().any(|part| {
            let stem = Path::new(part.as_os_str()).file_stem().unwrap_or_default();
            VAGUE.iter().any(|name| stem == *name)
        })
    };
    none(&everything().into_iter().filter(vague).map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn every_exception_from_a_lint_says_why() {
    let mut wrong = Vec::new();
    for Source { path, text } in everything() {
        for (at, _) in text.match_indices("allow(").chain(text.match_indices("expect(")) {
            let attribute = text[..at].ends_with("#[") || text[..at].ends_with("#![");
            let end = text[at..].find(")]").map_or(text.len(), |end| at + end);
            if attribute && !text[at..end].contains("reason = \"") {
                wrong.push(format!("{path}: {}", &text[at..end]));
            }
        }
    }
    none(&wrong);
}

#[test]
fn tasks_are_started_in_one_place() {
    let mut wrong = Vec::new();
    for source in sources("src").into_iter().filter(|source| source.path != SPAWN_HOME) {
        wrong.extend(found(&source.path, source.code(), &["tokio::spawn(", "task::spawn(", "spawn_local("]));
    }
    none(&wrong);
}

#[test]
fn every_reason_for_refusing_comes_from_one_table() {
    const COUNTED: &str = "src/proxy/worker.rs";
    let elsewhere = sources("src").into_iter().filter(|source| source.path != COUNTED);
    none(
        &elsewhere
            .flat_map(|source| found(&source.path, source.code(), &["metrics.refused(", "metrics.observed("]))
            .collect::<Vec<_>>(),
    );
    let table = fs::read_to_string(root().join("src/proxy/fault.rs")).unwrap();
    let reasons = table.split("facts(").filter(|row| row.starts_with(|first: char| first.is_ascii_digit()));
    let mut reasons: Vec<_> = reasons.filter_map(|row| row.split(')').next()?.split('"').nth(1)).collect();
    let count = reasons.len();
    reasons.sort_unstable();
    reasons.dedup();
    assert!(count > 30 && count == reasons.len(), "{count} faults, {} reasons: {reasons:?}", reasons.len());
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release -- demo", "tests/run"] {
        assert!(readme.contains(command), "README.md does not name `{command}`");
    }
}

fn none(wrong: &[impl std::fmt::Display]) {
    let list: String = wrong.iter().map(|one| format!("  {one}\n")).collect();
    assert!(wrong.is_empty(), "\n{list}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One Rust file.
struct Source {
    /// From the root of the repository.
    path: String,
    text: String,
}

impl Source {
    /// The file up to its tests, which stand at the foot, in a `tests.rs` of their own or in a folder beside it.
    fn code(&self) -> &str {
        if self.path.ends_with("/tests.rs") || self.path.ends_with("/testing.rs") || self.path.contains("/tests/") {
            return "";
        }
        self.text.find("\n#[cfg(test)]\nmod tests {").map_or(&self.text, |tests| &self.text[..tests])
    }
}

/// All Rust files under a directory.
fn sources(directory: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push(Source { path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The product, its tests and its fuzz targets.
fn everything() -> Vec<Source> {
    ["src", "tests", "fuzz/src", "fuzz/fuzz_targets"].into_iter().flat_map(sources).collect()
}

fn found(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(at, line)| words.iter().filter(|word| line.contains(**word)).map(move |word| (at, word)))
        .map(|(at, word)| format!("{path}:{}: {word}", at + 1))
        .collect()
}
