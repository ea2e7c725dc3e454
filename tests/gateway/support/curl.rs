//! Real curl.

use std::path::Path;
use std::process::Command;

use super::answer::Answer;

/// One call of curl, put together.
pub(crate) struct Curl {
    command: Command,
    family: Option<&'static str>,
}

impl Curl {
    /// Trusts one CA.
    pub(crate) fn new(ca: &Path) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "60", "--cacert"]).arg(ca);
        Self { command, family: Some("--ipv4") }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Connects to a Unix socket, whatever the URL says.
    pub(crate) fn over(mut self, socket: &Path) -> Self {
        self.family = None;
        self.arg("--unix-socket").arg(socket)
    }

    /// Speaks HTTP/1.1 only.
    pub(crate) fn http1(self) -> Self {
        self.arg("--http1.1")
    }

    /// Speaks HTTP/2.
    pub(crate) fn http2(self) -> Self {
        self.arg("--http2")
    }

    /// Asks for a URL; the last answer, past redirects and interim ones.
    pub(crate) fn ask(self, url: &str) -> Answer {
        self.try_ask(url).unwrap_or_else(|complaint| panic!("curl {url}: {complaint}"))
    }

    /// Asks for a URL; curl's complaint where there is no answer.
    pub(crate) fn try_ask(mut self, url: &str) -> Result<Answer, String> {
        let output = self
            .command
            .args(self.family)
            .arg(url)
            .output()
            .map_err(|error| format!("{error}; tests/run installs curl"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let mut rest = output.stdout.as_slice();
        loop {
            let end = rest.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no head in curl's output")?;
            let mut answer = Answer::head(&String::from_utf8_lossy(&rest[..end]));
            rest = &rest[end + 4..];
            if answer.status >= 200 {
                answer.body = rest.to_vec();
                return Ok(answer);
            }
        }
    }
}
