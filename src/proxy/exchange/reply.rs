//! Answers that the gateway gives itself, and the start of every response.

use std::task::Poll;

use super::Exchange;
use super::auth::Beside;
use crate::base::decimal::number;
use crate::proxy::fault::{Fault, Side};
use crate::proxy::http::body::{Downstream, Length};
use crate::proxy::http::{answer, grpc};
use crate::proxy::message::{Name, Request, Response};
use crate::proxy::policy;

impl Exchange<'_> {
    /// Starts the response, which is the connection's last one where a drain has begun. One without a date gets one, as whoever
    /// has a clock and passes it on must do (RFC 9110 §6.6.1).
    pub(super) fn start<D: Downstream>(
        &self,
        client: &mut D,
        request: &Request,
        response: &mut Response,
        length: Length,
    ) {
        if let Some(value) = &self.cookie {
            response.fields.add(b"set-cookie", &policy::set_cookie(value, self.connection.tls.is_some()));
        }
        if let Some(route) = self.route.as_deref().filter(|route| route.policies.change_answers()) {
            route.policies.on_answer((request, self.origin(request)), response, &self.facts(route, request));
        }
        if response.fields.first(Name::Date).is_none() {
            response.fields.add(b"date", httpdate::fmt_http_date(self.time).as_bytes());
        }
        if self.connection.port.draining.get() || self.connection.worker.is_draining() {
            client.close_after();
        }
        client.start(response, length);
    }

    /// Answers a fault, where the response has not begun and there is someone to read it.
    pub(super) async fn refuse<D: Downstream>(
        &mut self,
        client: &mut D,
        fault: Fault,
        request: &Request,
        response: &mut Response,
    ) {
        if fault == Fault::ClientGone {
            return client.abort();
        }
        if client.has_started() {
            if !conclude(client, fault, request).await {
                client.abort();
            }
            return;
        }
        if fault.facts().closes {
            client.close_after();
        }
        // A client that does not take its refusal is left to the close that follows.
        if grpc::is_call(request) {
            grpc::refusal(fault, response);
            self.add_beside(response);
            self.add_wait(response);
            self.start(client, request, response, Length::Empty);
            let _ = self.deliver(client).await;
        } else {
            let mut body = Vec::new();
            answer::refusal(fault, response, &mut body);
            self.add_beside(response);
            self.add_wait(response);
            if let Some(Beside::Answer(answer, said)) = self.beside.take().map(|beside| *beside) {
                (*response, body) = (answer, said);
                answer::add_proxy_status(fault.facts(), response);
            }
            let _ = self.reply(client, request, response, &body).await;
        }
    }

    /// Says in the answer what belongs to the reason: which rate limit refused the request, what would have been accepted.
    fn add_beside(&self, response: &mut Response) {
        if let Some(limited) = &self.limited {
            limited.add_fields(response);
        }
        if let Some(Beside::Field(name, value)) = self.beside.as_deref() {
            response.fields.add(name, value);
        }
    }

    /// Says in the answer when a backend may be asked again, where that is known.
    fn add_wait(&self, response: &mut Response) {
        if let Some(wait) = self.trip.retry_after {
            // Rounded up, so that who comes then does not come too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.fields.set_written(Name::RetryAfter, |value| number(value, seconds.max(1)));
        }
    }

    /// Sends an answer of the gateway's own.
    pub(super) async fn reply<D: Downstream>(
        &mut self,
        client: &mut D,
        request: &Request,
        response: &mut Response,
        body: &[u8],
    ) -> Result<(), Fault> {
        if !matches!(response.status, 204 | 304) {
            response.fields.set_written(Name::ContentLength, |length| number(length, body.len() as u64));
        }
        let empty = body.is_empty() || request.method() == b"HEAD" || matches!(response.status, 204 | 304);
        self.start(client, request, response, if empty { Length::Empty } else { Length::Known(body.len() as u64) });
        if !empty {
            client.room().extend_from_slice(body);
            client.appended(body.len());
            self.trip.response_bytes = body.len() as u64;
        }
        self.deliver(client).await
    }

    /// Ends the response and waits until the client has taken it.
    async fn deliver<D: Downstream>(&self, client: &mut D) -> Result<(), Fault> {
        client.finish(None);
        let due = self.alarm.alarms().after(Some(self.listener.timeouts.write_idle.0));
        std::future::poll_fn(|cx| match client.poll_flush(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.alarm.poll(cx, due).map(|()| {
                client.abort();
                Err(Fault::ClientGone)
            }),
        })
        .await
    }
}

/// Ends the answer to a call of gRPC whose backend failed in the middle by a status, which the caller understands and may call
/// again by; a reset would read as a failure of ours. Whether that was possible: what came before must have left.
async fn conclude<D: Downstream>(client: &mut D, fault: Fault, request: &Request) -> bool {
    if client.unwritten() > 0 || fault.facts().side != Side::Upstream || !grpc::is_call(request) {
        return false;
    }
    client.finish(Some(&grpc::trailers(fault)));
    // Nothing is in the way, so one turn hands it over.
    std::future::poll_fn(|cx| Poll::Ready(matches!(client.poll_flush(cx), Poll::Ready(Ok(()))))).await
}
