//! One look-up: from a question to an answer, by search domains, and by way of the hosts that SRV records name.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{self, Either};
use hickory_resolver::proto::rr::{RData, RecordType};

use super::answer::{Answer, Service, services};
use super::dns::{Asking, Records, SILENT};
use crate::proxy::balance::{Found, Kind, Question};

/// How long one look-up may take, search domains and hosts of services included.
const LONGEST: Duration = Duration::from_secs(10);
/// How long the answer for the other family is waited for once one has come.
const MOMENT: Duration = Duration::from_millis(500);
/// How many hosts of one service are looked up at once.
const HOSTS_AT_ONCE: usize = 8;

/// Why there are no records, in words.
enum Missing {
    /// It is known that there are none.
    Absent(String),
    /// It could not be asked for.
    Unknown(String),
}

impl From<Missing> for String {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Absent(problem) | Missing::Unknown(problem) => problem,
        }
    }
}

impl Asking {
    /// Asks. Where a part of the answer cannot be had, what `last` has of it stands in.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub(super) async fn look_up(&self, question: &Question, last: &[Found]) -> Result<Answer, String> {
        let found = async {
            match question.kind {
                Kind::Addresses => self.host(question, last).await,
                Kind::Service => self.service(question, last).await,
            }
        };
        let found = tokio::time::timeout(LONGEST, found).await.map_err(|_| SILENT.to_owned())??;
        let answer = Answer::of(found, is_routable);
        if answer.found.is_empty() {
            return Err("it has only addresses at which nobody can be: unspecified, multicast or broadcast".to_owned());
        }
        Ok(answer)
    }

    async fn host(&self, question: &Question, last: &[Found]) -> Result<Vec<Found>, String> {
        let addresses = self.addresses(&question.name, question.absolute, last).await?;
        let host = Arc::from(question.name.as_str());
        let found = |address| Found { address, port: None, weight: 1, host: Arc::clone(&host) };
        Ok(addresses.into_iter().map(found).collect())
    }

    async fn service(&self, question: &Question, last: &[Found]) -> Result<Vec<Found>, String> {
        let record = |data: &RData| match data {
            RData::SRV(record) => Some(Service {
                priority: record.priority,
                host: record.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
                port: record.port,
                weight: record.weight,
            }),
            _ => None,
        };
        let ask = |whole: String| async move { self.ask(&whole, RecordType::SRV, record).await };
        let records = self.search(&question.name, question.absolute, "it has no SRV records", ask).await?;
        let services = services(records);
        if services.is_empty() {
            return Err("its SRV records say that there is no such service".to_owned());
        }
        let mut hosts = futures_util::stream::iter(services.into_iter().map(|service| async move {
            let addresses = self.addresses(&service.host, true, last).await;
            (service, addresses)
        }))
        .buffered(HOSTS_AT_ONCE);
        let (mut found, mut answered, mut problem) = (Vec::new(), false, None);
        while let Some((Service { host, port, weight, .. }, addresses)) = hosts.next().await {
            answered |= addresses.is_ok();
            let addresses = addresses.unwrap_or_else(|missing| {
                let stands_in = matches!(missing, Missing::Unknown(_));
                problem = Some(format!("{host}: {}", String::from(missing)));
                known(last, &host).filter(|_| stands_in).collect()
            });
            let host: Arc<str> = host.into();
            let of_host = |address| Found { address, port: Some(port), weight, host: Arc::clone(&host) };
            found.extend(addresses.into_iter().map(of_host));
        }
        problem.filter(|_| !answered).map_or(Ok(found), Err)
    }

    /// The addresses of a host. A family that cannot be asked for has those that `last` has of it.
    async fn addresses(&self, name: &str, absolute: bool, last: &[Found]) -> Result<Vec<IpAddr>, Missing> {
        let listed = self.listed(name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let ask = |whole: String| async move {
            let v4 = self.ask(&whole, RecordType::A, RData::ip_addr);
            let v6 = self.ask(&whole, RecordType::AAAA, RData::ip_addr);
            let (v4, v6) = together(v4, v6).await;
            both(v4, v6, || known(last, name))
        };
        self.search(name, absolute, "it has no addresses", ask).await
    }

    /// Asks for one whole name after the other until one is there. A failure ends the search: the name might have been there,
    /// and another's addresses are none of its.
    async fn search<T, F>(
        &self,
        name: &str,
        absolute: bool,
        empty: &str,
        ask: impl Fn(String) -> F,
    ) -> Result<Vec<T>, Missing>
    where
        F: Future<Output = Records<T>>,
    {
        let mut known = false;
        for whole in self.candidates(name, absolute) {
            match ask(whole).await {
                Records::Some(records) => return Ok(records),
                Records::None { exists } => known |= exists,
                Records::Failed(problem) => return Err(Missing::Unknown(problem)),
            }
        }
        Err(Missing::Absent(if known { empty.to_owned() } else { "the name does not exist (NXDOMAIN)".to_owned() }))
    }
}

