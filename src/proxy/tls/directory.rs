//! SNI to identity: which certificate a client gets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rustls::ServerConfig;

use super::by_name::ByName;
use super::cert::Pair;
use super::names::without_dot;

/// A certificate as new connections of one listener get it: its current pair, and the handshake settings made for it. Another pair
/// is another identity.
pub struct Identity {
    /// The certificate's name in the config.
    pub name: Arc<str>,
    /// The pair that is served.
    pub pair: Arc<Pair>,
    /// Marked `default = true`.
    pub(super) default: bool,
    /// At the listener's minimum version.
    pub(super) config: Arc<ServerConfig>,
    /// At TLS 1.3, for hosts that ask for more than the listener; the same where that is no difference.
    pub(super) strict: Arc<ServerConfig>,
}

/// Why a client gets an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The certificate has the name that it asks for.
    Name,
    /// The certificate has a wildcard for the name that it asks for.
    Wildcard,
    /// It asks for no name, and the certificate has the address that it dialled.
    Address,
    /// It asks for no name; the listener's `default_certificate`.
    ListenerDefault,
    /// It asks for no name; marked `default = true`.
    Default,
    /// It asks for no name; there is no other.
    Only,
}

/// Which identity a client gets, from the names that the certificates have now. Never changed: another one takes its place.
pub struct Directory {
    by_name: ByName<Arc<Identity>>,
    by_address: HashMap<IpAddr, Arc<Identity>, RandomState>,
    /// For clients that send no name, where no certificate has the address they dialled; and why it is that one.
    fallback: Option<(Arc<Identity>, Why)>,
    identities: Vec<Arc<Identity>>,
}

impl Directory {
    /// From the identities in file order (the first one wins a name), and the name of the listener's `default_certificate`.
    pub(super) fn new(identities: Vec<Arc<Identity>>, default_certificate: Option<&str>) -> Self {
        let mut by_name = ByName::new();
        let mut by_address = HashMap::default();
        for identity in &identities {
            for name in identity.pair.names.exact() {
                by_name.put_exact(name, Arc::clone(identity));
            }
            for parent in identity.pair.names.wildcards() {
                by_name.put_wildcard(parent, Arc::clone(identity));
            }
            for address in identity.pair.names.addresses() {
                by_address.entry(address).or_insert_with(|| Arc::clone(identity));
            }
        }
        let named = |name: &str| identities.iter().find(|identity| *identity.name == *name);
        let because = |why: Why| move |identity: &Arc<Identity>| (Arc::clone(identity), why);
        let fallback = default_certificate
            .and_then(named)
            .map(because(Why::ListenerDefault))
            .or_else(|| identities.iter().find(|identity| identity.default).map(because(Why::Default)))
            .or_else(|| identities.first().filter(|_| identities.len() == 1).map(because(Why::Only)));
        Self { by_name, by_address, fallback, identities }
    }

    /// The identity for a client that asks for `name`: exact, else by wildcard. Any case.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Identity>> {
        self.by_name.find(name)
    }

    /// The identity for a client that sends no name and dialled `local`: the certificate with that address, else the listener's
    /// default, else the one marked so, else the only one.
    pub fn by_address(&self, local: IpAddr) -> Option<&Arc<Identity>> {
        let fallback = || self.fallback.as_ref().map(|(identity, _)| identity);
        self.by_address.get(&local.to_canonical()).or_else(fallback)
    }

    /// Why a client gets `identity`, which was found here for it.
    pub fn why(&self, identity: &Identity, name: Option<&str>, local: IpAddr) -> Why {
        let exactly =
            |name: &str| identity.pair.names.exact().any(|known| known.eq_ignore_ascii_case(without_dot(name)));
        match (name, &self.fallback) {
            (Some(name), _) if exactly(name) => Why::Name,
            (Some(_), _) => Why::Wildcard,
            (None, Some((_, why))) if !self.by_address.contains_key(&local.to_canonical()) => *why,
            (None, _) => Why::Address,
        }
    }

    /// All of them, in file order.
    pub fn identities(&self) -> &[Arc<Identity>] {
        &self.identities
    }
}
