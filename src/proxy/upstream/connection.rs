//! An HTTP/1.1 connection to a backend.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::backend::Broken;
use super::client::Key;
use crate::base::alarm::Moment;
use crate::proxy::balance::{Endpoint, Pool, SendProxy};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::Length;
use crate::proxy::http::h1::framing::{self, Framing};
use crate::proxy::http::h1::head::{self, HeadError, HeadLimits};
use crate::proxy::http::h1::server::has_token;
use crate::proxy::http::h1::stream::Stream;
use crate::proxy::http::h1::write;
use crate::proxy::http::websocket;
use crate::proxy::message::{Name, Request, Response, Version};

/// What a backend's answer may have for a head.
const ANSWER: HeadLimits = HeadLimits { uri: 256, fields_size: 64 << 10, fields: 256 };

/// How long a connection that is one client's own is kept unused: nobody else can use it, and clients come and go.
const OWN_IDLE: Duration = Duration::from_secs(5);

/// How long connections of a pool are kept.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) lifetime: Option<Duration>,
}

impl Limits {
    /// What a pool says.
    pub(super) fn of(pool: &Pool) -> Self {
        let idle = if pool.send_proxy == SendProxy::V2 { pool.pool_idle.min(OWN_IDLE) } else { pool.pool_idle };
        Self { idle, lifetime: pool.pool_lifetime }
    }
}

/// An open connection, the exchange on it, and how long it may be kept unused.
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Which of the worker's pools it belongs to.
    pub(super) key: Key,
    /// What it leads to.
    pub(super) endpoint: Arc<Endpoint>,
    /// Whether the backend lets it be used again after the answer under way.
    pub(super) keeps: bool,
    /// How long the backend keeps it open unused, where it said so.
    keep_alive: Option<Duration>,
    /// Its number among the worker's connections, and when it was opened.
    pub(super) serial: u64,
    pub(super) opened: Moment,
    /// Since when it has been unused.
    pub(super) idle_since: Moment,
    /// Whether it had carried an exchange before this one.
    pub(super) used: bool,
    /// How much it had sent when the request was begun.
    sent_before: u64,
    /// How far the input was searched for the end of a head.
    searched: usize,
    /// The proof that the backend has to give of having understood a WebSocket handshake.
    accept: Option<String>,
}

impl Connection {
    /// A connection on which nothing was said yet.
    pub(super) fn new(stream: Stream, key: Key, endpoint: &Arc<Endpoint>, (serial, now): (u64, Moment)) -> Self {
        Self {
            stream,
            key,
            endpoint: Arc::clone(endpoint),
            keeps: false,
            keep_alive: None,
            serial,
            opened: now,
            idle_since: now,
            used: false,
            sent_before: 0,
            searched: 0,
            accept: None,
        }
    }

    /// Whether it may stay: the backend has neither closed it nor sent anything, and is still in the pool.
    pub(super) fn is_quiet_and_wanted(&self) -> bool {
        self.stream.channel.is_quiet() && !self.endpoint.is_removed()
    }

    /// How long it may be kept unused, at most `most`; not at all where its endpoint was removed.
    pub(super) fn keep(&self, most: Duration) -> Duration {
        let most = if self.endpoint.is_removed() { Duration::ZERO } else { most };
        self.keep_alive.map_or(most, |announced| announced.min(most))
    }

    /// Begins a request.
    pub(super) fn begin(&mut self, request: &Request, length: Length) {
        self.sent_before = self.stream.channel.sent();
        self.searched = 0;
        let framing = match length {
            Length::Empty | Length::Tunnel => Framing::Empty,
            Length::Known(length) => Framing::Length(length),
            Length::Unknown => Framing::Chunked,
        };
        let output = self.stream.channel.output();
        if request.tunnel {
            self.accept = Some(websocket::request_head(output, request));
        } else {
            write::request_head(output, request, framing);
        }
        self.stream.begin_body(framing);
    }

    /// Fills `response`, which is empty, with the next head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, response: &mut Response) -> Poll<Result<(), Broken>> {
        match self.poll_head_end(cx) {
            Poll::Ready(Ok(end)) => {
                let parsed = head::response(&self.stream.channel.input()[..end], ANSWER, response);
                self.stream.channel.consume(end);
                self.searched = 0;
                Poll::Ready(parsed.map_err(|error| self.broken(fault_of(error))))
            }
            Poll::Ready(Err(fault)) => Poll::Ready(Err(self.broken(fault))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What it says of the request that the connection broke.
    pub(super) fn broken(&self, fault: Fault) -> Broken {
        let unseen = self.stream.channel.sent() == self.sent_before;
        let stale = self.used && fault == Fault::BackendReset && self.stream.channel.input().is_empty();
        Broken { fault, unseen, stale }
    }

    /// The length of the next whole head in the input.
    fn poll_head_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        loop {
            let input = self.stream.channel.input();
            let found = head::find_end(input, &mut self.searched).map_err(fault_of)?;
            head::outgrown(&input[..self.searched], ANSWER).map_err(fault_of)?;
            if let Some(end) = found {
                return Poll::Ready(Ok(end));
            }
            match self.stream.channel.poll_fill(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(Fault::BackendReset)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The head that begins the answer has come: its body follows.
    pub(super) fn begin_answer(&mut self, to_head: bool, response: &Response) -> Result<Length, Fault> {
        let framing = framing::of_response(response, to_head)?;
        self.note(response);
        self.keeps &= framing != Framing::Close;
        self.stream.expect_body(framing);
        Ok(match framing {
            Framing::Empty => Length::Empty,
            Framing::Length(length) => Length::Known(length),
            Framing::Chunked | Framing::Close => Length::Unknown,
        })
    }

    /// The backend switches protocols: right only where that was asked for and understood.
    pub(super) fn begin_tunnel(&mut self, request: &Request, response: &mut Response) -> Result<Length, Fault> {
        if !request.tunnel {
            return Err(Fault::BackendMalformed);
        }
        let accepts: Vec<&[u8]> = response.fields.all(Name::SecWebSocketAccept).collect();
        let understood = matches!((&accepts[..], &self.accept), ([given], Some(due)) if *given == due.as_bytes());
        if !understood || !websocket::is_websocket(&response.fields) {
            return Err(Fault::NoTunnel);
        }
        response.fields.remove(Name::ContentLength);
        self.stream.become_tunnel();
        Ok(Length::Tunnel)
    }

    /// Notes what the head of an answer says about the connection's future (RFC 9112 §9.3).
    fn note(&mut self, response: &Response) {
        let closes = response.fields.all(Name::Connection).any(|value| has_token(value, b"close"));
        self.keeps = response.version == Version::Http11 && !closes;
        if let Some(seconds) = response.fields.first(Name::KeepAlive).and_then(announced) {
            // One second less, so that it is us who close first.
            self.keep_alive = Some(Duration::from_secs(seconds.saturating_sub(1)));
        }
    }
}

/// The `timeout` of a `Keep-Alive` field, in seconds.
fn announced(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let timeout = text.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    timeout.trim_matches('"').parse().ok()
}

fn fault_of(error: HeadError) -> Fault {
    match error {
        HeadError::Syntax | HeadError::UriTooLong => Fault::BackendMalformed,
        HeadError::TooLarge => Fault::BackendHeadersTooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_keep_alive_is_read() {
        assert_eq!(announced(b"timeout=5, max=100"), Some(5));
        assert_eq!(announced(b"max=100, timeout=\"7\""), Some(7));
        assert_eq!(announced(b"max=100"), None);
        assert_eq!(announced(b"timeout=soon"), None);
        assert_eq!(announced(b"\xff"), None);
    }
}
