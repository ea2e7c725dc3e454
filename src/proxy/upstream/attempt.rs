//! One attempt: a connection, the request, the head of the answer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::asked::Asked;
use super::backend::{Backend, Broken};
use super::client::Wanted;
use super::clocks::Clocks;
use super::forward::Call;
use super::sending::Sending;
use crate::proxy::balance::Endpoint;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Length};
use crate::proxy::http::hop_by_hop;
use crate::proxy::message::Response;

/// How many interim answers (1xx) are passed on.
const MOST_INTERIM: usize = 16;

/// How long a client that closed its sending side after a whole request waits for its answer to begin, or to go on.
pub(super) const HALF_CLOSED: Duration = Duration::from_secs(1);

/// How long a client that waits for a `100 Continue` waits for the backend's: a backend that never sends one gets the body all
/// the same (RFC 9110 §10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);

/// A response whose head has arrived.
pub struct Begun {
    pub(super) backend: Backend,
    pub(super) sending: Sending,
    pub(super) asked: Asked,
    pub(super) length: Length,
}

impl Begun {
    /// How long the response's body is.
    pub fn length(&self) -> Length {
        self.length
    }
}

/// What one attempt leaves to the next.
pub(super) struct Attempt<'a> {
    call: &'a Call<'a>,
    replayable: bool,
    /// Only a connection opened since then will do.
    pub(super) since: u64,
    pub(super) sending: Sending,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(call: &'a Call<'a>, client: &impl Downstream, replayable: bool) -> Self {
        Self { call, replayable, since: 0, sending: Sending::begin(call, client) }
    }

    /// Makes ready for an attempt that knows nothing of the last one, whose answer nobody gets.
    pub(super) fn start_over(&mut self, client: &impl Downstream) {
        self.since = 0;
        self.sending = Sending::begin(self.call, client);
    }

    /// Asks one endpoint, up to the head of its answer.
    pub(super) async fn run<D: Downstream>(
        &mut self,
        client: &mut D,
        mut asked: Asked,
        response: &mut Response,
    ) -> Result<(Begun, Duration), Broken> {
        let length = if self.call.request.tunnel { Length::Tunnel } else { client.request_length() };
        let mut backend = match self.connect(asked.endpoint(), length).await {
            Ok(backend) => backend,
            Err(broken) => {
                asked.broke(&broken);
                return Err(broken);
            }
        };
        match self.ask(client, &mut backend, response).await {
            Ok(length) => {
                let took = asked.answered(response);
                Ok((Begun { backend, sending: self.sending.take_over(), asked, length }, took))
            }
            Err(broken) => {
                asked.broke(&broken);
                if broken.unseen {
                    self.sending.take_back(&mut backend);
                } else if self.replayable {
                    // No other is sent again, and how much of it was read is for the log.
                    self.sending = Sending::begin(self.call, client);
                }
                Err(broken)
            }
        }
    }

    async fn connect(&self, endpoint: &Arc<Endpoint>, length: Length) -> Result<Backend, Broken> {
        let Self { call, replayable, since, .. } = *self;
        call.client.begin(&Wanted { call, endpoint, length, replayable, since }).await
    }

    async fn ask<D: Downstream>(
        &mut self,
        client: &mut D,
        backend: &mut Backend,
        response: &mut Response,
    ) -> Result<Length, Broken> {
        let fails = |fault| Broken { fault, unseen: false, stale: false };
        self.sending.resume(self.call, client, backend).map_err(fails)?;
        let mut clocks = Clocks::new(self.call.alarm, self.call.total);
        if self.sending.held {
            clocks.hold = clocks.after(Some(CONTINUE));
        }
        let mut waiting = Waiting { interim: 0, listening: true };
        std::future::poll_fn(|cx| {
            if let Poll::Ready(Err(fault)) = self.sending.poll(cx, self.call, (client, backend), &mut clocks) {
                return Poll::Ready(Err(fails(fault)));
            }
            while let Poll::Ready(head) = backend.poll_head(cx, response) {
                head?;
                if matches!(response.status, 100 | 102..=199) {
                    waiting.pass_on(client, response).map_err(fails)?;
                    if self.sending.held && response.status == 100 {
                        self.sending.held = false;
                        clocks.hold = clocks.after(None);
                        cx.waker().wake_by_ref();
                    }
                    response.clear();
                    continue;
                }
                let length = backend.begin_answer(self.call, response).map_err(fails);
                if let Backend::H1(connection) = backend {
                    // An answer that came before its request was complete leaves the connection in doubt.
                    connection.keeps &= self.sending.is_done_with(connection.stream.channel.unwritten());
                }
                return Poll::Ready(length);
            }
            if client.unwritten() > 0 && matches!(client.poll_flush(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(Err(fails(Fault::ClientGone)));
            }
            let sent = self.sending.is_done(backend);
            if waiting.poll_gone(cx, client, sent, &mut clocks).is_ready() {
                return Poll::Ready(Err(fails(Fault::ClientGone)));
            }
            if clocks.take_hold() {
                self.sending.held = false;
                cx.waker().wake_by_ref();
            }
            clocks.poll(cx).map(|fault| Err(fails(fault)))
        })
        .await
    }
}

/// What is remembered while an answer is waited for.
struct Waiting {
    interim: usize,
    /// Whether the client is still asked whether it has gone.
    listening: bool,
}

impl Waiting {
    /// Passes an interim answer on. `100 Continue` is between us and the client: it is sent when its body is asked for.
    fn pass_on<D: Downstream>(&mut self, client: &mut D, response: &mut Response) -> Result<(), Fault> {
        self.interim += 1;
        if self.interim > MOST_INTERIM {
            return Err(Fault::BackendMalformed);
        }
        if response.status == 103 {
            hop_by_hop::strip_response(&mut response.fields).map_err(|_| Fault::BackendMalformed)?;
            client.interim(response);
        }
        Ok(())
    }

    /// Ready when the client has gone. One that closed its sending side is listened to no more, and waited for a while.
    fn poll_gone<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut D,
        sent: bool,
        clocks: &mut Clocks<'_>,
    ) -> Poll<()> {
        if !self.listening {
            return Poll::Pending;
        }
        match client.poll_gone(cx) {
            Poll::Ready(Gone::Surely) => Poll::Ready(()),
            Poll::Ready(Gone::Perhaps) if sent => {
                self.listening = false;
                clocks.gone = clocks.after(Some(HALF_CLOSED));
                Poll::Pending
            }
            Poll::Ready(Gone::Perhaps) | Poll::Pending => Poll::Pending,
        }
    }
}
