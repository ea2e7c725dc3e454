//! The real binary, run on a config text in a directory of its own.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::PATIENCE;
use super::answer::Answer;
use super::authority::Authority;
use super::client::Client;
use super::curl::Curl;
use super::events::{ADMIN_LISTENING, LISTENING, SERVING};
use super::process::Process;

/// A gateway that serves. Stopped when dropped; a panic in its log fails the test.
pub(crate) struct Gateway {
    process: Process,
    home: Home,
}

/// A gateway's directory: config, certificates, state.
pub(crate) struct Home {
    directory: TempDir,
    /// Who signed its certificates.
    pub(crate) authority: Authority,
}

impl Home {
    /// A directory with `config` and a certificate for `localhost` and the loopback addresses.
    pub(crate) fn new(config: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let home = Self { directory, authority };
        std::fs::write(home.path("ca.crt"), home.authority.certificate()).unwrap();
        home.install("localhost", &["localhost", "127.0.0.1", "::1"]);
        std::fs::write(home.config(), config).unwrap();
        home
    }

    /// A file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("portcullis.toml")
    }

    /// Signs a certificate for `names` and moves it in place as `NAME.crt` and `NAME.key`.
    pub(crate) fn install(&self, name: &str, names: &[&str]) {
        let pair = self.authority.issue(names);
        self.replace(&format!("{name}.crt"), &pair.certificate);
        self.replace(&format!("{name}.key"), &pair.key);
    }

    /// Writes a file beside and renames it over the old one.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        let fresh = self.path(&format!("{name}.new"));
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(fresh, self.path(name)).unwrap();
    }

    /// Starts `portcullis COMMAND -c` on the config. Events come as JSON, the admin listener takes any port.
    pub(crate) fn start(&self, command: &str) -> Process {
        Process::start(&mut self.command(command))
    }

    /// What [`Self::start`] starts.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut portcullis = portcullis();
        portcullis.arg(command).arg("-c").arg(self.config());
        portcullis
    }
}

/// The binary under test, in the environment of tests.
pub(crate) fn portcullis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env("PORTCULLIS_LOG_FORMAT", "json").env("PORTCULLIS_ADMIN_LISTEN", "127.0.0.1:0");
    command.env("RUST_BACKTRACE", "1");
    command
}

/// The first event of that message in a log, as JSON.
pub(crate) fn event(process: &Process, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    process.stderr.wait_for(|line| serde_json::from_str(line).ok().filter(&wanted))
}

impl Gateway {
    /// Runs on `config` until it serves.
    pub(crate) fn serving(config: &str) -> Self {
        Self::in_home(Home::new(config))
    }

    /// Runs in a directory that the test has furnished, until it serves.
    pub(crate) fn in_home(home: Home) -> Self {
        Self::in_home_as(home, |_| ())
    }

    /// Runs in a directory that the test has furnished, with a changed environment, until it serves.
    pub(crate) fn in_home_as(home: Home, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = home.command("run");
        change(&mut command);
        let gateway = Self::of(Process::start(&mut command), home);
        gateway.event(SERVING);
        gateway
    }

    /// One that the test has started in a directory that it has furnished.
    pub(crate) fn of(process: Process, home: Home) -> Self {
        Self { process, home }
    }

    /// Waits for an event, by its message.
    pub(crate) fn event(&self, message: &str) -> Value {
        self.event_where(message, |_| true)
    }

    /// Waits for an event that is like this.
    pub(crate) fn event_where(&self, message: &str, like: impl Fn(&Value) -> bool) -> Value {
        let found = event(&self.process, |event| event["msg"] == message && like(event));
        found.unwrap_or_else(|| panic!("no event `{message}`\n{}", self.process.output()))
    }

    /// Where a listener really listens.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let event = self.event_where(LISTENING, |event| event["listener"] == listener);
        event["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until nobody accepts on a listener's address any more: then every worker knows of the drain.
    pub(crate) fn wait_until_refusing(&self, listener: &str) {
        let address = self.address(listener);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect_timeout(&address, PATIENCE).is_ok() {
            assert!(Instant::now() < end, "{listener} still accepts\n{}", self.process.output());
        }
    }

    /// Where the admin listener really listens.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.event(ADMIN_LISTENING)["address"].as_str().unwrap().parse().unwrap()
    }

