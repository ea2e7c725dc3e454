//! An exchange and who may use its route.

use std::task::Poll;
use std::time::Duration;

use super::aside::Aside;
use super::{Exchange, deciding, prepare};
use crate::proxy::balance::SendProxy;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::Length;
use crate::proxy::http::forwarded::Forwarding;
use crate::proxy::message::{Fields, Request, Response};
use crate::proxy::policy::auth::{Auth, Basic, Forward, Granted, Identity, Verdict, Way};
use crate::proxy::route::Validate;
use crate::proxy::snapshot::Route;
use crate::proxy::upstream::{self, Call, Timeouts, Trip};

/// The largest body of a service's refusal.
const LARGEST: usize = 64 << 10;

/// How long a connection to a service may take to open.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a password may wait to be hashed, and take.
const LONGEST_HASH: Duration = Duration::from_secs(10);

/// What a refusal says beside its reason.
pub(super) enum Beside {
    /// A field: name and value.
    Field(&'static [u8], Vec<u8>),
    /// It is the answer of the service that refused.
    Answer(Response, Vec<u8>),
}

impl Exchange<'_> {
    /// Lets the request through where it is as its route asks, and where whoever sends it may use the route.
    pub(super) async fn guard(&mut self, route: &Route, length: Length, request: &mut Request) -> Result<(), Fault> {
        if let Some(rule) = &route.validate {
            self.validate(rule, request, length)?;
        }
        match &route.auth {
            // Boxed, so that exchanges without it are no larger.
            Some(auth) => Box::pin(self.authenticate(auth, request)).await,
            None => Ok(()),
        }
    }

    fn validate(&mut self, rule: &Validate, request: &Request, length: Length) -> Result<(), Fault> {
        let has_body = !matches!(length, Length::Empty | Length::Tunnel);
        rule.check(request, has_body).map_err(|unlike| {
            self.beside = unlike.field.map(|(name, value)| Box::new(Beside::Field(name, value.to_vec())));
            unlike.fault
        })
    }

    async fn authenticate(&mut self, auth: &Auth, request: &mut Request) -> Result<(), Fault> {
        let user = match &auth.way {
            Way::Basic(basic) => match self.verify(basic, &request.fields).await {
                Ok(user) => Some(user),
                Err(Fault::Unauthenticated) => return Err(self.challenge(basic.challenge().to_vec())),
                Err(fault) => return Err(fault),
            },
            Way::Jwt(jwt) => self.token(jwt, &request.fields).await?,
            Way::Forward(forward) => return self.ask(forward, request).await,
        };
        self.granted = Some(Box::new(Granted { user, fields: Vec::new() }));
        Ok(())
    }

    /// Whether the password is right. Who waits for too many others gives up.
    async fn verify(&self, basic: &Basic, fields: &Fields) -> Result<String, Fault> {
        let mut verifying = std::pin::pin!(basic.verify(fields, self.client.address, self.started));
        let due = self.alarm.alarms().after(Some(LONGEST_HASH));
        std::future::poll_fn(|cx| match verifying.as_mut().poll(cx) {
            Poll::Ready(verified) => Poll::Ready(verified),
            Poll::Pending => self.alarm.poll(cx, due).map(|()| Err(Fault::AuthBusy)),
        })
        .await
    }

    pub(super) fn challenge(&mut self, value: Vec<u8>) -> Fault {
        self.beside = Some(Box::new(Beside::Field(b"www-authenticate", value)));
        Fault::Unauthenticated
    }

    /// Asks the service. Without its word nobody comes in.
    async fn ask(&mut self, forward: &Forward, request: &mut Request) -> Result<(), Fault> {
        // Now already, so that the backend gets what the service got, by its id too.
        self.prepare(request)?;
        let question = forward.question(request, deciding(request)?.as_str());
        let (worker, pool) = (&self.connection.worker, &forward.pool);
        let limit = Some(forward.timeout);
        let call = Call {
            request: &question,
            pool,
            header: (pool.send_proxy == SendProxy::V2).then(|| self.connection.ends.introduced(self.client.address)),
            from: self.client.address,
            timeouts: Timeouts { connect: Some(forward.timeout.min(CONNECT)), response: limit, idle: limit },
            body_limit: None,
            body_idle: None,
            write_idle: forward.timeout,
            tunnel_idle: None,
            patient: false,
            total: worker.alarms.after(limit),
            alarm: self.alarm,
            identity: Identity::none(),
            client: &worker.upstream,
            metrics: &worker.metrics,
        };
        let (mut asking, mut answer, mut trip) = (Aside::asking(LARGEST), Response::default(), Trip::default());
        let begun = upstream::forward(&mut asking, &call, &mut answer, &mut trip).await.map_err(failed)?;
        let verdict = forward.verdict(&mut answer)?;
        // To its end, so that the connection can be used again.
        let read = upstream::relay(&mut asking, &call, begun, &mut trip).await;
        match (verdict, read) {
            (Verdict::Allowed(fields), Ok(()) | Err(Fault::BodyTooLarge)) => {
                self.granted = Some(Box::new(Granted { user: None, fields }));
                Ok(())
            }
            (Verdict::Refused(fault), Ok(())) => {
                self.beside = Some(Box::new(Beside::Answer(answer, asking.into_answer())));
                Err(fault)
            }
            (_, Err(fault)) => Err(failed(fault)),
        }
    }

    /// Makes the fields of a request what the backend is to get, once.
    pub(super) fn prepare(&mut self, request: &mut Request) -> Result<(), Fault> {
        if !std::mem::replace(&mut self.prepared, true) {
            let forwarding = Forwarding { client: self.client, tls: self.connection.tls.is_some() };
            prepare(request, &forwarding, &mut self.connection.worker.ids.borrow_mut())?;
        }
        Ok(())
    }
}

/// What became of asking the service, told apart from what becomes of asking a backend.
fn failed(fault: Fault) -> Fault {
    match fault {
        Fault::NoBackend | Fault::QueueFull | Fault::QueueTimeout | Fault::BreakerOpen => Fault::AuthUnavailable,
        Fault::ConnectTimeout | Fault::ResponseTimeout | Fault::StreamTimeout | Fault::TotalTimeout => {
            Fault::AuthTimeout
        }
        _ => Fault::AuthFailed,
    }
}
