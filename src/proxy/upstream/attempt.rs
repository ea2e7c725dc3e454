//! One attempt: a connection, the request, the head of the answer.

use std::task::{Context, Poll};
use std::time::Duration;

use super::asked::Asked;
use super::clocks::Clocks;
use super::connection::Connection;
use super::forward::Call;
use super::sending::Sending;
use crate::proxy::balance::Endpoint;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone, Length};
use crate::proxy::http::h1::framing::{self, Framing};
use crate::proxy::http::h1::head::{self, HeadError, HeadLimits};
use crate::proxy::http::h1::stream::Unsent;
use crate::proxy::http::h1::write;
use crate::proxy::message::{Request, Response};

/// What a backend's answer may have for a head.
const ANSWER: HeadLimits = HeadLimits { uri: 256, fields_size: 64 << 10, fields: 256 };

/// How many interim answers (1xx) are passed over.
const MOST_INTERIM: usize = 16;

/// How long a client that closed its sending side after a whole request waits for its answer to begin, or to go on.
pub(super) const HALF_CLOSED: Duration = Duration::from_secs(1);

/// A response whose head has arrived.
pub struct Begun {
    pub(super) connection: Connection,
    pub(super) sending: Sending,
    pub(super) asked: Asked,
    framing: Framing,
}

impl Begun {
    /// How long the response's body is.
    pub fn length(&self) -> Length {
        match self.framing {
            Framing::Empty => Length::Empty,
            Framing::Length(length) => Length::Known(length),
            Framing::Chunked | Framing::Close => Length::Unknown,
        }
    }
}

/// Why an attempt failed and what may follow.
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// The backend has certainly seen nothing of the request.
    pub(super) unseen: bool,
    /// The connection came from the pool and had not begun to answer: it may have been closed meanwhile.
    pub(super) stale: bool,
}

/// What one attempt leaves to the next.
pub(super) struct Attempt<'a> {
    call: &'a Call<'a>,
    replayable: bool,
    /// Only a new connection will do.
    pub(super) fresh: bool,
    pub(super) sending: Sending,
    /// A request that was begun and not sent.
    unsent: Option<Unsent>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(call: &'a Call<'a>, replayable: bool) -> Self {
        Self { call, replayable, fresh: false, sending: Sending::default(), unsent: None }
    }

    /// Asks one endpoint, up to the head of its answer.
    pub(super) async fn run<D: Downstream>(
        &mut self,
        client: &mut D,
        mut asked: Asked,
        response: &mut Response,
    ) -> Result<(Begun, Duration), Failed> {
        let (mut connection, pooled) = match self.connect(asked.endpoint()).await {
            Ok(connected) => connected,
            Err(fault) => {
                asked.failed(fault);
                return Err(Failed { fault, unseen: true, stale: false });
            }
        };
        let sent_before = connection.stream.channel.sent();
        match self.unsent.take() {
            Some(unsent) => connection.stream.resume(unsent),
            None => self.write_head(&mut connection, client.request_length()),
        }
        match self.await_answer(client, &mut connection, response).await {
            Ok(framing) => {
                let took = asked.answered(response.status);
                Ok((Begun { connection, sending: self.sending, asked, framing }, took))
            }
            Err(fault) => {
                asked.failed(fault);
                let unseen = connection.stream.channel.sent() == sent_before;
                if unseen {
                    self.unsent = Some(connection.stream.take_unsent());
                    self.sending.broken = false;
                } else {
                    self.sending = Sending::default();
                }
                let stale = pooled && fault == Fault::BackendReset && connection.stream.channel.input().is_empty();
                Err(Failed { fault, unseen, stale })
            }
        }
    }

    /// A connection, and whether it comes from the pool.
    async fn connect(&self, endpoint: &Endpoint) -> Result<(Connection, bool), Fault> {
        let pooled = if self.fresh { None } else { self.call.client.take(endpoint, self.replayable) };
        if let Some(connection) = pooled {
            return Ok((connection, true));
        }
        let due = self.call.alarm.alarms().after(self.call.timeouts.connect).min(self.call.total);
        let opened = self.call.client.open(endpoint, self.call.alarm, due).await;
        opened.map(|connection| (connection, false))
    }

    fn write_head(&self, connection: &mut Connection, length: Length) {
        let framing = match length {
            Length::Empty => Framing::Empty,
            Length::Known(length) => Framing::Length(length),
            Length::Unknown => Framing::Chunked,
        };
        write::request_head(connection.stream.channel.output(), self.call.request, framing);
        connection.stream.begin_body(framing);
    }

    async fn await_answer<D: Downstream>(
        &mut self,
        client: &mut D,
        connection: &mut Connection,
        response: &mut Response,
    ) -> Result<Framing, Fault> {
        let call = self.call;
        let mut clocks = Clocks::new(call.alarm, call.total);
        let mut searched = 0;
        let mut interim = 0;
        let mut listening = true;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(Err(fault)) = self.sending.poll(cx, call, (client, &mut connection.stream), &mut clocks)
            {
                return Poll::Ready(Err(fault));
            }
            while let Poll::Ready(end) = poll_head_end(cx, connection, &mut searched)? {
                response.clear();
                head::response(&connection.stream.channel.input()[..end], ANSWER, response).map_err(fault_of)?;
                connection.stream.channel.consume(end);
                searched = 0;
                match response.status {
                    101 => return Poll::Ready(Err(Fault::BackendMalformed)),
                    100..=199 if interim < MOST_INTERIM => interim += 1,
                    100..=199 => return Poll::Ready(Err(Fault::BackendMalformed)),
                    _ => {
                        let framing = accept(connection, call.request, response);
                        // An answer that came before its request was complete leaves the connection in doubt.
                        connection.keeps &= self.sending.is_done(&connection.stream);
                        return Poll::Ready(framing);
                    }
                }
            }
            if listening {
                match client.poll_gone(cx) {
                    Poll::Ready(Gone::Surely) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Ready(Gone::Perhaps) if self.sending.is_done(&connection.stream) => {
                        listening = false;
                        clocks.gone = clocks.after(Some(HALF_CLOSED));
                    }
                    Poll::Ready(Gone::Perhaps) | Poll::Pending => {}
                }
            }
            clocks.poll(cx).map(Err)
        })
        .await
    }
}

/// The length of the next whole head in the input.
fn poll_head_end(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    searched: &mut usize,
) -> Result<Poll<usize>, Fault> {
    loop {
        let input = connection.stream.channel.input();
        let found = head::find_end(input, searched).map_err(fault_of)?;
        head::outgrown(&input[..*searched], ANSWER).map_err(fault_of)?;
        if let Some(end) = found {
            return Ok(Poll::Ready(end));
        }
        match connection.stream.channel.poll_fill(cx) {
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(_) => return Err(Fault::BackendReset),
            Poll::Pending => return Ok(Poll::Pending),
        }
    }
}

fn accept(connection: &mut Connection, request: &Request, response: &Response) -> Result<Framing, Fault> {
    let framing = framing::of_response(response, request.method() == b"HEAD")?;
    connection.note(response);
    connection.keeps &= framing != Framing::Close;
    connection.stream.expect_body(framing);
    Ok(framing)
}

fn fault_of(error: HeadError) -> Fault {
    match error {
        HeadError::Syntax | HeadError::UriTooLong => Fault::BackendMalformed,
        HeadError::TooLarge => Fault::BackendHeadersTooLarge,
    }
}
