//! Real HAProxy in front of the gateway.

use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

use super::process::Process;

/// HAProxy that passes TCP on. It gets its socket from us, so that no port is guessed and nobody waits for it to listen.
pub(crate) struct Haproxy {
    address: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Haproxy {
    /// Passes on to `target`, with these settings of its `server`.
    pub(crate) fn passing_to(target: &dyn Display, settings: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        fcntl_setfd(&listener, FdFlags::empty()).unwrap();
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("haproxy.cfg");
        let config = format!(
            "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 20s\n  timeout client 60s\n  timeout server 60s\n\
             listen front\n  bind fd@{}\n  option httpchk\n  http-check send meth GET uri /ping ver HTTP/1.1 hdr Host localhost\n  server gate {target} {settings}\n",
            listener.as_raw_fd()
        );
        std::fs::write(&file, config).unwrap();
        let process = Process::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file));
        Self { address: listener.local_addr().unwrap(), process, _directory: directory }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it wrote so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }
}
