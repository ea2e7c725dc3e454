//! A backend that speaks TLS and says what became of each connection; and configs of pools that speak it.

use std::fmt::{self, Display};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;
use super::authority::{Authority, Pair};
use super::configs::HTTP;
use super::gateway::Home;

/// A listener and a pool of these backends with these keys.
pub(crate) fn config(backends: &[&dyn Display], pool: &str) -> String {
    let list: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    let route = "\n[[route]]\nname = \"all\"\npool = \"all\"\ntimeouts = { connect = \"2s\" }\n";
    format!("{HTTP}{route}\n[pool.all]\nbackends = [{}]\n{pool}\n", list.join(", "))
}

/// A home with the CA of `authority` as `backends.pem`.
pub(crate) fn home(config: &str, authority: &Authority) -> Home {
    let home = Home::new(config);
    home.replace("backends.pem", &authority.certificate());
    home
}

/// A pool that trusts that one.
pub(crate) const CA: &str = "tls = { ca = \"backends.pem\" }";

/// The pair in files of their own, and nginx's words for them.
pub(crate) fn nginx_pair(home: &Home, pair: &Pair) -> String {
    home.replace("nginx.crt", &pair.certificate);
    home.replace("nginx.key", &pair.key);
    let (cert, key) = (home.path("nginx.crt"), home.path("nginx.key"));
    format!("ssl_certificate {}; ssl_certificate_key {};", cert.display(), key.display())
}

/// Answers one request per connection with `secure`.
pub(crate) struct Secure {
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
}

/// What became of one connection.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The handshake failed, with what the gateway said.
    Refused(String),
    /// A request came, on a connection for this name.
    Request { name: Option<String> },
}

impl Secure {
    /// Shows this certificate.
    pub(crate) fn showing(pair: &Pair) -> Self {
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(vec![pair.der()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, sender) = (Arc::clone(&config), sender.clone());
                // The test may be over.
                std::thread::spawn(move || drop(sender.send(serve(config, stream.unwrap()))));
            }
        });
        Self { address, seen }
    }

    /// What became of the next connection.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a connection to the backend")
    }
}

impl Display for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.address)
    }
}

fn serve(config: Arc<ServerConfig>, mut socket: TcpStream) -> Seen {
    let mut session = ServerConnection::new(config).unwrap();
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut socket) {
            return Seen::Refused(error.to_string());
        }
    }
    let name = session.server_name().map(str::to_owned);
    let mut stream = StreamOwned::new(session, socket);
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
            end => return Seen::Refused(format!("{end:?}")),
        }
    }
    let answered = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure");
    answered.and_then(|()| stream.flush()).unwrap();
    stream.conn.send_close_notify();
    // The gateway may have closed by now.
    let _ = stream.flush();
    Seen::Request { name }
}
