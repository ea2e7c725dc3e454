//! Listening sockets: one per worker and address, sharing the port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections the kernel keeps for us while we are busy.
pub(super) const BACKLOG: i32 = 4096;

/// Opens one socket per worker on `address`. With port 0, the port the kernel gave the first is used for all.
///
/// A first try without SO_REUSEPORT finds out whether the port is taken: with it, a second gateway would silently get half
/// the connections. `ours` says that the port is known to be this process's own.
///
/// # Errors
/// What the kernel says: taken, not permitted, no such address.
pub fn bind(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    if !ours && address.port() != 0 {
        let probe = socket(address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let first = shared(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(shared(address)?);
    }
    Ok(sockets)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without this a restart waits for connections of the last run that are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` is IPv6 only, whatever the system's default: both families are two addresses in `bind`.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_share_one_port() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3, false).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert!(ports.len() == 3 && ports.iter().all(|port| *port == ports[0] && *port != 0));
    }

    #[test]
    fn all_ipv6_addresses_are_no_ipv4_address() {
        let sockets = bind("[::]:0".parse().unwrap(), 1, false).unwrap();
        assert!(socket2::SockRef::from(&sockets[0]).only_v6().unwrap());
    }

    #[test]
    fn a_port_that_another_listens_on_is_taken() {
        let other = bind("127.0.0.1:0".parse().unwrap(), 1, false).unwrap();
        let address = other[0].local_addr().unwrap();
        assert_eq!(bind(address, 1, false).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        assert!(bind(address, 1, true).is_ok());
    }
}
