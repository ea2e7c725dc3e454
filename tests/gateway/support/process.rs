//! A child process: its output as lines, its end with a deadline, never left behind.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::PATIENCE;
use super::lines::Lines;

/// A running command. Killed when dropped.
pub(crate) struct Process {
    name: String,
    pid: Pid,
    /// Where the thread that waits for it says how it ended.
    ended: mpsc::Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    /// Standard output.
    pub(crate) stdout: Lines,
    /// Standard error.
    pub(crate) stderr: Lines,
}

impl Process {
    /// Starts `command` with its output read.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child: Child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; tests/run installs what the tests need"));
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        let pid = Pid::from_child(&child);
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let status = child.wait().unwrap();
            // Nobody may care any more.
            let _ = sender.send(status);
        });
        Self { name, pid, ended, status: None, stdout, stderr }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal; to one that has ended, none.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            rustix::process::kill_process(self.pid, signal).unwrap();
        }
    }

    /// Lets it open no more files than this.
    pub(crate) fn limit_files(&self, most: u64) {
        let limit = Rlimit { current: Some(most), maximum: Some(1 << 10) };
        rustix::process::prlimit(Some(self.pid), Resource::Nofile, limit).unwrap();
    }

    /// Stops it where it stands, until it gets [`Signal::CONT`]. Afterwards none of its threads runs.
    pub(crate) fn freeze(&mut self) {
        self.signal(Signal::STOP);
        let end = Instant::now() + PATIENCE;
        let threads = format!("/proc/{}/task", self.pid.as_raw_nonzero());
        let stands = |thread: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state stands behind the name, which is in brackets.
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        };
        while !std::fs::read_dir(&threads).unwrap().all(|thread| stands(thread.unwrap())) {
            assert!(Instant::now() < end, "{} does not stop", self.name);
        }
    }

    /// Waits for the end and for all output.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.status.take().or_else(|| self.ended.recv_timeout(PATIENCE).ok());
        let status = status.unwrap_or_else(|| panic!("{} did not end\n{}", self.name, self.output()));
        self.status = Some(status);
        assert!(self.stdout.wait_for_end() && self.stderr.wait_for_end());
        status
    }

    /// Everything it wrote so far.
    pub(crate) fn output(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout.text(), self.stderr.text())
    }

    /// A value of `/proc/PID/status` that is given in KiB.
    pub(crate) fn status_kib(&self, key: &str) -> usize {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_else(|| panic!("no {key}"))
    }

    fn has_ended(&mut self) -> bool {
        self.status = self.status.take().or_else(|| self.ended.try_recv().ok());
        self.status.is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            // It may end by itself in between.
            let _ = rustix::process::kill_process(self.pid, Signal::KILL);
        }
    }
}
