//! The listening sockets: opened before a config goes live, handed to the workers, closed when no config has them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::base::settings::Problem;
use crate::control::config::Config;
use crate::proxy::listen::accepting::Listening;
use crate::proxy::listen::{Bind, Settings, tcp, unix};
use crate::proxy::worker::{Command, Shared};

/// A listener's name and one of its addresses as configured.
type Key = (Arc<str>, Bind);

/// What is open, by listener and configured address.
#[derive(Default)]
pub struct Ports {
    open: BTreeMap<Key, Open>,
}

/// An address that is listened on. The workers have the sockets.
enum Open {
    /// The address that the kernel gave.
    Tcp(SocketAddr),
    /// The socket with its file, which goes with the last listener that has it.
    Unix(Arc<unix::Bound>),
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(bound) => write!(f, "unix:{}", bound.path().display()),
        }
    }
}

/// Sockets that a config needs and that were not open yet.
pub struct Opened(Vec<(Key, Open, Vec<Listening>)>);

impl Ports {
    /// Opens what `config` needs and is not open yet, for so many workers.
    ///
    /// # Errors
    /// One problem for each address that cannot be had. Nothing is open that was not before.
    pub fn open(&self, config: &Config, workers: usize) -> Result<Opened, Vec<Problem>> {
        let (mut opened, mut problems) = (Vec::<(Key, Open, Vec<Listening>)>::new(), Vec::new());
        for listener in &config.listeners {
            for bind in &listener.bind {
                let key = (Arc::<str>::from(listener.name.as_str()), bind.value.clone());
                if self.open.contains_key(&key) {
                    continue;
                }
                let open: Vec<&Open> = self.open.values().chain(opened.iter().map(|(_, open, _)| open)).collect();
                match sockets(&bind.value, workers, &open) {
                    Ok((open, sockets)) => opened.push((key, open, sockets)),
                    Err(error) if is_missing_ipv6(&error) && has_ipv4_twin(listener, &bind.value) => {
                        tracing::warn!(listener = %key.0, address = %bind.value, "this machine has no IPv6; IPv4 is served");
                    }
                    Err(error) => {
                        let (message, advice) = told(&bind.value, &error);
                        problems.push(Problem::error(bind.place, message, advice));
                    }
                }
            }
        }
        if problems.is_empty() { Ok(Opened(opened)) } else { Err(problems) }
    }

    /// Hands the sockets to the workers: connections that wait in them are served from now on.
    pub fn hand_over(&mut self, opened: Opened, shared: &Shared) {
        for (key, open, sockets) in opened.0 {
            for (place, socket) in shared.places.iter().zip(sockets) {
                let (listener, address) = key.clone();
                // A worker that is gone is draining, and so is the process.
                let _ = place.mailbox.send(Command::Listen { listener, address, socket });
            }
            tracing::info!(listener = %key.0, address = %open, "listening");
            self.open.insert(key, open);
        }
    }

    /// Closes what `config` no longer has. Connections of a listener that is gone end at their next chance.
    pub fn close_others(&mut self, config: &Config, shared: &Shared) {
        let listener = |name: &str| config.listeners.iter().find(|listener| *listener.name.value == *name);
        let kept = |(name, address): &Key| {
            listener(name).is_some_and(|listener| listener.bind.iter().any(|bind| bind.value == *address))
        };
        for (key, open) in self.open.extract_if(.., |key, _| !kept(key)) {
            let told = open.to_string();
            // The file of a Unix socket goes first: who still comes by it would wait where nobody accepts.
            drop(open);
            for place in &shared.places {
                let ((listener_name, address), drain) = (key.clone(), listener(&key.0).is_none());
                let _ = place.mailbox.send(Command::Close { listener: listener_name, address, drain });
            }
            tracing::info!(listener = %key.0, address = told, "no longer listening");
        }
    }

    /// Lets go of everything, before the workers are told to: the files of Unix sockets are removed.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// Every listener with each address that it really has.
    pub fn all(&self) -> Vec<(String, String)> {
        self.open.iter().map(|((name, _), open)| (name.to_string(), open.to_string())).collect()
    }
}