/// Awaits both. Where one has come with records, the other has a moment left: servers and firewalls that drop every question
/// for AAAA are no reason to wait for IPv4.
async fn together<T>(
    v4: impl Future<Output = Records<T>>,
    v6: impl Future<Output = Records<T>>,
) -> (Records<T>, Records<T>) {
    match future::select(pin!(v4), pin!(v6)).await {
        Either::Left((v4, v6)) => {
            let v6 = after(&v4, v6).await;
            (v4, v6)
        }
        Either::Right((v6, v4)) => (after(&v6, v4).await, v6),
    }
}

async fn after<T>(first: &Records<T>, second: impl Future<Output = Records<T>>) -> Records<T> {
    match first {
        Records::Some(_) => {
            tokio::time::timeout(MOMENT, second).await.unwrap_or_else(|_| Records::Failed(SILENT.to_owned()))
        }
        Records::None { .. } | Records::Failed(_) => second.await,
    }
}

/// The addresses of both families. Where only one could be asked for, the other has those that are known of it.
fn both<K: Iterator<Item = IpAddr>>(
    v4: Records<IpAddr>,
    v6: Records<IpAddr>,
    known: impl Fn() -> K,
) -> Records<IpAddr> {
    match (v4, v6) {
        (Records::Some(v4), Records::Some(v6)) => Records::Some([v4, v6].concat()),
        (Records::Some(v4), Records::Failed(_)) => {
            Records::Some(v4.into_iter().chain(known().filter(IpAddr::is_ipv6)).collect())
        }
        (Records::Failed(_), Records::Some(v6)) => Records::Some(known().filter(IpAddr::is_ipv4).chain(v6).collect()),
        (Records::Some(found), Records::None { .. }) | (Records::None { .. }, Records::Some(found)) => {
            Records::Some(found)
        }
        (Records::Failed(problem), _) | (_, Records::Failed(problem)) => Records::Failed(problem),
        (Records::None { exists: v4 }, Records::None { exists: v6 }) => Records::None { exists: v4 || v6 },
    }
}

/// The addresses that the last good answer has of a host.
fn known(last: &[Found], host: &str) -> impl Iterator<Item = IpAddr> {
    last.iter().filter(move |found| *found.host == *host).map(|found| found.address)
}

/// Whether this host has a route and a source address to it (RFC 6724 §6, rule 1). Nothing is sent.
fn is_routable(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 53))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(address: &str) -> Records<IpAddr> {
        Records::Some(vec![address.parse().unwrap()])
    }

    /// Both families joined, where `10.0.0.9` and `::9` were known before.
    fn joined(v4: Records<IpAddr>, v6: Records<IpAddr>) -> Result<Vec<String>, Option<bool>> {
        let known = || ["10.0.0.9", "::9"].iter().map(|address| address.parse::<IpAddr>().unwrap());
        match both(v4, v6, known) {
            Records::Some(addresses) => Ok(addresses.iter().map(IpAddr::to_string).collect()),
            Records::None { exists } => Err(Some(exists)),
            Records::Failed(_) => Err(None),
        }
    }

    #[test]
    fn a_family_that_fails_beside_one_that_does_not_keeps_what_it_had() {
        let failed = || Records::Failed("silence".to_owned());
        let none = |exists| Records::None { exists };
        assert_eq!(joined(some("10.0.0.1"), some("::1")), Ok(vec!["10.0.0.1".into(), "::1".into()]));
        assert_eq!(joined(some("10.0.0.1"), failed()), Ok(vec!["10.0.0.1".into(), "::9".into()]));
        assert_eq!(joined(failed(), some("::1")), Ok(vec!["10.0.0.9".into(), "::1".into()]));
        assert_eq!(joined(some("10.0.0.1"), none(true)), Ok(vec!["10.0.0.1".into()]));
        assert_eq!(joined(none(true), failed()), Err(None));
        assert_eq!(joined(failed(), failed()), Err(None));
        assert_eq!(joined(none(true), none(false)), Err(Some(true)));
        assert_eq!(joined(none(false), none(false)), Err(Some(false)));
    }

    #[test]
    fn addresses_of_this_machine_are_routable() {
        assert!(is_routable(Ipv4Addr::LOCALHOST.into()));
        // Link-local, and no interface is named.
        assert!(!is_routable("fe80::1".parse().unwrap()));
    }
}
