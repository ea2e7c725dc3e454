//! A backend that speaks TLS and says what became of each connection; and configs of pools that speak it.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;
use super::answer::Reader;
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
        Self::playing(pair, |session| {
            if session.request() {
                session.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure");
                session.close();
            }
        })
    }

    /// Shows this certificate, and plays `act` on a thread for each connection whose handshake is complete.
    pub(crate) fn playing(pair: &Pair, act: impl Fn(&mut Session) + Send + Sync + 'static) -> Self {
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(vec![pair.der()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel();
        let act = Arc::new(act);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (config, sender, act) = (Arc::clone(&config), sender.clone(), Arc::clone(&act));
                std::thread::spawn(move || match Session::begin(number, config, stream.unwrap(), sender.clone()) {
                    Ok(mut session) => act(&mut session),
                    // The test may be over.
                    Err(error) => drop(sender.send(Seen::Refused(error.to_string()))),
                });
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

/// One connection inside TLS, seen from the backend.
pub(crate) struct Session {
    /// Which connection of this backend it is, from 0.
    pub(crate) number: usize,
    stream: StreamOwned<ServerConnection, TcpStream>,
    reader: Reader,
    seen: mpsc::Sender<Seen>,
}

impl Session {
    fn begin(
        number: usize,
        config: Arc<ServerConfig>,
        mut socket: TcpStream,
        seen: mpsc::Sender<Seen>,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Self { number, stream: StreamOwned::new(connection, socket), reader: Reader::default(), seen })
    }

    /// Reads the next request's head. False when the gateway closed.
    pub(crate) fn request(&mut self) -> bool {
        let head = self.reader.until(&mut self.stream, b"\r\n\r\n");
        let seen = match &head {
            Ok(Some(_)) => Seen::Request { name: self.stream.conn.server_name().map(str::to_owned) },
            end => Seen::Refused(format!("{end:?}")),
        };
        // The test may be over.
        let _ = self.seen.send(seen);
        matches!(head, Ok(Some(_)))
    }

    /// Sends these bytes at once, in as few records as may be.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have gone; the test sees that from its own side.
        let _ = self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush());
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&mut self) {
        self.stream.conn.send_close_notify();
        // The gateway may have closed by now.
        let _ = self.stream.flush();
    }
}
