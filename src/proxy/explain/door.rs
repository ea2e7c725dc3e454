//! Which listener a URL leads to: the one that accepts connections on its port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::Seen;
use super::explanation;
use super::question::{Question, Unaskable, Url};
use crate::proxy::listen::Bind;
use crate::proxy::snapshot::Listener;

/// The listener, and why it is this one.
pub(super) struct Door<'a> {
    pub(super) listener: &'a Arc<Listener>,
    why: String,
    /// Where the client connected to; none on a Unix socket.
    pub(super) local: Option<SocketAddr>,
}

impl<'a> Door<'a> {
    /// The listener that takes a request for `url`.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub(super) fn find(seen: &Seen<'a>, question: &Question, url: &Url) -> Result<Self, Unaskable> {
        let port = url.port.unwrap_or(if url.secure { 443 } else { 80 });
        let ip = url.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let door = |listener: &'a Arc<Listener>, why| {
            let tcp = listener.bind.iter().any(|bind| matches!(bind, Bind::Tcp(_)));
            Self { listener, why, local: tcp.then_some(SocketAddr::new(ip, port)) }
        };
        if let Some(name) = &question.listener {
            let found = seen.snapshot.listener(name).ok_or_else(|| {
                Unaskable::new(format!("no listener is called `{name}`"), format!("there {}", listed(seen)))
            });
            return found.map(|listener| door(listener, "it was asked for".to_owned()));
        }
        let (fitting, why) = fitting(seen, url, port);
        let alike: Vec<_> = fitting.iter().copied().filter(|listener| listener.tls.is_some() == url.secure).collect();
        let fitting = if alike.is_empty() { fitting } else { alike };
        match fitting[..] {
            [listener] => Ok(door(listener, why)),
            [] => Err(Unaskable::new(
                format!("no listener accepts connections on port {port}"),
                format!(
                    "there {}; write the port into the URL, or name the listener (`--listener NAME`)",
                    listed(seen)
                ),
            )),
            _ => Err(Unaskable::new(
                format!("more than one listener may take a connection for {}", url.authority),
                format!("name one (`--listener NAME`): there {}", listed(seen)),
            )),
        }
    }

    /// As it is told.
    pub(super) fn told(&self, seen: &Seen<'_>) -> explanation::Listener {
        let header = if self.listener.proxy_protocol { "; `from` is whom the PROXY header names" } else { "" };
        explanation::Listener {
            name: self.listener.name.clone(),
            tls: self.listener.tls.is_some(),
            why: format!("{}{header}", self.why),
            addresses: addresses(seen, &self.listener.name),
        }
    }
}

/// The listeners on the port: those on the address that the URL names before those on all addresses. Where none is on a port
/// that was not written, those that speak the URL's scheme.
fn fitting<'a>(seen: &Seen<'a>, url: &Url, port: u16) -> (Vec<&'a Arc<Listener>>, String) {
    let secure = |listener: &Listener| listener.tls.is_some() == url.secure;
    let on = |wanted: u16| {
        let address = url.host.parse::<IpAddr>().ok();
        let here: Vec<&SocketAddr> = tcp(seen).map(|(_, bind)| bind).filter(|bind| bind.port() == wanted).collect();
        let exact = address.filter(|address| here.iter().any(|bind| bind.ip() == *address));
        let fits = |bind: &SocketAddr| match (exact, address) {
            (Some(exact), _) => bind.ip() == exact,
            (None, Some(address)) => bind.ip().is_unspecified() && bind.is_ipv4() == address.is_ipv4(),
            (None, None) => true,
        };
        named(seen, |name| tcp(seen).any(|(at, bind)| at == name && bind.port() == wanted && fits(bind)))
    };
    let exact = on(port);
    if !exact.is_empty() {
        return (exact, format!("it accepts connections on port {port}"));
    }
    // Of a config that does not serve: which port it takes, it does not say.
    let mut free = on(0);
    free.retain(|listener| secure(listener));
    if !free.is_empty() {
        return (free, "it takes a free port".to_owned());
    }
    let mut only = if url.port.is_none() { named(seen, |_| true) } else { Vec::new() };
    only.retain(|listener| secure(listener));
    only = if only.len() == 1 { only } else { Vec::new() };
    let scheme = if url.secure { "https" } else { "http" };
    (only, format!("the URL names no port, and no other listener speaks {scheme}"))
}

fn named<'a>(seen: &Seen<'a>, fits: impl Fn(&str) -> bool) -> Vec<&'a Arc<Listener>> {
    seen.snapshot.listeners.iter().filter(|listener| fits(&listener.name)).collect()
}

fn tcp<'s>(seen: &Seen<'s>) -> impl Iterator<Item = (&'s str, &'s SocketAddr)> {
    seen.places.iter().filter_map(|(name, bind)| match bind {
        Bind::Tcp(address) => Some((name.as_str(), address)),
        Bind::Unix(_) => None,
    })
}

fn addresses(seen: &Seen<'_>, listener: &str) -> Vec<String> {
    seen.places.iter().filter(|(name, _)| name == listener).map(|(_, bind)| bind.to_string()).collect()
}

/// `is https (TLS, 0.0.0.0:443)`, `are …`.
fn listed(seen: &Seen<'_>) -> String {
    let listeners = &seen.snapshot.listeners;
    let told = listeners.iter().map(|listener| {
        let kind = if listener.tls.is_some() { "TLS" } else { "plain" };
        format!("{} ({kind}, {})", listener.name, addresses(seen, &listener.name).join(", "))
    });
    let verb = if listeners.len() == 1 { "is" } else { "are" };
    format!("{verb} {}", told.collect::<Vec<_>>().join(", "))
}
