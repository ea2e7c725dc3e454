//! `portcullis demo`: what it prints works as it is printed.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::events::{CERTIFICATE_REPLACED, SERVING};
use crate::support::gateway::{event, portcullis};
use crate::support::process::Process;

/// A running demo and the lines that it tells people to try.
struct Demo {
    process: Process,
    commands: Vec<String>,
    /// Where it makes its own directory, so that nothing stays behind when it is killed.
    _room: TempDir,
}

impl Demo {
    fn running() -> Self {
        let room = TempDir::new().unwrap();
        let mut command = portcullis();
        // What the environment says for a gateway, here of the admin port too, is not for the demo.
        command.env("PORTCULLIS_SERVER_STATE_DIR", room.path().join("other")).env("PORTCULLIS_STRATEGY", "none");
        command.env("TMPDIR", room.path()).arg("demo");
        let process = Process::start(&mut command);
        assert!(event(&process, |event| event["msg"] == SERVING).is_some(), "{}", process.output());
        let end = process.stdout.wait_for(|line| line.starts_with("Ctrl-C").then_some(()));
        assert!(end.is_some(), "{}", process.output());
        let commands = process
            .stdout
            .all()
            .into_iter()
            .filter(|line| ["curl ", "mv ", "sed "].iter().any(|start| line.starts_with(start)));
        Self { commands: commands.collect(), process, _room: room }
    }

    /// Runs the one printed line that contains all of `words`, in a shell.
    fn run(&self, words: &[&str]) -> String {
        let mut fitting = self.commands.iter().filter(|line| words.iter().all(|word| line.contains(word)));
        let line = fitting.next().unwrap_or_else(|| panic!("no line with {words:?}\n{}", self.process.output()));
        let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
        assert!(output.status.success(), "{line}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn every_printed_line_shows_what_it_says() {
    let mut demo = Demo::running();

    let hello = demo.run(&["/hello"]);
    assert!(hello.contains("request   GET /hello") && hello.contains("x-forwarded-proto: https"), "{hello}");
    assert_eq!(demo.run(&["http_version", "--http1.1"]).trim(), "1.1");
    assert!(["alpha", "beta", "gamma"].contains(&demo.run(&["/api/who"]).trim()));
    let teapot = demo.run(&["-i", "/teapot"]);
    assert!(teapot.contains(" 418") && teapot.ends_with("short and stout\n"), "{teapot}");
    let redirect = demo.run(&["/secure/place"]);
    assert!(redirect.contains("308") && redirect.contains("https://localhost:"), "{redirect}");
    let refused = demo.run(&["%2f"]);
    assert!(
        refused.contains(" 400") && refused.to_ascii_lowercase().contains("proxy-status: portcullis; error="),
        "{refused}"
    );
    assert!(!demo.run(&["/ping"]).is_empty());
    assert!(demo.run(&["/metrics"]).contains("portcullis_requests_total"));

    demo.process.signal(Signal::INT);
    assert_eq!(demo.process.wait().code(), Some(0), "{}", demo.process.output());
}

#[test]
fn shares_are_as_printed() {
    let demo = Demo::running();

    let shares = demo.run(&["uniq -c"]);

    let mut shares: Vec<_> = shares.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    shares.sort();
    assert_eq!(shares, ["1 gamma", "3 beta", "5 alpha"]);
}

#[test]
fn an_edit_and_a_new_certificate_are_live_at_once() {
    let demo = Demo::running();

    demo.run(&["sed -i"]);
    assert!(event(&demo.process, |event| event["msg"] == SERVING && event["generation"] == 2).is_some());
    assert_eq!(demo.run(&["http_code", "/teapot"]), "503\n");

    demo.run(&["mv "]);
    let certificate = event(&demo.process, |event| event["msg"] == CERTIFICATE_REPLACED);
    assert!(certificate.is_some(), "{}", demo.process.output());
    assert!(demo.run(&["subject:"]).contains("certificate 2"));
}

#[test]
fn nothing_is_left_behind() {
    let mut demo = Demo::running();
    let config = demo
        .process
        .stdout
        .wait_for(|line| line.trim().strip_prefix("config").map(|path| path.trim().to_owned()))
        .unwrap();
    assert!(std::fs::exists(&config).unwrap());

    demo.process.signal(Signal::INT);

    assert_eq!(demo.process.wait().code(), Some(0), "{}", demo.process.output());
    let directory = std::path::Path::new(&config).parent().unwrap();
    assert!(!directory.exists(), "{}", directory.display());
}
