//! Replays the fuzz targets: every file of `fuzz/seeds/`, written by hand, and of `fuzz/corpus/`, kept by fuzzing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a target panics where a promise is broken")]
#![allow(unreachable_pub, dead_code, reason = "the targets are a library to libFuzzer")]

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The two folders that have one for each target.
const FOLDERS: [&str; 2] = ["seeds", "corpus"];

/// What all of them may take, in bytes: they are in every clone.
const LARGEST: u64 = 2 << 20;

macro_rules! replayed {
    ($($target:ident),+ $(,)?) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), targets::$target::run);
        })+

        const REPLAYED: &[&str] = &[$(stringify!($target)),+];
    };
}

replayed!(
    auth,
    chunked_body,
    config,
    forwarded,
    h2_fragment,
    h2_to_h1,
    host_and_sni,
    message_arena,
    path,
    proxy_header,
    request_head,
    response_head
);

/// Runs a target over all that is kept for it, and over nothing.
fn replay(name: &str, run: fn(&[u8])) {
    run(b"");
    for path in FOLDERS.iter().flat_map(|folder| files(&fuzz().join(folder).join(name))) {
        // Captured unless it fails: then the last one printed is the one.
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
    }
}

#[test]
fn every_target_has_seeds_a_corpus_a_fuzzer_and_a_replay() {
    let names: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let replayed: BTreeSet<String> = REPLAYED.iter().map(|name| (*name).to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let paths = fs::read_dir(fuzz().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(replayed, names);
    for folder in FOLDERS.into_iter().chain(["fuzz_targets"]) {
        assert_eq!(stems(folder), names, "{folder}");
    }
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(FOLDERS.iter().all(|folder| !files(&fuzz().join(folder).join(&name)).is_empty()), "{name}");
    }
}

#[test]
fn the_corpora_are_small() {
    let folders = targets::TARGETS.iter().flat_map(|(name, _)| FOLDERS.map(|folder| fuzz().join(folder).join(name)));
    let sum: u64 = folders.flat_map(|folder| files(&folder)).map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(sum < LARGEST, "{sum} bytes: minimise them with `cargo fuzz cmin`");
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
