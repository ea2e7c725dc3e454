//! Who calls, and where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::proxy_protocol::Header;
use crate::base::cidr::Cidr;

/// The two ends of a connection: of its socket, or those that its PROXY header names.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Who connected. Never IPv4-mapped. On a Unix socket 127.0.0.1 and port 0: whoever may open the file is on this machine.
    pub peer: SocketAddr,
    /// Where it connected to; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    speaks: Speaks,
}

/// Whose words a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    /// The peer's own.
    Peer,
    /// Those of a proxy, by its own PROXY header.
    Proxy,
    /// Those of a client of the peer, which does not say who.
    Nobody,
}

impl Ends {
    /// Whoever is at the other end of a socket; where it connected to is yet to be said.
    pub fn new(peer: SocketAddr) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { peer, local: None, speaks: Speaks::Peer }
    }

    /// Takes over what a header says, from a peer that is believed.
    pub fn learn(&mut self, header: Header) {
        match header {
            Header::Local => self.speaks = Speaks::Proxy,
            Header::Unnamed => self.speaks = Speaks::Nobody,
            Header::Named { source, destination } => (self.peer, self.local) = (source, Some(destination)),
        }
    }

    /// What a backend is told of the client `address`: both ends of its connection, or its address alone, with port 0, where a
    /// trusted proxy has named it in `X-Forwarded-For`.
    pub fn introduced(&self, address: IpAddr) -> Header {
        if address != self.peer.ip() {
            let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            return Header::Named { source: SocketAddr::new(address, 0), destination: self.local.unwrap_or(nowhere) };
        }
        match (self.speaks, self.local) {
            (Speaks::Peer, Some(destination)) => Header::Named { source: self.peer, destination },
            (Speaks::Proxy, _) => Header::Local,
            (Speaks::Peer, None) | (Speaks::Nobody, _) => Header::Unnamed,
        }
    }

    /// The address that one client's connections are counted under. None for many clients behind one address: those of a Unix
    /// socket, and a proxy that names none.
    pub fn counted(&self) -> Option<IpAddr> {
        (self.speaks == Speaks::Peer && self.local.is_some()).then(|| self.peer.ip())
    }

    /// The address it connected to, to choose a certificate by.
    pub fn local_ip(&self) -> IpAddr {
        self.local.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip())
    }

    /// Whose forwarding fields are believed on this connection: nobody's where a proxy passes on the words of a client that
    /// it does not name, since the address we see is not the client's.
    pub fn believed<'a>(&self, trusted: &'a [Cidr]) -> &'a [Cidr] {
        if self.speaks == Speaks::Nobody { &[] } else { trusted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_decides_whose_words_these_are() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let source = "192.0.2.7:9".parse().unwrap();
        let named = Header::Named { source, destination: "192.0.2.8:443".parse().unwrap() };
        for (header, peer, counted, believed) in [
            (None, "10.0.0.1", true, true),
            (Some(Header::Local), "10.0.0.1", false, true),
            (Some(Header::Unnamed), "10.0.0.1", false, false),
            (Some(named), "192.0.2.7", true, true),
        ] {
            let mut ends = Ends::new("[::ffff:10.0.0.1]:4711".parse().unwrap());
            ends.local = Some("10.0.0.2:443".parse().unwrap());
            header.into_iter().for_each(|header| ends.learn(header));
            assert_eq!(ends.peer.ip().to_string(), peer);
            assert_eq!(ends.counted().is_some(), counted, "{ends:?}");
            assert_eq!(ends.believed(&trusted).is_empty(), !believed, "{ends:?}");
            let client = "203.0.113.9".parse().unwrap();
            let destination = ends.local.unwrap();
            let by_field = Header::Named { source: SocketAddr::new(client, 0), destination };
            assert_eq!(ends.introduced(client), by_field);
            let itself = header.unwrap_or(Header::Named { source: ends.peer, destination });
            assert_eq!(ends.introduced(ends.peer.ip()), itself);
            assert_eq!(ends.local_ip().to_string(), if header == Some(named) { "192.0.2.8" } else { "10.0.0.2" });
        }
    }

    #[test]
    fn a_unix_socket_is_this_machine_and_no_single_client() {
        let ends = Ends::new("127.0.0.1:0".parse().unwrap());
        assert_eq!((ends.counted(), ends.local_ip()), (None, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(ends.introduced(ends.peer.ip()), Header::Unnamed);
    }
}
