//! Who is asked: the name servers of the config or of the system, and `/etc/hosts`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, Resolver, TokioResolver, system_conf};

use super::answer::candidates;

/// How long a name server may take for one answer. Short, so that a lost packet costs little; what a slow one finds after
/// that it knows when it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often each name server is asked, where one was silent.
const ROUNDS: usize = 3;

/// What the system says about names; read again when it changes.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Who is asked.
#[derive(Default)]
pub(super) struct Dns {
    servers: Vec<SocketAddr>,
    current: Option<(Stamp, Arc<Asking>)>,
}

/// When each of [`FILES`] was written, and its length.
type Stamp = [Option<(SystemTime, u64)>; FILES.len()];

/// Everything that is needed to ask.
pub(super) struct Asking {
    /// One for each name server, in the order in which they are believed: the library goes on to the next only after the time
    /// for all is over.
    resolvers: Vec<TokioResolver>,
    hosts: Hosts,
    search: Vec<String>,
    ndots: usize,
}

impl Dns {
    /// Asks these name servers, or those of the system where there are none. Whether that is a change.
    pub(super) fn set_servers(&mut self, servers: &[SocketAddr]) -> bool {
        let changed = self.servers != servers;
        if changed {
            (self.servers, self.current) = (servers.to_vec(), None);
        }
        changed
    }

    /// What to ask with, as the system's files are now.
    ///
    /// # Errors
    /// Where no resolver can be made, in words.
    pub(super) fn asking(&mut self) -> Result<Arc<Asking>, String> {
        let stamp = stamp();
        if let Some((_, asking)) = self.current.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(Arc::clone(asking));
        }
        let asking = Arc::new(Asking::new(&self.servers)?);
        self.current = Some((stamp, Arc::clone(&asking)));
        Ok(asking)
    }
}

fn stamp() -> Stamp {
    FILES.map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

/// What came of one question for records.
pub(super) enum Records<T> {
    Some(Vec<T>),
    /// The server knows that there are none: whether the name itself is there.
    None {
        exists: bool,
    },
    Failed(String),
}

impl Asking {
    fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        let read = system_conf::read_system_conf();
        if let Err(error) = &read {
            let advice =
                "mend it; until then there are no search domains, and without server.resolver 127.0.0.1:53 is asked";
            tracing::warn!(%error, advice, "cannot read /etc/resolv.conf");
        }
        let (config, system) = read.unwrap_or_default();
        let domain = config.domain().filter(|_| config.search().is_empty());
        let search = config.search().iter().chain(domain).map(Name::to_ascii).collect();
        let mut servers: Vec<NameServerConfig> = servers.iter().map(|server| name_server(*server)).collect();
        if servers.is_empty() {
            servers.extend_from_slice(config.name_servers());
        }
        if servers.is_empty() {
            // As the C library does: one on this machine.
            servers.push(name_server((Ipv4Addr::LOCALHOST, 53).into()));
        }
        let resolvers = servers.into_iter().map(resolver).collect::<Result<_, _>>();
        let resolvers = resolvers.map_err(|error| format!("no name server can be asked: {error}"))?;
        Ok(Self { resolvers, hosts: Hosts::from_system().unwrap_or_default(), search, ndots: system.ndots })
    }

    /// What `/etc/hosts` has. It decides alone where it has anything.
    pub(super) fn listed(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_ascii(name) else { return Vec::new() };
        let of = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let lookups = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of);
        lookups
            .flat_map(|lookup| lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
            .collect()
    }

    /// The whole names that are tried for a name, in this order.
    pub(super) fn candidates(&self, name: &str, absolute: bool) -> Vec<String> {
        candidates(name, absolute, &self.search, self.ndots)
    }

    /// Asks for the records of a whole name: every server in turn until one knows.
    pub(super) async fn ask<T>(&self, whole: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Records<T> {
        let Ok(name) = Name::from_ascii(whole) else { return Records::None { exists: false } };
        let mut problem = SILENT.to_owned();
        for _ in 0..ROUNDS {
            let mut silent = false;
            for resolver in &self.resolvers {
                match resolver.lookup(name.clone(), kind).await {
                    Ok(lookup) => {
                        let records: Vec<T> = lookup.answers().iter().filter_map(|record| read(&record.data)).collect();
                        return if records.is_empty() {
                            Records::None { exists: true }
                        } else {
                            Records::Some(records)
                        };
                    }
                    Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                        return Records::None { exists: none.response_code != ResponseCode::NXDomain };
                    }
                    Err(error) => {
                        silent |= matches!(error, NetError::Timeout);
                        problem = told(&error);
                    }
                }
            }
            if !silent {
                break;
            }
        }
        Records::Failed(problem)
    }
}

/// Asks one name server, once, and keeps nothing: servers, search domains and hosts are gone through here, and the interval of
/// the pool decides how old an answer may be.
fn resolver(server: NameServerConfig) -> Result<TokioResolver, NetError> {
    let mut options = ResolverOpts::default();
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    (options.positive_max_ttl, options.negative_max_ttl) = (Some(Duration::ZERO), Some(Duration::ZERO));
    (options.timeout, options.attempts) = (PATIENCE, 0);
    let config = ResolverConfig::from_name_servers(vec![server]);
    Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

pub(super) const SILENT: &str = "no name server answered in time";

fn told(error: &NetError) -> String {
    match error {
        NetError::Timeout => SILENT.to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server answered with an error: {code}"),
        error => format!("the name server could not be asked: {error}"),
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(address.ip(), true, vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read_again_when_the_servers_change() {
        let mut dns = Dns::default();
        let servers = [SocketAddr::from(([127, 0, 0, 1], 53)), SocketAddr::from(([127, 0, 0, 2], 5353))];
        assert!(dns.set_servers(&servers) && !dns.set_servers(&servers));
        let asking = dns.asking().unwrap();
        assert_eq!(asking.resolvers.len(), 2);
        assert!(Arc::ptr_eq(&asking, &dns.asking().unwrap()));
        assert!(dns.set_servers(&servers[1..]));
        assert_eq!(dns.asking().unwrap().resolvers.len(), 1);
    }
}