    /// The admin listener's bearer token.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.home.path("state/admin.token")).unwrap().trim().to_owned()
    }

    /// Its directory.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Moves a changed config in place and waits until it is live.
    pub(crate) fn save(&self, config: &str) {
        let count = self.generations();
        self.home.replace("portcullis.toml", config);
        self.event_where(SERVING, |event| event["generation"].as_u64().unwrap() > count);
    }

    /// The generation that serves now.
    pub(crate) fn generations(&self) -> u64 {
        self.events(SERVING).iter().filter_map(|event| event["generation"].as_u64()).max().unwrap()
    }

    /// A plain TCP connection to a listener.
    pub(crate) fn connect(&self, listener: &str) -> Client {
        Client::tcp(self.address(listener))
    }

    /// A TLS connection to a listener, with `name` as SNI.
    pub(crate) fn connect_tls(&self, listener: &str, name: &str) -> Client {
        Client::tls(self.address(listener), &self.home.authority, name)
    }

    /// A connection to a listener on a Unix socket in its directory.
    pub(crate) fn connect_unix(&self, name: &str) -> Client {
        Client::unix(&self.home.path(name))
    }

    /// A connection to the listener `http` or, inside TLS for `localhost`, `https`.
    pub(crate) fn client(&self, listener: &str) -> Client {
        if listener == "http" { self.connect(listener) } else { self.connect_tls(listener, "localhost") }
    }

    /// The memory it has resident, in bytes.
    pub(crate) fn resident(&self) -> usize {
        self.process.status_kib("VmRSS") << 10
    }

    /// The most memory it ever had resident, in bytes.
    pub(crate) fn peak_resident(&self) -> usize {
        self.process.status_kib("VmHWM") << 10
    }

    /// A curl that trusts the gateway's certificates.
    pub(crate) fn curl(&self) -> Curl {
        Curl::new(&self.home.path("ca.crt"))
    }

    /// `https://localhost:PORT` and a path, for the listener.
    pub(crate) fn url(&self, listener: &str, path: &str) -> String {
        let scheme = if listener == "http" { "http" } else { "https" };
        format!("{scheme}://localhost:{}{path}", self.address(listener).port())
    }

    /// Waits for an access log line like this.
    pub(crate) fn access(&self, like: impl Fn(&Value) -> bool) -> Value {
        let found = self.process.stdout.wait_for(|line| serde_json::from_str(line).ok().filter(&like));
        found.unwrap_or_else(|| panic!("no such access log line\n{}", self.process.output()))
    }

    /// The access log lines so far.
    pub(crate) fn access_lines(&self) -> Vec<Value> {
        self.process.stdout.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Events of that message so far.
    pub(crate) fn events(&self, message: &str) -> Vec<Value> {
        let all = self.process.stderr.all();
        let events = all.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["msg"] == message).collect()
    }

    /// The answer of the admin listener, to somebody who has the token.
    pub(crate) fn ask_admin(&self, path: &str) -> Answer {
        let token = self.token();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        Client::tcp(self.admin()).ask(request)
    }

    /// The value of the metric that begins like this, with its labels; 0 where it is not there.
    pub(crate) fn metric(&self, start: &str) -> u64 {
        let text = self.ask_admin("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits until a metric has that value.
    pub(crate) fn wait_for_metric(&self, start: &str, value: u64) {
        let end = Instant::now() + PATIENCE;
        while self.metric(start) != value {
            assert!(Instant::now() < end, "{start} is not {value} but {}", self.metric(start));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Lets it open no more files than this.
    pub(crate) fn limit_files(&self, most: u64) {
        self.process.limit_files(most);
    }

    /// Does something while it stands still, as one that has no time to run, and lets it go on.
    pub(crate) fn while_frozen(&mut self, doing: impl FnOnce()) {
        self.process.freeze();
        doing();
        self.process.signal(Signal::CONT);
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Everything it wrote so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A second panic would abort and hide the first.
        if !std::thread::panicking() {
            let output = self.process.output();
            assert!(!output.contains("panicked"), "{output}");
        }
    }
}
