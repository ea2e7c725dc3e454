//! Both logs as a whole.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::UNIX_EPOCH;

use super::access::Entry;
use super::*;

const SOON: Duration = Duration::from_secs(10);

/// What was written to standard error.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<u8>>>);

impl Events {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start(settings: Settings) -> (Log, Events, Arc<AtomicU64>) {
    let (events, dropped) = (Events::default(), Arc::new(AtomicU64::new(0)));
    let log = Log::start_with(settings, Arc::clone(&dropped), Box::new(events.clone()), false).unwrap();
    (log, events, dropped)
}

fn to_file(path: &Path, format: Format, sample: f64) -> Settings {
    Settings { format, level: Level::Info, access: Some(Access { path: Target::File(path.into()), sample }) }
}

fn entry(status: u16) -> Entry<'static> {
    Entry {
        time: UNIX_EPOCH,
        client: "192.0.2.1".parse().unwrap(),
        method: b"GET",
        host: b"example.com",
        target: b"/",
        protocol: "HTTP/2",
        status,
        request_bytes: 0,
        response_bytes: 0,
        duration: Duration::ZERO,
        listener: "https",
        route: "",
        backend: None,
        backend_duration: None,
        retries: 0,
        retry_reason: None,
        request_id: b"",
        reason: Some("no_route"),
        observed: &[],
        tls: None,
        user_agent: None,
        referer: None,
    }
}

#[test]
fn lines_reach_their_file_and_settings_change_live() {
    let folder = tempfile::tempdir().unwrap();
    let (text, json) = (folder.path().join("text.log"), folder.path().join("json.log"));
    let (log, _, dropped) = start(to_file(&text, Format::Text, 1.0));
    let writer = log.access_writer();
    for _ in 0..500 {
        writer.write(&entry(404));
    }
    writer.flush();
    assert!(log.close(SOON));
    assert_eq!(fs::read_to_string(&text).unwrap().lines().count(), 500);

    let (log, _, _) = start(to_file(&text, Format::Text, 1.0));
    let writer = log.access_writer();
    log.configure(to_file(&json, Format::Json, 1.0));
    writer.write(&entry(404));
    log.configure(Settings { access: None, ..Settings::default() });
    writer.write(&entry(404));
    drop(writer);
    assert!(log.close(SOON));
    let lines = fs::read_to_string(&text).unwrap() + &fs::read_to_string(&json).unwrap_or_default();
    assert_eq!(lines.lines().filter(|line| line.starts_with('{')).count(), 1);
    assert_eq!(lines.lines().count(), 501);
    assert_eq!(dropped.load(Relaxed), 0);
}

#[test]
fn sampling_keeps_every_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, _, _) = start(to_file(&path, Format::Text, 0.0));
    let writer = log.access_writer();
    for status in [200, 404, 500, 503, 200] {
        writer.write(&entry(status));
    }
    writer.flush();
    assert!(log.close(SOON));
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.contains("\" 500 ") && lines.contains("\" 503 "));
}

#[test]
fn an_unwritable_path_is_told_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (log, events, dropped) = start(to_file(&folder.path().join("missing/access.log"), Format::Text, 1.0));
    let writer = log.access_writer();
    for _ in 0..3 {
        writer.write(&entry(200));
        writer.flush();
    }
    assert!(log.close(SOON));
    assert_eq!(dropped.load(Relaxed), 3);
    let events = events.text();
    assert_eq!(events.lines().count(), 1, "{events}");
    assert!(events.contains("ERROR cannot write the access log") && events.contains("missing/access.log"), "{events}");
}

#[test]
fn the_level_changes_live_and_fields_stay_on_their_line() {
    let (log, events, _) = start(Settings { access: None, ..Settings::default() });
    let subscriber = event::Events::new(Arc::clone(&log.queue), false);
    tracing::subscriber::with_default(subscriber, || {
        let tell = |turn: u8| {
            tracing::debug!(turn, "detail");
            tracing::info!(turn, name = %"a\nb", "said");
        };
        tell(1);
        log.configure(Settings { level: Level::Debug, access: None, ..Settings::default() });
        tell(2);
        log.configure(Settings { level: Level::Error, format: Format::Json, access: None });
        tell(3);
        tracing::error!(code = 7, share = 0.5, "failed");
    });
    assert!(log.close(SOON));
    let events = events.text();
    let said: Vec<&str> = events.lines().map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest)).collect();
    assert_eq!(
        said[..3],
        ["INFO  said turn=1 name=\"a\\u{a}b\"", "DEBUG detail turn=2", "INFO  said turn=2 name=\"a\\u{a}b\""]
    );
    assert!(said[3].ends_with("\"level\":\"error\",\"msg\":\"failed\",\"code\":7,\"share\":0.5}"), "{}", said[3]);
    assert_eq!(said.len(), 4);
}

/// A terminal that takes nothing until it is let go.
struct Stuck {
    reached: std::sync::mpsc::Sender<()>,
    release: Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        let _ = self.release.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_terminal_holds_nobody_up() {
    let ((reached, on_reached), (let_go, release)) = (channel(), channel());
    let dropped = Arc::new(AtomicU64::new(0));
    let settings = Settings { access: None, ..Settings::default() };
    let log = Log::start_with(settings, Arc::clone(&dropped), Box::new(Stuck { reached, release }), false).unwrap();
    let say = || log.queue.send(queue::Message::Event(b"x\n".to_vec()), 1);
    say();
    on_reached.recv_timeout(SOON).unwrap();
    for _ in 0..queue::DEPTH + 10 {
        say();
    }
    assert_eq!(dropped.load(Relaxed), 10);
    assert!(!log.close(Duration::from_millis(1)));
    drop(let_go);
    assert!(log.close(SOON));
}
