//! The listening sockets: opened before a config goes live, handed to the workers, closed when no config has them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::base::place::At;
use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::listen::{Bind, Settings, tcp};
use crate::proxy::worker::{Command, Shared};

/// A listener's name and one of its addresses as configured.
type Key = (Arc<str>, SocketAddr);

/// What is open, by listener and configured address, with the address that the kernel gave.
#[derive(Default)]
pub struct Ports {
    open: BTreeMap<Key, SocketAddr>,
}

/// Sockets that a config needs and that were not open yet.
pub struct Opened(Vec<(Key, SocketAddr, Vec<TcpListener>)>);

impl Ports {
    /// Opens what `config` needs and is not open yet, for so many workers.
    ///
    /// # Errors
    /// One problem for each address that cannot be had. Nothing is open that was not before.
    pub fn open(&self, config: &Config, workers: usize) -> Result<Opened, Vec<Problem>> {
        let (mut opened, mut problems) = (Vec::new(), Vec::new());
        for listener in &config.listeners {
            for bind in &listener.bind {
                let (name, address) = (Arc::<str>::from(listener.name.as_str()), bind.value.0);
                if self.open.contains_key(&(Arc::clone(&name), address)) {
                    continue;
                }
                // Ours already under another listener's name or as one of all addresses: this one takes over before that
                // one is closed.
                let ours = self.open.values().any(|open| overlap(*open, address));
                match sockets(address, workers, ours) {
                    Ok((actual, sockets)) => opened.push(((name, address), actual, sockets)),
                    Err(error) if is_missing_ipv6(&error) && has_ipv4_twin(listener, address) => {
                        tracing::warn!(listener = %name, %address, "this machine has no IPv6; IPv4 is served");
                    }
                    Err(error) => {
                        let (message, advice) = told(address, &error);
                        problems.push(Problem::error(bind.place, message, advice));
                    }
                }
            }
        }
        if problems.is_empty() { Ok(Opened(opened)) } else { Err(problems) }
    }

    /// Hands the sockets to the workers: connections that wait in them are served from now on.
    pub fn hand_over(&mut self, opened: Opened, shared: &Shared) {
        for ((listener, address), actual, sockets) in opened.0 {
            for (place, socket) in shared.places.iter().zip(sockets) {
                // A worker that is gone is draining, and so is the process.
                let _ = place.mailbox.send(Command::Listen { listener: Arc::clone(&listener), address, socket });
            }
            tracing::info!(listener = %listener, address = %actual, "listening");
            self.open.insert((listener, address), actual);
        }
    }

    /// Closes what `config` no longer has. Connections of a listener that is gone end at their next chance.
    pub fn close_others(&mut self, config: &Config, shared: &Shared) {
        let wanted = |(name, address): &Key| {
            let listener = config.listeners.iter().find(|listener| **listener.name == **name);
            (
                listener.is_some(),
                listener.is_some_and(|listener| listener.bind.iter().any(|bind| bind.value.0 == *address)),
            )
        };
        self.open.retain(|key, actual| {
            let (known, kept) = wanted(key);
            if !kept {
                for place in &shared.places {
                    let close = Command::Close { listener: Arc::clone(&key.0), address: key.1, drain: !known };
                    let _ = place.mailbox.send(close);
                }
                tracing::info!(listener = %key.0, address = %actual, "no longer listening");
            }
            kept
        });
    }

    /// Every listener with each address that it really has.
    pub fn all(&self) -> Vec<(String, SocketAddr)> {
        self.open.iter().map(|((name, _), actual)| (name.to_string(), *actual)).collect()
    }
}

fn sockets(address: SocketAddr, workers: usize, ours: bool) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let sockets = tcp::bind(address, workers, ours)?;
    let actual = sockets.first().ok_or(io::ErrorKind::InvalidInput)?.local_addr()?;
    Ok((actual, sockets))
}

/// Whether the kernel gives only one of them to a program that does not share its ports.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (all || one.ip() == other.ip())
}

/// Whether the kernel has no IPv6 at all.
fn is_missing_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(errno, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
}

/// Whether `address` is `[::]` and the listener has `0.0.0.0` with the same port: it asked for all there is.
fn has_ipv4_twin(listener: &Settings, address: SocketAddr) -> bool {
    let twin = |bind: &At<Bind>| bind.0.is_ipv4() && bind.0.ip().is_unspecified() && bind.0.port() == address.port();
    address.is_ipv6() && address.ip().is_unspecified() && listener.bind.iter().any(twin)
}

fn told(address: SocketAddr, error: &io::Error) -> (String, String) {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("{address} is taken: another program listens there"),
            format!("stop it (`ss -ltnp 'sport = :{port}'` shows which), or choose another port"),
        ),
        io::ErrorKind::PermissionDenied => (
            format!("no permission to listen on {address}"),
            "ports below 1024 need CAP_NET_BIND_SERVICE: `setcap cap_net_bind_service=+ep` on the binary, or AmbientCapabilities in the systemd unit; or choose a port from 1024".to_owned(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("this machine has no address {}", address.ip()),
            "use one that `ip address` shows, or `0.0.0.0` and `[::]` for all".to_owned(),
        ),
        _ => (format!("cannot listen on {address}: {error}"), "choose another address".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_says_what_to_do() {
        let address = SocketAddr::from(([0, 0, 0, 0], 443));
        let (message, advice) = told(address, &io::ErrorKind::PermissionDenied.into());
        assert!(message.contains("no permission to listen on 0.0.0.0:443"), "{message}");
        assert!(advice.contains("cap_net_bind_service") && advice.contains("setcap"), "{advice}");
        let (message, advice) = told(address, &io::ErrorKind::AddrInUse.into());
        assert!(message.contains("0.0.0.0:443 is taken") && advice.contains("sport = :443"), "{message} {advice}");
    }

    #[test]
    fn all_addresses_overlap_with_each_of_their_family() {
        let overlap = |one: &str, other: &str| overlap(one.parse().unwrap(), other.parse().unwrap());
        for (one, other) in [("127.0.0.1:80", "127.0.0.1:80"), ("127.0.0.1:80", "0.0.0.0:80"), ("[::]:80", "[::1]:80")]
        {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in
            [("127.0.0.1:80", "127.0.0.2:80"), ("127.0.0.1:80", "0.0.0.0:81"), ("[::]:80", "0.0.0.0:80")]
        {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }
}
