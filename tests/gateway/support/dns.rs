//! A name server that says exactly what a test tells it to, over UDP and TCP on one port, and counts what it is asked.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// A name server.
pub(crate) struct NameServer {
    address: SocketAddr,
    zone: Arc<Zone>,
}

/// What is said of a name.
#[derive(Clone)]
pub(crate) enum Says {
    /// These records, as far as they are of the kind that is asked for.
    Records(Vec<Record>),
    /// These records, and nothing at all where it is asked for another kind.
    OnlyOf(Vec<Record>),
    /// That it does not exist: so of every name that nothing was said about.
    NotThere,
    /// An error of the server.
    ServerFailure,
    /// Nothing at all.
    Silence,
    /// The number of the query, and then this instead of an answer.
    Noise(Vec<u8>),
}

/// One record.
#[derive(Clone)]
pub(crate) enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// SRV: priority, weight, port, host.
    Service(u16, u16, u16, &'static str),
}

#[derive(Default)]
struct Zone {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Says>,
    /// How often each name was asked for, whatever the kind.
    counts: HashMap<String, usize>,
    ttl: u32,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// The largest answer over UDP. Whoever wants more is told to come back over TCP.
const LARGEST_DATAGRAM: usize = 1_232;

impl NameServer {
    /// A name server that knows nothing yet.
    pub(crate) fn new() -> Self {
        let (udp, tcp) = sockets();
        let server = Self { address: udp.local_addr().unwrap(), zone: Arc::default() };
        let zone = Arc::clone(&server.zone);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, peer)) = udp.recv_from(&mut query) {
                if let Some(answer) = zone.answer(&query[..length], LARGEST_DATAGRAM) {
                    // The gateway may have gone.
                    let _ = udp.send_to(&answer, peer);
                }
            }
        });
        let zone = Arc::clone(&server.zone);
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let zone = Arc::clone(&zone);
                std::thread::spawn(move || zone.converse(stream.unwrap()));
            }
        });
        server
    }

    /// From now on says this of `name`.
    pub(crate) fn say(&self, name: &str, says: Says) {
        self.zone.state.lock().unwrap().names.insert(name.to_owned(), says);
    }

    /// From now on `name` has these addresses.
    pub(crate) fn point(&self, name: &str, addresses: &[&str]) {
        let records = addresses.iter().map(|address| Record::Address(address.parse().unwrap()));
        self.say(name, Says::Records(records.collect()));
    }

    /// From now on says of every record that it is good for so many seconds; 0 until then.
    pub(crate) fn keep_for(&self, seconds: u32) {
        self.zone.state.lock().unwrap().ttl = seconds;
    }

    /// How often `name` was asked for: A and AAAA count as two.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.zone.state.lock().unwrap().counts.get(name).copied().unwrap_or_default()
    }

    /// Waits until `name` was asked for so often, from the beginning.
    pub(crate) fn wait_for(&self, name: &str, count: usize) {
        let state = self.zone.state.lock().unwrap();
        let missing = |state: &mut State| state.counts.get(name).is_none_or(|seen| *seen < count);
        let (state, waited) = self.zone.asked.wait_timeout_while(state, PATIENCE, missing).unwrap();
        assert!(!waited.timed_out(), "{name} was asked for {:?} times", state.counts.get(name));
    }
}

/// Where it listens.
impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Both on a port that is free for both.
fn sockets() -> (UdpSocket, TcpListener) {
    let both = || -> io::Result<_> {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        Ok((UdpSocket::bind(tcp.local_addr()?)?, tcp))
    };
    (0..100).find_map(|_| both().ok()).expect("a port that is free for UDP and TCP")
}

impl Zone {
    fn converse(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let Some(answer) = self.answer(&query, usize::from(u16::MAX)) else { continue };
            let length = (answer.len() as u16).to_be_bytes();
            if stream.write_all(&[&length, &answer[..]].concat()).is_err() {
                return;
            }
        }
    }

    /// The answer to a query (RFC 1035 §4.1); nothing where the server is silent.
    fn answer(&self, query: &[u8], largest: usize) -> Option<Vec<u8>> {
        let (name, rest) = name_of(&query[12..]);
        let kind = u16::from_be_bytes([rest[0], rest[1]]);
        let question = &query[12..query.len() - rest.len() + 4];
        let (says, ttl) = self.noted(&name);
        let (code, records) = match says {
            Says::Records(records) => (0, records),
            Says::OnlyOf(records) if records.iter().any(|record| record.encoded(kind, ttl).is_some()) => (0, records),
            Says::ServerFailure => (2, Vec::new()),
            Says::NotThere => (3, Vec::new()),
            Says::OnlyOf(_) | Says::Silence => return None,
            Says::Noise(bytes) => return Some([&query[..2], &bytes].concat()),
        };
        let records: Vec<Vec<u8>> = records.iter().filter_map(|record| record.encoded(kind, ttl)).collect();
        let fits = 12 + question.len() + records.iter().map(Vec::len).sum::<usize>() <= largest;
        let records = if fits { records } else { Vec::new() };
        // A response, recursion desired and available; truncated where it does not fit.
        let flags = [if fits { 0x81 } else { 0x83 }, 0x80 | code];
        let counts = [1, records.len() as u16, 0, 0].map(u16::to_be_bytes).concat();
        Some([&query[..2], &flags, &counts, question, &records.concat()].concat())
    }

    fn noted(&self, name: &str) -> (Says, u32) {
        let mut state = self.state.lock().unwrap();
        *state.counts.entry(name.to_owned()).or_default() += 1;
        self.asked.notify_all();
        (state.names.get(name).cloned().unwrap_or(Says::NotThere), state.ttl)
    }
}

/// The name at the start, in lower case without its last dot, and what follows it.
fn name_of(mut bytes: &[u8]) -> (String, &[u8]) {
    let mut labels = Vec::new();
    while bytes[0] != 0 {
        let (label, rest) = bytes[1..].split_at(usize::from(bytes[0]));
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        bytes = rest;
    }
    (labels.join("."), &bytes[1..])
}

impl Record {
    /// On the wire, under the name of the question. Nothing where another kind was asked for.
    fn encoded(&self, wanted: u16, ttl: u32) -> Option<Vec<u8>> {
        let (kind, content) = match self {
            Self::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
            Self::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
            Self::Service(priority, weight, port, host) => {
                let labels = host.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
                let numbers = [*priority, *weight, *port].map(u16::to_be_bytes).concat();
                (SRV, numbers.into_iter().chain(labels).chain([0]).collect())
            }
        };
        let length = (content.len() as u16).to_be_bytes();
        let name = [0xc0, 12];
        let record = [&name, &kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &length, &content].concat();
        (kind == wanted).then_some(record)
    }
}
