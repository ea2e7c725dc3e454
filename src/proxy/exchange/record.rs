//! What is told of an exchange once it is over, and of what was refused before it became one.

use std::net::IpAddr;
use std::time::Duration;

use super::Exchange;
use crate::base::clock;
use crate::base::log::access;
use crate::base::metrics::Label;
use crate::base::mode::Mode;
use crate::proxy::fault::Fault;
use crate::proxy::message::{Name, Request, Response};
use crate::proxy::worker::Worker;

impl Exchange<'_> {
    /// Refuses for `fault`, or, for a policy that only observes, tells at the end what it would have refused.
    ///
    /// # Errors
    /// `fault`, where the policy is enforced.
    pub(super) fn object(&mut self, fault: Fault, mode: Mode) -> Result<(), Fault> {
        match mode {
            Mode::Enforce => Err(fault),
            Mode::Observe => {
                self.observed.push(fault);
                Ok(())
            }
        }
    }

    /// Writes the log line and the counters.
    pub(super) fn record(&self, request: &Request, response: &Response, fault: Option<Fault>) {
        let worker = &self.connection.worker;
        let duration = self.started.elapsed();
        let status = if response.status == 0 { fault.map_or(0, Fault::status) } else { response.status };
        let route = self.route.as_deref();
        let label = route.map_or(Label::NONE, |route| route.label);
        worker.metrics.request(self.listener.label, label, status, duration);
        if let Some(fault) = fault {
            worker.refused(fault, label);
        }
        self.observed.iter().for_each(|fault| worker.observed(*fault, label));
        let observed: Vec<&'static str> = self.observed.iter().map(|fault| fault.reason()).collect();
        worker.access.write(&access::Entry {
            time: self.time,
            client: self.client.address,
            method: request.method(),
            host: request.authority(),
            target: request.fields.bytes(self.target),
            protocol: request.version.as_str(),
            status,
            request_bytes: self.trip.request_bytes,
            response_bytes: self.trip.response_bytes,
            duration,
            listener: &self.listener.name,
            route: route.map_or("", |route| &route.name),
            backend: self.trip.endpoint.as_ref().map(|endpoint| endpoint.url.text.as_str()),
            backend_duration: self.trip.response_time,
            retries: self.trip.retries,
            retry_reason: self.trip.retried_for.map(Fault::reason),
            request_id: request.fields.first(Name::XRequestId).unwrap_or(b""),
            reason: fault.map(Fault::reason),
            observed: &observed,
            tls: self.connection.tls.as_ref().map(|tls| tls.version),
            user_agent: self.said.user_agent.map(|span| request.fields.bytes(span)),
            referer: self.said.referer.map(|span| request.fields.bytes(span)),
        });
    }
}

/// Somebody who was sent away before there was a request to tell of.
pub struct Caller<'a> {
    /// The other end of the connection.
    pub client: IpAddr,
    /// The listener's name.
    pub listener: &'a str,
    /// What was spoken, as far as it is known.
    pub protocol: &'static str,
    /// The TLS version; none without a handshake.
    pub tls: Option<&'static str>,
}

/// Writes the log line and the counter of a connection or a stream that was refused before there was a request.
pub fn refused(worker: &Worker, caller: &Caller<'_>, fault: Fault) {
    worker.refused(fault, Label::NONE);
    worker.access.write(&access::Entry {
        time: clock::now(),
        client: caller.client,
        method: b"",
        host: b"",
        target: b"",
        protocol: caller.protocol,
        status: fault.status(),
        request_bytes: 0,
        response_bytes: 0,
        duration: Duration::ZERO,
        listener: caller.listener,
        route: "",
        backend: None,
        backend_duration: None,
        retries: 0,
        retry_reason: None,
        request_id: b"",
        reason: Some(fault.reason()),
        observed: &[],
        tls: caller.tls,
        user_agent: None,
        referer: None,
    });
}
