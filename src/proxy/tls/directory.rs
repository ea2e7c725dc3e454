//! SNI to identity: which certificate a client gets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rustls::ServerConfig;

use super::by_name::ByName;
use super::cert::Pair;

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

/// Which identity a client gets, from the names that the certificates have now. Never changed: another one takes its place.
pub struct Directory {
    by_name: ByName<Arc<Identity>>,
    by_address: HashMap<IpAddr, Arc<Identity>, RandomState>,
    /// For clients that send no name, where no certificate has the address they dialled.
    fallback: Option<Arc<Identity>>,
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
        let fallback = default_certificate
            .and_then(named)
            .or_else(|| identities.iter().find(|identity| identity.default))
            .or_else(|| identities.first().filter(|_| identities.len() == 1))
            .cloned();
        Self { by_name, by_address, fallback, identities }
    }

    /// The identity for a client that asks for `name`: exact, else by wildcard. Any case.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Identity>> {
        self.by_name.find(name)
    }

    /// The identity for a client that sends no name and dialled `local`: the certificate with that address, else the listener's
    /// default, else the one marked so, else the only one.
    pub fn by_address(&self, local: IpAddr) -> Option<&Arc<Identity>> {
        self.by_address.get(&local.to_canonical()).or(self.fallback.as_ref())
    }

    /// All of them, in file order.
    pub fn identities(&self) -> &[Arc<Identity>] {
        &self.identities
    }
}
