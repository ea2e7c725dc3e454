//! Laws of watching: what is told, and what is not.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use super::{Changed, Read, Timing, Watch, hash};
use crate::base::clock;

const HOUR: Duration = Duration::from_secs(3_600);
/// Far more than any change takes to be told.
const DEADLINE: Duration = Duration::from_secs(20);

/// Nothing is noticed by polling.
fn events_only() -> Timing {
    Timing { quiet: Duration::from_millis(20), poll: HOUR, thorough: HOUR, ..Timing::default() }
}

fn poll_only() -> Timing {
    Timing { poll: Duration::from_millis(10), events: false, ..Timing::default() }
}

fn unread(since: SystemTime) -> Read {
    Read { since, contents: BTreeMap::new() }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// A folder, a watch, and what it tells.
struct Bench {
    folder: TempDir,
    watch: Watch,
    told: Receiver<Changed>,
}

impl Bench {
    fn new(timing: Timing) -> Self {
        let (watch, told) = Watch::start(timing).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), watch, told }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file by an atomic rename, so that nobody sees a part of it.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("new~"), text).unwrap();
        fs::rename(self.path("new~"), self.path(name)).unwrap();
    }

    /// Writes over what is in a file, in one call.
    fn write_in_place(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new().write(true).open(self.path(name)).unwrap();
        assert_eq!(file.write(text.as_bytes()).unwrap(), text.len());
    }

    /// Writes a new folder and turns the link `..data` to it, as Kubernetes does.
    fn publish(&self, version: u32) {
        let folder = format!("..{version}");
        fs::create_dir(self.path(&folder)).unwrap();
        self.write(&format!("{folder}/a"), &folder);
        symlink(&folder, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
    }

    /// Watches `files`; their present content is known.
    async fn set(&self, files: &[&str], patterns: &[&str]) {
        self.set_read_at(files, patterns, clock::now() + HOUR).await;
    }

    async fn set_read_at(&self, files: &[&str], patterns: &[&str], read_at: SystemTime) {
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect();
        self.watch.set(paths(files), paths(patterns), unread(read_at)).await;
    }

    async fn set_read(&self, files: &[&str], read: Read) {
        self.watch.set(files.iter().map(|name| self.path(name)).collect(), Vec::new(), read).await;
    }

    /// The next message is about `name` and nothing else: whatever was done before it was told already, or rightly not.
    async fn tells(&mut self, name: &str) {
        let changed = tokio::time::timeout(DEADLINE, self.told.recv()).await.expect("a change is told in time");
        assert_eq!(changed, Some(Changed { files: vec![self.path(name)] }));
    }
}

/// What works by events works by polling too.
fn both(test: impl AsyncFn(Bench)) {
    run(test(Bench::new(events_only())));
    run(test(Bench::new(poll_only())));
}

#[test]
fn in_place_writes_and_atomic_replacements_are_told() {
    both(async |mut bench| {
        bench.write("a", "0");
        bench.set(&["a"], &[]).await;
        for round in 1..4 {
            bench.write("a", &format!("replaced {round}"));
            bench.tells("a").await;
            bench.write_in_place("a", &format!("written {round}"));
            bench.tells("a").await;
        }
    });
}

#[test]
fn what_the_caller_has_read_is_what_is_known() {
    // It may have read a change before the watch has looked: if the file goes back then, nobody else would notice.
    run(async {
        let mut bench = Bench::new(Timing { poll: HOUR, thorough: HOUR, events: false, ..Timing::default() });
        let read = |text: &str| BTreeMap::from([(bench.path("a"), hash(text.as_bytes()))]);
        let (zero, one) = (read("0"), read("1"));
        bench.write("a", "0");
        // Written just now, but known: not told.
        bench.set_read(&["a"], Read { since: clock::now(), contents: zero.clone() }).await;
        bench.set_read(&["a"], Read { since: clock::now(), contents: one }).await;
        bench.tells("a").await;
        bench.write("a", "1");
        bench.set_read(&["a"], Read { since: clock::now() + HOUR, contents: zero }).await;
        bench.tells("a").await;
    });
}

#[test]
fn removal_and_return_are_told() {
    both(async |mut bench| {
        bench.write("a", "0");
        bench.set(&["a"], &[]).await;
        fs::remove_file(bench.path("a")).unwrap();
        bench.tells("a").await;
        bench.write("a", "0");
        bench.tells("a").await;
    });
}

#[test]
fn a_folder_may_come_go_and_come_again() {
    both(async |mut bench| {
        bench.set(&["certs/live/a"], &[]).await;
        for _ in 0..3 {
            fs::create_dir_all(bench.path("certs/live")).unwrap();
            bench.write("certs/live/a", "0");
            bench.tells("certs/live/a").await;
            fs::remove_dir_all(bench.path("certs")).unwrap();
            bench.tells("certs/live/a").await;
        }
    });
}

