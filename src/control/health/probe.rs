//! One probe: a connection of its own, what its kind asks, and how long that may take.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::{grpc, http, tcp};
use crate::base::buffers::Buffers;
use crate::base::period::Period;
use crate::proxy::balance::{BackendUrl, Check, CheckKind, Endpoint, Pool, Protocol, Target};
use crate::proxy::fault::Fault;
use crate::proxy::upstream::{self, Exchange, Opened, Way};

/// How every probe calls itself.
pub(super) const USER_AGENT: &[u8] = b"portcullis-health";

/// An endpoint that is probed, and how.
pub(super) struct Probed {
    pub(super) pool: Arc<Pool>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) check: Arc<Check>,
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For the counters: one of few words.
    pub(super) outcome: &'static str,
    /// For people.
    pub(super) told: String,
}

/// What is not done yet.
pub(super) struct Stage {
    fault: Cell<Fault>,
    detail: Cell<&'static str>,
}

impl Probed {
    /// Probes it once. What is left of a good exchange is to be [ended](Exchange::end).
    pub(super) async fn probe(&self, buffers: &Rc<Buffers>) -> Result<Option<Exchange>, Failure> {
        let stage = Stage { fault: Cell::new(Fault::ConnectTimeout), detail: Cell::new("no connection") };
        let asking = async {
            match &self.check.kind {
                CheckKind::Http { path, host, statuses } => {
                    let opened = self.open(self.pool.protocol, &stage).await?;
                    let request = http::request(path, &self.authority(host.as_deref()), opened.is_h2());
                    let mut exchange = opened.begin(&request, b"", buffers).await?;
                    http::judge(&exchange.head().await?, statuses)?;
                    Ok::<_, Failure>(Some(exchange))
                }
                CheckKind::Tcp => {
                    tcp::judge(self.open(self.pool.protocol, &stage).await?).await;
                    Ok(None)
                }
                CheckKind::Grpc { service, host } => {
                    let opened = self.open(Protocol::Http2, &stage).await?;
                    let request = grpc::request(&self.authority(host.as_deref()), self.check.timeout);
                    let mut exchange = opened.begin(&request, &grpc::message(service), buffers).await?;
                    grpc::judge(&mut exchange).await?;
                    Ok(Some(exchange))
                }
            }
        };
        let late = |_| Err(stage.late(Period(self.check.timeout)));
        tokio::time::timeout(self.check.timeout, asking).await.unwrap_or_else(late)
    }

    async fn open(&self, protocol: Protocol, stage: &Stage) -> Result<Opened, Failure> {
        let port = self.check.port.as_ref().map(|port| port.value);
        let way = Way { endpoint: &self.endpoint, port, protocol, send_proxy: self.pool.send_proxy };
        let opened = way.open(&stage.detail).await?;
        stage.fault.set(Fault::ResponseTimeout);
        stage.detail.set("no answer");
        Ok(opened)
    }

    /// Whom a probe asks for: what the config says, or else what stands in the URL.
    fn authority(&self, given: Option<&str>) -> String {
        given.map_or_else(|| of_url(&self.endpoint.url), str::to_owned)
    }
}

impl Stage {
    /// What it is where it did not come within `limit`.
    fn late(&self, limit: Period) -> Failure {
        let outcome = self.fault.get().reason();
        Failure { outcome, told: format!("{outcome}: {} within {limit}", self.detail.get()) }
    }
}

impl Failure {
    /// A probe that was cut short by a bug.
    pub(super) fn bug() -> Self {
        Self::from(Fault::Internal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { outcome: fault.reason(), told: fault.reason().to_owned() }
    }
}

impl From<upstream::Failure> for Failure {
    fn from(failure: upstream::Failure) -> Self {
        let outcome = failure.fault.reason();
        Self { outcome, told: format!("{outcome}: {}", failure.detail) }
    }
}

/// The host of a URL, with its port where that is not the scheme's own.
fn of_url(url: &BackendUrl) -> String {
    let usual = if url.secure { 443 } else { 80 };
    match &url.target {
        Target::Address(address) if address.port() == usual && address.is_ipv6() => format!("[{}]", address.ip()),
        Target::Address(address) if address.port() == usual => address.ip().to_string(),
        Target::Address(address) => address.to_string(),
        Target::Name(name, port) if *port == usual => name.clone(),
        Target::Name(name, port) => format!("{name}:{port}"),
        // What it is a service of: two labels in front of a name.
        Target::Service(name) => name.splitn(3, '.').nth(2).unwrap_or(name).to_owned(),
        Target::Unix(_) => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_that_of_the_url() {
        for (url, host) in [
            ("http://10.0.0.1:8080", "10.0.0.1:8080"),
            ("http://10.0.0.1:80", "10.0.0.1"),
            ("https://[2001:db8::1]", "[2001:db8::1]"),
            ("http://[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("https://App.internal", "app.internal"),
            ("http://app.internal:81", "app.internal:81"),
            ("http://_web._tcp.app.internal", "app.internal"),
            ("unix:/run/app.sock", "localhost"),
        ] {
            assert_eq!(of_url(&url.parse().unwrap()), host);
        }
    }

    #[test]
    fn what_takes_too_long_says_what_is_missing() {
        let stage = Stage { fault: Cell::new(Fault::ConnectTimeout), detail: Cell::new("no end of the TLS handshake") };
        let late = stage.late(Period::seconds(2));
        assert_eq!(late.outcome, "connect_timeout");
        assert_eq!(late.told, "connect_timeout: no end of the TLS handshake within 2s");
    }
}
