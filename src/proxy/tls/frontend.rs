//! What a TLS listener offers: its certificates, its hosts' rules and its tickets.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::accept::{Facts, unserved};
use super::by_name::ByName;
use super::directory::{Directory, Identity, Why};
use super::failure::HandshakeError;
use super::policy::{self, PolicyError};
use super::settings::{HostSettings, MinVersion, Settings};
use super::slot::{CertSlot, Follow};

/// A certificate that a listener may serve.
#[derive(Clone)]
pub struct Allowed {
    /// Where its pair lives.
    pub slot: Arc<CertSlot>,
    /// Marked `default = true`.
    pub default: bool,
}

/// The TLS side of one listener, shared by all workers. Follows its certificates: a swapped pair is served to the next connection.
pub struct Frontend {
    minimum: MinVersion,
    hosts: Arc<Hosts>,
    default_certificate: Option<String>,
    allowed: Vec<Allowed>,
    template: ServerConfig,
    /// At TLS 1.3; nothing where no host asks for more than the listener.
    strict: Option<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
    directory: ArcSwap<Directory>,
    /// Held while a directory is made, so that an older one never takes the place of a newer.
    making: Mutex<()>,
}

/// The lowest version of each `[[host]]` that has one.
pub(super) type Hosts = ByName<MinVersion>;

/// What a client gets.
pub(super) struct Choice {
    pub(super) identity: Arc<Identity>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) hosts: Arc<Hosts>,
}

impl Frontend {
    /// From the listener's settings, all `[[host]]`s and the certificates it may serve, in file order. `previous` is the frontend of
    /// the same listener before a reload: its tickets stay good.
    ///
    /// # Errors
    /// Where an offered version is left without a cipher suite.
    pub fn build(
        settings: &Settings,
        hosts: &[HostSettings],
        allowed: Vec<Allowed>,
        previous: Option<&Self>,
    ) -> Result<Arc<Self>, PolicyError> {
        let provider = policy::provider(settings)?;
        // All of a listener's hosts are one security domain as long as none of them authenticates clients. Version and suite are
        // negotiated before a ticket is looked at, so a change of these needs no new keys.
        let tickets = match previous {
            Some(previous) => Arc::clone(&previous.tickets),
            None => Ticketer::new().map_err(|error| PolicyError::Setup { reason: error.to_string() })?,
        };
        let stricter = hosts.iter().any(|host| host.min_version > Some(settings.min_version));
        let strict = stricter.then(|| policy::template(&provider, MinVersion::Tls13, &tickets)).transpose()?;
        let frontend = Arc::new(Self {
            minimum: settings.min_version,
            hosts: Arc::new(minimums(hosts)),
            default_certificate: settings.default_certificate.as_ref().map(|name| name.value.clone()),
            allowed,
            template: policy::template(&provider, settings.min_version, &tickets)?,
            strict,
            tickets,
            directory: ArcSwap::from_pointee(Directory::new(Vec::new(), None)),
            making: Mutex::new(()),
        });
        let weak: Weak<Self> = Arc::downgrade(&frontend);
        for allowed in &frontend.allowed {
            allowed.slot.follow(Weak::clone(&weak) as Weak<dyn Follow>);
        }
        frontend.swapped();
        Ok(frontend)
    }

    /// The directory as it stands now.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// What a client gets that asks for `name`, or that sends none and dialled `local`.
    pub(super) fn choose(&self, name: Option<&str>, local: IpAddr) -> Option<Choice> {
        let directory = self.directory.load();
        let identity = match name {
            Some(name) => directory.by_name(name),
            None => directory.by_address(local),
        }?;
        let minimum = name.and_then(|name| self.hosts.find(name)).copied().unwrap_or(self.minimum);
        let config = if minimum > self.minimum { &identity.strict } else { &identity.config };
        Some(Choice { identity: Arc::clone(identity), config: Arc::clone(config), hosts: Arc::clone(&self.hosts) })
    }

    /// What the handshake would settle with a client of today, which speaks TLS 1.3 and HTTP/2, that asks for `name`, or asks for
    /// none and dialled `local`; and why it gets the certificate that it gets.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn foresee(&self, name: Option<&str>, local: IpAddr) -> Result<(Facts, Why), HandshakeError> {
        let Some(Choice { identity, hosts, .. }) = self.choose(name, local) else {
            return Err(unserved(name.map(Box::from)));
        };
        let why = self.directory.load().why(&identity, name, local);
        Ok((Facts::foreseen(name.map(Box::from), identity, hosts), why))
    }

    /// The identity as it stands in the directory before this one, where its pair is still the current one.
    fn identity(&self, allowed: &Allowed, before: Option<&Arc<Identity>>) -> Arc<Identity> {
        let (name, pair) = (allowed.slot.name(), allowed.slot.current());
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.pair, &pair)) {
            return Arc::clone(before);
        }
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(Fixed(Arc::clone(&pair.certified)));
        let with_key = |template: &ServerConfig| {
            let mut config = template.clone();
            config.cert_resolver = Arc::clone(&resolver);
            Arc::new(config)
        };
        let config = with_key(&self.template);
        let strict = self.strict.as_ref().map_or_else(|| Arc::clone(&config), with_key);
        Arc::new(Identity { name: Arc::clone(name), pair, default: allowed.default, config, strict })
    }
}

impl Follow for Frontend {
    fn swapped(&self) {
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.directory();
        // Both lists have the order of the file.
        let before = |index: usize| before.identities().get(index);
        let identities =
            self.allowed.iter().enumerate().map(|(i, allowed)| self.identity(allowed, before(i))).collect();
        self.directory.store(Arc::new(Directory::new(identities, self.default_certificate.as_deref())));
    }
}

fn minimums(hosts: &[HostSettings]) -> Hosts {
    let mut minimums = ByName::new();
    for host in hosts {
        let Some(minimum) = host.min_version else { continue };
        match host.name.strip_prefix("*.") {
            Some(parent) => minimums.put_wildcard(parent, minimum),
            None => minimums.put_exact(&host.name, minimum),
        }
    }
    minimums
}

/// Gives the one key: which identity a client gets was decided before, from the same `ClientHello`.
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Without the key.
impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed")
    }
}
