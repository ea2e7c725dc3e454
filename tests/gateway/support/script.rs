//! A backend that does exactly what a test tells it to, byte by byte, and records what it was sent.

use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::answer::{Answer, Reader};

/// A backend played by a function that is called for each connection.
pub(crate) struct Script {
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
}

/// A request as it came off the wire.
#[derive(Clone)]
pub(crate) struct Received {
    /// Which connection of the backend it came on, from 0.
    pub(crate) connection: usize,
    /// The request line.
    pub(crate) line: String,
    /// Field lines as they were sent.
    pub(crate) fields: Vec<(String, String)>,
    /// The body as it was sent: with its chunk lines, where it was chunked.
    pub(crate) body: Vec<u8>,
    /// Trailers of HTTP/2.
    pub(crate) trailers: Vec<(String, String)>,
}

impl Script {
    /// Plays `act` on a thread for each connection.
    pub(crate) fn playing(act: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        Self::playing_on(TcpListener::bind("127.0.0.1:0").unwrap(), act)
    }

    /// Plays `act` on a thread for each connection of a socket that listens.
    pub(crate) fn playing_on(listener: TcpListener, act: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::channel();
        let act = Arc::new(act);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let act = Arc::clone(&act);
                let mut conversation = Conversation::new(number, stream.unwrap(), sender.clone());
                std::thread::spawn(move || act(&mut conversation));
            }
        });
        Self { address, received }
    }

    /// Answers every request with the same bytes.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::playing(move |conversation| {
            while conversation.request().is_some() {
                conversation.send(&answer);
            }
        })
    }

    /// An address that refuses connections: nobody listens there, and nobody else can for as long as the test runs.
    pub(crate) fn dead() -> String {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // Bound and not listening: closed with the test's process.
        std::mem::forget(socket);
        format!("http://{address}")
    }

    /// The next request that any connection got.
    pub(crate) fn received(&self) -> Received {
        self.received.recv_timeout(PATIENCE).expect("a request at the backend")
    }

    /// Requests that came and were not looked at; does not wait.
    pub(crate) fn left(&self) -> usize {
        self.received.try_iter().count()
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

impl Received {
    /// The value of the only field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found =
            self.fields.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "more than one {name}: {:?}", self.fields);
        first
    }

    /// The values of all fields of that name, in order.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

/// One connection, seen from the backend.
pub(crate) struct Conversation {
    /// Which connection of this backend it is, from 0.
    pub(crate) number: usize,
    stream: TcpStream,
    reader: Reader,
    received: mpsc::Sender<Received>,
}

impl Conversation {
    /// On an accepted connection; what is received goes to `received` too.
    pub(crate) fn new(number: usize, stream: TcpStream, received: mpsc::Sender<Received>) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { number, stream, reader: Reader::default(), received }
    }

    /// Reads the next request to its end and records it. Nothing when the gateway closed.
    pub(crate) fn request(&mut self) -> Option<Received> {
        let mut request = self.head()?;
        let chunked = request.field("transfer-encoding").is_some();
        let length: usize = request.field("content-length").map_or(0, |length| length.parse().unwrap());
        let body = if chunked {
            self.reader.raw_chunks(&mut self.stream)
        } else {
            self.reader.exactly(&mut self.stream, length)
        };
        request.body = body.ok()?;
        // The test may be over.
        let _ = self.received.send(request.clone());
        Some(request)
    }

    /// Reads the next request's head only, and does not record it.
    pub(crate) fn head(&mut self) -> Option<Received> {
        let head = self.reader.until(&mut self.stream, b"\r\n\r\n").ok()??;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next()?.to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Some(Received { connection: self.number, line, fields, body: Vec::new(), trailers: Vec::new() })
    }

    /// Sends these bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have gone; the test sees that from its own side.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends this piece again and again, up to so many times or until the gateway closes. How often it went.
    pub(crate) fn flood(&mut self, piece: &[u8], times: usize, mut sent: impl FnMut(usize)) -> usize {
        for number in 0..times {
            if self.stream.write_all(piece).is_err() {
                return number;
            }
            sent(number + 1);
        }
        times
    }

    /// The next byte, left where it is; 0 where the gateway closes.
    pub(crate) fn peek(&mut self) -> u8 {
        let mut byte = [0];
        // Nothing has been read ahead where a test asks for this: before the first request.
        let _ = self.stream.peek(&mut byte);
        byte[0]
    }

    /// Reads so many bytes as they come; fewer where the gateway closes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.reader.exactly(&mut self.stream, count).unwrap_or_default()
    }

    /// Reads a chunked body and joins its chunks; nothing where the gateway closes within it.
    pub(crate) fn chunks(&mut self) -> Vec<u8> {
        let mut answer = Answer::default();
        self.reader.chunks(&mut self.stream, &mut answer).map(|()| answer.body).unwrap_or_default()
    }

    /// Says that nothing more will come, in good order.
    pub(crate) fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Tears the connection down with a reset.
    pub(crate) fn reset(&mut self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO)).unwrap();
        // Closed by leaving: a duplicate in the test would keep it open.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    }

    /// Records a request whose body is no message.
    pub(crate) fn record(&self, request: Received) {
        // The test may be over.
        let _ = self.received.send(request);
    }

    /// Sends back whatever comes until the gateway ends its side.
    pub(crate) fn echo(&mut self) {
        loop {
            match self.reader.some(&mut self.stream) {
                Ok(bytes) if !bytes.is_empty() => self.send(bytes),
                _ => return self.close(),
            }
        }
    }

    /// Everything that comes until the gateway closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.reader.remaining(&mut self.stream).unwrap_or_default()
    }

    /// Does nothing until the gateway closes.
    pub(crate) fn hold(&mut self) {
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }
}
