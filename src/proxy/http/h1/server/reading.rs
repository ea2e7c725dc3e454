//! The next request: its head, and what it says about itself.

use std::cell::Cell;
use std::task::{Poll, ready};
use std::time::Duration;

use super::{Facts, Server, has_token};
use crate::base::alarm::Alarm;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::h1::channel::MOST_TURNS;
use crate::proxy::http::h1::framing::{self, Framing};
use crate::proxy::http::h1::head::{self, HeadError, HeadLimits};
use crate::proxy::http::{target, websocket};
use crate::proxy::message::{Name, Request, Version};

/// What reading a request is bounded by.
pub struct Rules<'a> {
    /// Sizes.
    pub limits: HeadLimits,
    /// From the first byte of a request to the end of its head.
    pub headers: Duration,
    /// Between requests.
    pub keep_alive: Duration,
    /// The connection's alarm.
    pub alarm: &'a Alarm,
    /// Whether the connection is to end at the next chance.
    pub draining: &'a Cell<bool>,
}

/// What came instead of, or as, the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A request whose framing is clear.
    Request,
    /// The connection is over, without anything to answer.
    Closed,
    /// Something that is answered with a refusal; then the connection is over.
    Refused(Fault),
}

impl Server {
    /// Reads the next request head into `request`, which is empty.
    pub async fn next_request(&mut self, request: &mut Request, rules: &Rules<'_>) -> Next {
        self.request = Facts::default();
        self.started_at = None;
        match self.read_head(rules).await {
            Ok(Some(end)) => {
                let parsed = head::request(&self.stream.channel.input()[..end], rules.limits, request);
                self.stream.channel.consume(end);
                self.served += 1;
                match parsed.map_err(fault_of).and_then(|()| understand(request)) {
                    Ok(facts) => {
                        self.request = facts;
                        self.stream.expect_body(facts.framing.unwrap_or(Framing::Empty));
                        Next::Request
                    }
                    Err(fault) => Next::Refused(fault),
                }
            }
            Ok(None) => Next::Closed,
            Err(fault) => Next::Refused(fault),
        }
    }

    /// The length of the next whole head in the input; none when the connection ended instead.
    async fn read_head(&mut self, rules: &Rules<'_>) -> Result<Option<usize>, Fault> {
        let alarms = rules.alarm.alarms();
        let mut begun = self.served == 0;
        let mut due = alarms.after(Some(if begun { rules.headers } else { rules.keep_alive }));
        let mut searched = 0;
        std::future::poll_fn(|cx| {
            let mut turns = 0;
            loop {
                self.skip_empty_lines(&mut searched);
                let input = self.stream.channel.input();
                if !input.is_empty() {
                    if !begun {
                        (begun, due) = (true, alarms.after(Some(rules.headers)));
                    }
                    let found = head::find_end(input, &mut searched);
                    match found
                        .and_then(|end| head::outgrown(&input[..searched.min(input.len())], rules.limits).map(|()| end))
                    {
                        Ok(Some(end)) => return Poll::Ready(Ok(Some(end))),
                        Ok(None) => {}
                        Err(error) => return Poll::Ready(Err(fault_of(error))),
                    }
                } else if rules.draining.get() && self.served > 0 {
                    return Poll::Ready(Ok(None));
                }
                match self.stream.channel.poll_fill(cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Ok(_)) if turns < MOST_TURNS => turns += 1,
                    read => {
                        if read.is_ready() {
                            // Empty lines without end: the others have their turn, and the deadline holds.
                            cx.waker().wake_by_ref();
                        }
                        ready!(rules.alarm.poll(cx, due));
                        let partial = !self.stream.channel.input().is_empty();
                        return Poll::Ready(if partial { Err(Fault::HeaderTimeout) } else { Ok(None) });
                    }
                }
            }
        })
        .await
    }

    /// Empty lines before a request line are to be ignored (RFC 9112 §2.2).
    fn skip_empty_lines(&mut self, searched: &mut usize) {
        while self.stream.channel.input().starts_with(b"\r\n") {
            self.stream.channel.consume(2);
            *searched = 0;
        }
    }
}

/// Reads a whole request head into `request`, which is empty, as a [`Server`] reads it off its connection.
///
/// # Errors
/// What it is refused for.
pub fn read_whole(head: &[u8], limits: HeadLimits, request: &mut Request) -> Result<Facts, Fault> {
    let mut searched = 0;
    let found = head::find_end(head, &mut searched);
    let end = found.and_then(|end| head::outgrown(&head[..searched], limits).map(|()| end)).map_err(fault_of)?;
    let whole = end.and_then(|end| head.get(..end)).ok_or(Fault::Malformed(Malformed::Syntax))?;
    head::request(whole, limits, request).map_err(fault_of)?;
    understand(request)
}

/// Decides what a parsed head means: target and host, framing, persistence, expectations.
///
/// # Errors
/// Whatever two readers could take for two things.
pub fn understand(request: &mut Request) -> Result<Facts, Fault> {
    target::settle(request)?;
    let says =
        |request: &Request, token: &[u8]| request.fields.all(Name::Connection).any(|value| has_token(value, token));
    let framing = framing::of_request(request)?;
    request.tunnel = framing == Framing::Empty && request.version == Version::Http11 && websocket::is_asked(request);
    Ok(Facts {
        version: request.version,
        framing: Some(framing),
        keep_alive: match request.version {
            // Without the word the next bytes are no request. Some readers find none in a list that is not ASCII.
            Version::Http10 => {
                let ascii = request.fields.all(Name::Connection).all(<[u8]>::is_ascii);
                ascii && says(request, b"keep-alive") && !says(request, b"close")
            }
            Version::Http11 | Version::Http2 => !says(request, b"close"),
        },
        takes_trailers: request.fields.all(Name::Te).any(|value| has_token(value, b"trailers")),
        expects_continue: expects_continue(request)? && framing != Framing::Empty,
    })
}

fn fault_of(error: HeadError) -> Fault {
    match error {
        HeadError::Syntax => Fault::Malformed(Malformed::Syntax),
        HeadError::TooLarge => Fault::HeadersTooLarge,
        HeadError::UriTooLong => Fault::UriTooLong,
    }
}

/// Whether the request waits for a `100 Continue`; any other expectation is a fault (RFC 9110 §10.1.1). HTTP/1.0 has none.
pub fn expects_continue(request: &Request) -> Result<bool, Fault> {
    let mut expects = false;
    for value in request.fields.all(Name::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Fault::ExpectationFailed);
        }
        expects = true;
    }
    Ok(expects && request.version != Version::Http10)
}
