//! A client that sends exactly the bytes it is told to, over TCP or TLS.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::answer::{Answer, Reader};
use super::authority::Authority;

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    socket: Socket,
    reader: Reader,
    certificate: Option<CertificateDer<'static>>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Client {
    /// Connects without TLS.
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }

    /// Connects without TLS from an address of this machine.
    pub(crate) fn tcp_from(local: IpAddr, address: SocketAddr) -> Self {
        Self::over(bound(local, address))
    }

    /// Connects to a Unix socket, without TLS.
    pub(crate) fn unix(path: &Path) -> Self {
        Self::over(patient(UnixStream::connect(path).unwrap().into()))
    }

    fn over(socket: Socket) -> Self {
        let stream = Box::new(socket.try_clone().unwrap());
        Self { stream, socket, reader: Reader::default(), certificate: None }
    }

    /// Connects with TLS and finishes the handshake; HTTP/1.1 by ALPN.
    pub(crate) fn tls(address: SocketAddr, authority: &Authority, name: &str) -> Self {
        Self::try_tls(address, authority, name).unwrap_or_else(|error| panic!("no handshake as {name}: {error}"))
    }

    /// Connects with TLS; an error is the handshake's.
    pub(crate) fn try_tls(address: SocketAddr, authority: &Authority, name: &str) -> io::Result<Self> {
        Self::try_speaking(b"http/1.1", address, authority, name)
    }

    /// Connects with TLS from an address of this machine; an error is the handshake's.
    pub(crate) fn try_tls_from(
        local: IpAddr,
        address: SocketAddr,
        authority: &Authority,
        name: &str,
    ) -> io::Result<Self> {
        Self::shake_hands(bound(local, address), b"http/1.1", authority, name)
    }

    /// Connects with TLS and a protocol of ALPN; an error is the handshake's.
    pub(crate) fn try_speaking(
        protocol: &[u8],
        address: SocketAddr,
        authority: &Authority,
        name: &str,
    ) -> io::Result<Self> {
        Self::shake_hands(connect(address), protocol, authority, name)
    }

    fn shake_hands(mut socket: Socket, protocol: &[u8], authority: &Authority, name: &str) -> io::Result<Self> {
        let config = Arc::new(trusting(authority, protocol));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(config, name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let certificate = connection.peer_certificates().map(|chain| chain[0].clone().into_owned());
        let stream = Box::new(StreamOwned::new(connection, socket.try_clone()?));
        Ok(Self { stream, socket, reader: Reader::default(), certificate })
    }

    /// The certificate that the gateway showed.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone().expect("a TLS connection")
    }

    /// Sends these bytes. A connection that the gateway has closed already is no error: what it answered counts.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        match self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()) {
            Err(error) if !closed(&error) => panic!("cannot send: {error}"),
            _ => self,
        }
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.next_answer(false).expect("an answer, not the end of the connection")
    }

    /// The next answer to a HEAD request.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.next_answer(true).expect("an answer, not the end of the connection")
    }

    /// The next answer, or nothing where the connection ends first.
    pub(crate) fn next_answer(&mut self, bodyless: bool) -> Option<Answer> {
        match self.reader.answer(&mut *self.stream, bodyless) {
            Ok(answer) => answer,
            Err(error) if closed(&error) => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).answer()
    }

    /// So many bytes, or nothing where the connection ends first.
    pub(crate) fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        match self.reader.exactly(&mut *self.stream, count) {
            Ok(bytes) => Some(bytes),
            Err(error) if closed(&error) => None,
            Err(error) => panic!("neither bytes nor the end: {error}"),
        }
    }

    /// Its own address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap().as_socket().unwrap()
    }

    /// Says that nothing more will be sent, beneath TLS where there is TLS.
    pub(crate) fn finish_sending(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).unwrap();
    }

    /// Reads so many bytes of whatever comes, or fewer where the connection ends first.
    pub(crate) fn read_some(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if closed(&error) => break,
                Err(error) => panic!("no more after {filled} bytes: {error}"),
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// Sends a piece every so often until the gateway has answered or closed.
    pub(crate) fn trickle<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>, every: Duration) {
        self.socket.set_read_timeout(Some(every)).unwrap();
        for piece in pieces {
            if self.stream.write_all(piece).and_then(|()| self.stream.flush()).is_err() {
                break;
            }
            match self.socket.peek(&mut [MaybeUninit::uninit()]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Everything until the gateway closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        match self.reader.remaining(&mut *self.stream) {
            Ok(bytes) => bytes,
            Err(error) if closed(&error) => Vec::new(),
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }

    /// Waits for the gateway to close without another byte.
    pub(crate) fn expect_closed(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "more before the end: {:?}", String::from_utf8_lossy(&rest));
    }
}

/// A client that trusts one CA and speaks one protocol.
pub(crate) fn trusting(authority: &Authority, protocol: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

fn connect(address: SocketAddr) -> Socket {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    patient(stream.into())
}

fn bound(local: IpAddr, address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(local, 0).into()).unwrap();
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    patient(socket)
}

fn patient(socket: Socket) -> Socket {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The ways in which the other side goes away.
fn closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