/// A socket for each worker. An address that is ours already, under another listener's name or as one of all addresses, is
/// shared: the new listener takes over before the old one is closed, or both stay, and the more exact address comes first.
fn sockets(bind: &Bind, workers: usize, ours: &[&Open]) -> io::Result<(Open, Vec<Listening>)> {
    match bind {
        Bind::Tcp(address) => {
            let overlapping = |open: &&Open| matches!(open, Open::Tcp(open) if overlap(*open, *address));
            let sockets = tcp::bind(*address, workers, ours.iter().any(overlapping))?;
            let actual = sockets.first().ok_or(io::ErrorKind::InvalidInput)?.local_addr()?;
            Ok((Open::Tcp(actual), sockets.into_iter().map(Listening::Tcp).collect()))
        }
        Bind::Unix(path) => {
            let known = ours.iter().find_map(|open| match open {
                Open::Unix(bound) if bound.path() == path => Some(Arc::clone(bound)),
                _ => None,
            });
            let bound = known.map_or_else(|| unix::bind(path).map(Arc::new), Ok)?;
            let sockets = std::iter::repeat_with(|| bound.share().map(Listening::Unix)).take(workers);
            let sockets = sockets.collect::<io::Result<_>>()?;
            Ok((Open::Unix(bound), sockets))
        }
    }
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
fn has_ipv4_twin(listener: &Settings, bind: &Bind) -> bool {
    let Bind::Tcp(address @ SocketAddr::V6(_)) = bind else { return false };
    let twin = Bind::Tcp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()));
    address.ip().is_unspecified() && listener.bind.iter().any(|bind| bind.value == twin)
}

/// What is wrong and what to do about it.
fn told(bind: &Bind, error: &io::Error) -> (String, String) {
    match bind {
        Bind::Tcp(address) => told_of_port(*address, error),
        Bind::Unix(path) => told_of_socket(path, error),
    }
}

fn told_of_port(address: SocketAddr, error: &io::Error) -> (String, String) {
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
        _ => (format!("cannot listen on {address}: {error}"), otherwise(error, "choose another address")),
    }
}

fn told_of_socket(path: &Path, error: &io::Error) -> (String, String) {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("unix:{shown} is taken: another program listens there"),
            format!("stop it (`ss -lxp src {shown}` shows which), or choose another path"),
        ),
        io::ErrorKind::AlreadyExists => {
            (format!("{shown} is there and is no socket"), "choose another path, or move it away".to_owned())
        }
        io::ErrorKind::PermissionDenied => (
            format!("no permission to listen on unix:{shown}"),
            "choose a folder that this user may write to; a socket that another user has left there must be removed"
                .to_owned(),
        ),
        io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path).display();
            (format!("the folder of unix:{shown} does not exist"), format!("create it: `mkdir -p {folder}`"))
        }
        _ => (format!("cannot listen on unix:{shown}: {error}"), otherwise(error, "choose another path")),
    }
}

/// What to do about an error that comes seldom.
fn otherwise(error: &io::Error, advice: &str) -> String {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    match errno {
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
            "raise the limit of open files: `ulimit -n`, or LimitNOFILE in the systemd unit".to_owned()
        }
        _ => advice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_says_what_to_do() {
        let address = Bind::Tcp(SocketAddr::from(([0, 0, 0, 0], 443)));
        let (message, advice) = told(&address, &io::ErrorKind::PermissionDenied.into());
        assert!(message.contains("no permission to listen on 0.0.0.0:443"), "{message}");
        assert!(advice.contains("cap_net_bind_service") && advice.contains("setcap"), "{advice}");
        let (message, advice) = told(&address, &io::ErrorKind::AddrInUse.into());
        assert!(message.contains("0.0.0.0:443 is taken") && advice.contains("sport = :443"), "{message} {advice}");
        let socket = Bind::Unix("/run/gate/s".into());
        for bind in [&address, &socket] {
            let (message, advice) = told(bind, &rustix::io::Errno::MFILE.into());
            assert!(message.starts_with("cannot listen on") && advice.contains("ulimit -n"), "{message} {advice}");
        }
        for (kind, what, advised) in [
            (io::ErrorKind::AddrInUse, "unix:/run/gate/s is taken", "ss -lxp"),
            (io::ErrorKind::AlreadyExists, "/run/gate/s is there and is no socket", "another path"),
            (io::ErrorKind::PermissionDenied, "no permission to listen on unix:/run/gate/s", "may write"),
            (io::ErrorKind::NotFound, "does not exist", "`mkdir -p /run/gate`"),
        ] {
            let (message, advice) = told(&socket, &kind.into());
            assert!(message.contains(what) && advice.contains(advised), "{message} {advice}");
        }
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
