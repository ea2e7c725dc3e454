//! Real servers as backends: nginx and Python's.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;

/// nginx on a port of its own, serving files from a directory.
pub(crate) struct Nginx {
    directory: TempDir,
    address: SocketAddr,
    process: Process,
    /// `http`, or `https`.
    scheme: &'static str,
}

impl Nginx {
    /// Runs with `location` blocks inside the one server; files come from `root()`.
    pub(crate) fn serving(locations: &str) -> Self {
        Self::listening("http", "", locations)
    }

    /// Inside TLS, with its certificate among the directives of the one server.
    pub(crate) fn secure(directives: &str) -> Self {
        Self::listening("https", " ssl", directives)
    }

    /// The same, of HTTP/2 as well.
    pub(crate) fn secure_http2(directives: &str) -> Self {
        // nginx cannot say which port it got. A taken one makes it exit with a clear line, and the next is tried.
        (0..5).find_map(|_| Self::attempt("https", " ssl http2", directives)).expect("nginx on a free port")
    }

    /// With these parameters of its `listen` and these directives of the one server.
    pub(crate) fn listening(scheme: &'static str, listen: &str, directives: &str) -> Self {
        // nginx cannot say which port it got. A taken one makes it exit with a clear line, and the next is tried.
        (0..5).find_map(|_| Self::attempt(scheme, listen, directives)).expect("nginx on a free port")
    }

    fn attempt(scheme: &'static str, listen: &str, locations: &str) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("files")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = directory.path().display();
        let config = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr notice;\npid {at}/nginx.pid;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n  access_log off;\n  default_type application/octet-stream;\n  client_max_body_size 0;\n\
             client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n\
             server {{ listen {address}{listen}; root {at}/files; {locations} }}\n}}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let process = Process::start(Command::new("nginx").arg("-p").arg(directory.path()).arg("-c").arg(&file));
        // The one line that it writes once its sockets listen.
        let up = process.stderr.wait_for(|line| line.contains("using the \"").then_some(()));
        up.map(|()| Self { directory, address, process, scheme })
    }

    /// The directory that files are served from.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// What it wrote so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }
}

impl fmt::Display for Nginx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

/// `python3 -m http.server` on a port of its own.
pub(crate) struct Python {
    directory: TempDir,
    port: u16,
    _process: Process,
}

impl Python {
    /// Serves an empty directory.
    pub(crate) fn serving() -> Self {
        let directory = TempDir::new().unwrap();
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1", "0"]);
        let process = Process::start(command.current_dir(directory.path()));
        let port = process.stdout.wait_for(|line| line.split(" port ").nth(1)?.split(' ').next()?.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port from python\n{}", process.output()));
        Self { directory, port, _process: process }
    }

    /// The directory that files are served from.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://127.0.0.1:{}", self.port)
    }
}