#[test]
fn a_swapped_folder_link_is_told_as_in_kubernetes() {
    both(async |mut bench| {
        bench.publish(0);
        symlink("..data/a", bench.path("a")).unwrap();
        bench.set(&["a"], &[]).await;
        for version in 1..4 {
            bench.publish(version);
            bench.tells("a").await;
            fs::remove_dir_all(bench.path(&format!("..{}", version - 1))).unwrap();
        }
        // The folder at the end of the way is watched too, although it was not there at first.
        bench.write_in_place("..3/a", "in place");
        bench.tells("a").await;
    });
}

#[test]
fn touching_and_rewriting_the_same_is_not_told() {
    both(async |mut bench| {
        bench.write("a", "0");
        bench.write("b", "0");
        bench.set(&["a", "b"], &[]).await;
        bench.write("a", "0");
        bench.write_in_place("a", "0");
        fs::File::open(bench.path("a")).unwrap().set_modified(clock::now() + HOUR).unwrap();
        bench.write("b", "1");
        bench.tells("b").await;
    });
}

#[test]
fn files_of_a_pattern_are_told_when_they_come_change_and_go() {
    both(async |mut bench| {
        fs::create_dir(bench.path("sites")).unwrap();
        bench.write("sites/a.toml", "0");
        bench.set(&[], &["sites/*.toml"]).await;
        bench.write("sites/b.txt", "0");
        bench.write("sites/.hidden.toml", "0");
        bench.write("sites/b.toml", "0");
        bench.tells("sites/b.toml").await;
        bench.write("sites/a.toml", "1");
        bench.tells("sites/a.toml").await;
        fs::remove_file(bench.path("sites/a.toml")).unwrap();
        bench.tells("sites/a.toml").await;
    });
}

#[test]
fn a_noisy_neighbour_neither_triggers_nor_delays() {
    run(async {
        // With a poll or a burst that noise could stretch this would not end in time.
        let mut bench = Bench::new(Timing { longest: HOUR, ..events_only() });
        bench.write("a", "0");
        bench.set(&["a"], &[]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let noise = make_noise(bench.path("noise"), Arc::clone(&stop));
        for round in 1..6 {
            bench.write("a", &format!("{round}"));
            bench.tells("a").await;
        }
        stop.store(true, Ordering::Relaxed);
        noise.join().unwrap();
    });
}

fn make_noise(path: PathBuf, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for round in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            fs::write(&path, round.to_string()).unwrap();
        }
    })
}

#[test]
fn a_file_written_without_end_is_told_all_the_same() {
    run(async {
        let mut bench = Bench::new(Timing { quiet: HOUR, ..events_only() });
        bench.write("a", "0");
        bench.set(&["a"], &[]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let noise = make_noise(bench.path("a"), Arc::clone(&stop));
        bench.tells("a").await;
        stop.store(true, Ordering::Relaxed);
        noise.join().unwrap();
    });
}

#[test]
fn what_changed_while_the_caller_read_is_told() {
    run(async {
        let mut bench = Bench::new(events_only());
        bench.write("a", "0");
        bench.set_read_at(&["a"], &[], clock::now() - HOUR).await;
        bench.tells("a").await;
        // It is known now, and known files are compared with what was told of them.
        bench.write("b", "0");
        bench.set(&["a", "b"], &[]).await;
        bench.write("b", "1");
        bench.tells("b").await;
    });
}

#[test]
fn files_that_are_no_longer_named_are_not_told() {
    both(async |mut bench| {
        bench.write("a", "0");
        bench.write("b", "0");
        bench.set(&["a", "b"], &[]).await;
        bench.set(&["b"], &[]).await;
        bench.write("a", "1");
        bench.write("b", "1");
        bench.tells("b").await;
    });
}

#[test]
fn it_ends_when_dropped() {
    run(async {
        let Bench { folder, watch, mut told } = Bench::new(events_only());
        watch.set(vec![folder.path().join("a")], Vec::new(), unread(clock::now() + HOUR)).await;
        drop(watch);
        let end = tokio::time::timeout(DEADLINE, told.recv()).await.expect("the thread ends");
        assert_eq!(end, None);
    });
}

#[test]
fn setting_files_returns_although_nobody_listens() {
    run(async {
        let Bench { folder, watch, told } = Bench::new(events_only());
        drop(told);
        for _ in 0..3 {
            let set = watch.set(vec![folder.path().join("a")], Vec::new(), unread(clock::now()));
            tokio::time::timeout(DEADLINE, set).await.expect("it returns");
        }
    });
}
