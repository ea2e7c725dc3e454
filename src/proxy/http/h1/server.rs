//! A client's HTTP/1.1 connection: requests in, responses out, one at a time.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::channel::Channel;
use super::framing::{self, Framing};
use super::head::{self, HeadError, HeadLimits};
use super::stream::{BodyError, Stream};
use super::write;
use crate::base::alarm::Alarm;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::http::target;
use crate::proxy::message::{Fields, Name, Request, Response, Version};

/// How much of an unread request body is read and dropped to keep a connection.
const DRAIN: u64 = 256 << 10;

/// How long that may take, and how long a closing connection is listened to so that its last answer is not reset away.
const LINGER: Duration = Duration::from_secs(2);

/// How much a closing connection is listened to. A client that sends all it has before it reads, as most do, learns only then
/// why it was refused; dropping what it sends costs next to nothing.
const LINGER_BYTES: usize = 64 << 20;

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

/// The connection.
pub struct Server {
    stream: Stream,
    request: Facts,
    started: bool,
    keeps: bool,
    aborted: bool,
    served: u64,
}

/// What the server remembers of the request under way.
#[derive(Clone, Copy, Default)]
struct Facts {
    version: Version,
    framing: Option<Framing>,
    keep_alive: bool,
    takes_trailers: bool,
    expects_continue: bool,
}

impl Server {
    /// A connection on which nothing was read yet.
    pub fn new(channel: Channel) -> Self {
        Self {
            stream: Stream::new(channel),
            request: Facts::default(),
            started: false,
            keeps: true,
            aborted: false,
            served: 0,
        }
    }

    /// Reads the next request head into `request`, which is empty.
    pub async fn next_request(&mut self, request: &mut Request, rules: &Rules<'_>) -> Next {
        self.request = Facts::default();
        self.started = false;
        match self.read_head(rules).await {
            Ok(Some(end)) => {
                let parsed = head::request(&self.stream.channel.input()[..end], rules.limits, request);
                self.stream.channel.consume(end);
                self.served += 1;
                match parsed.map_err(fault_of).and_then(|()| self.understand(request)) {
                    Ok(()) => Next::Request,
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
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => {
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

    /// Decides framing, persistence and expectations.
    fn understand(&mut self, request: &mut Request) -> Result<(), Fault> {
        target::settle(request)?;
        let says = |token: &[u8]| request.fields.all(Name::Connection).any(|value| has_token(value, token));
        let framing = framing::of_request(request)?;
        self.request = Facts {
            version: request.version,
            framing: Some(framing),
            keep_alive: match request.version {
                Version::Http10 => says(b"keep-alive") && !says(b"close"),
                Version::Http11 | Version::Http2 => !says(b"close"),
            },
            takes_trailers: request.fields.all(Name::Te).any(|value| has_token(value, b"trailers")),
            expects_continue: expects_continue(request)? && framing != Framing::Empty,
        };
        self.stream.expect_body(framing);
        Ok(())
    }

    /// After a response: reads what is left of the request within bounds. Whether the connection can carry another request.
    pub async fn settle(&mut self, alarm: &Alarm) -> bool {
        if self.aborted || !self.keeps || !self.started {
            return false;
        }
        let mut dropped = Vec::new();
        let mut budget = DRAIN;
        let due = alarm.alarms().after(Some(LINGER));
        std::future::poll_fn(|cx| {
            loop {
                if self.stream.is_read() {
                    return Poll::Ready(true);
                }
                match self.stream.poll_body(cx, &mut dropped, DRAIN as usize) {
                    Poll::Ready(Ok(Progress::Data(count))) if budget > count as u64 => budget -= count as u64,
                    Poll::Ready(Ok(Progress::End)) => return Poll::Ready(true),
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return alarm.poll(cx, due).map(|()| false),
                }
                dropped.clear();
            }
        })
        .await
    }

    /// Closes: what was answered is delivered, then for a bounded while what still comes is dropped, because a close with
    /// unread input resets the connection and takes the answer with it.
    pub async fn close(mut self, alarm: &Alarm) {
        if self.aborted {
            return;
        }
        let due = alarm.alarms().after(Some(LINGER));
        let mut budget = LINGER_BYTES;
        std::future::poll_fn(|cx| match self.poll_linger(cx, &mut budget) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => alarm.poll(cx, due),
        })
        .await;
    }

    /// Closes a connection on which nothing is under way: inside TLS that is said, so that nobody takes it for a cut.
    pub async fn leave(mut self) {
        std::future::poll_fn(|cx| {
            // What the kernel does not take at once is not waited for.
            let _ = self.stream.channel.poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, budget: &mut usize) -> Poll<io::Result<()>> {
        ready!(self.stream.channel.poll_flush(cx))?;
        ready!(self.stream.channel.poll_shutdown(cx))?;
        loop {
            let waiting = self.stream.channel.input().len();
            self.stream.channel.consume(waiting);
            let count = ready!(self.stream.channel.poll_fill(cx))?;
            if count == 0 || count >= *budget {
                return Poll::Ready(Ok(()));
            }
            *budget -= count;
        }
    }

    /// The framing of a response of that length, and whether the connection outlives it.
    fn frame(&self, length: Length) -> (Framing, bool) {
        let unread_bounded = match self.request.framing {
            Some(Framing::Length(length)) => self.stream.is_read() || length <= DRAIN,
            Some(_) => true,
            None => false,
        };
        let keeps = self.keeps && self.request.keep_alive && unread_bounded && !self.request.expects_continue;
        match (length, self.request.version) {
            (Length::Empty, _) => (Framing::Empty, keeps),
            (Length::Known(length), _) => (Framing::Length(length), keeps),
            (Length::Unknown, Version::Http10) => (Framing::Close, false),
            (Length::Unknown, Version::Http11 | Version::Http2) => (Framing::Chunked, keeps),
        }
    }
}

impl Downstream for Server {
    fn request_length(&self) -> Length {
        match self.request.framing {
            Some(Framing::Length(length)) => Length::Known(length),
            Some(Framing::Chunked) => Length::Unknown,
            Some(Framing::Empty | Framing::Close) | None => Length::Empty,
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<Progress, Fault>> {
        if self.request.expects_continue && !self.started {
            self.request.expects_continue = false;
            self.stream.channel.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if !self.started
            && self.stream.channel.unwritten() > 0
            && matches!(self.stream.channel.poll_flush(cx), Poll::Ready(Err(_)))
        {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.stream.poll_body(cx, into, limit).map_err(|error| match error {
            BodyError::Broken => Fault::Malformed(Malformed::Framing),
            BodyError::Cut => Fault::ClientGone,
        })
    }

    fn request_trailers(&self) -> Option<&Fields> {
        self.stream.trailers()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        // A request that was sent ahead waits in the kernel, unread: it is its sender's to lose.
        if !self.stream.is_read() || !self.stream.channel.input().is_empty() {
            return Poll::Pending;
        }
        match self.stream.channel.poll_fill(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Gone::Perhaps),
            Poll::Ready(Err(_)) => Poll::Ready(Gone::Surely),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    fn start(&mut self, response: &Response, length: Length) {
        let (framing, keeps) = self.frame(length);
        self.keeps = keeps;
        self.started = true;
        self.stream.begin_body(framing);
        let version = self.request.version;
        let output = self.stream.channel.output();
        write::response_open(output, response);
        if framing == Framing::Chunked {
            output.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !keeps {
            output.extend_from_slice(b"Connection: close\r\n");
        } else if version == Version::Http10 {
            output.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        output.extend_from_slice(b"\r\n");
    }

    fn has_started(&self) -> bool {
        self.started
    }

    fn room(&mut self) -> &mut Vec<u8> {
        self.stream.room()
    }

    fn appended(&mut self, count: usize) {
        if !self.stream.appended(count) {
            self.abort();
        }
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        let closes = self.stream.writing() == Framing::Close;
        if !self.stream.finish(trailers.filter(|_| self.request.takes_trailers)) && !closes {
            self.abort();
        }
    }

    fn unwritten(&self) -> usize {
        self.stream.channel.unwritten()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.stream.channel.poll_flush(cx).map_err(|_| Fault::ClientGone)
    }

    fn close_after(&mut self) {
        self.keeps = false;
    }

    fn abort(&mut self) {
        if self.stream.writing() == Framing::Close {
            // A close in good order would say that this was all.
            self.stream.channel.reset_on_close();
        }
        self.aborted = true;
        self.keeps = false;
    }
}

fn fault_of(error: HeadError) -> Fault {
    match error {
        HeadError::Syntax => Fault::Malformed(Malformed::Syntax),
        HeadError::TooLarge => Fault::HeadersTooLarge,
        HeadError::UriTooLong => Fault::UriTooLong,
    }
}

/// Whether the request waits for a `100 Continue`; any other expectation is a fault (RFC 9110 §10.1.1). HTTP/1.0 has none.
fn expects_continue(request: &Request) -> Result<bool, Fault> {
    let mut expects = false;
    for value in request.fields.all(Name::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Fault::ExpectationFailed);
        }
        expects = true;
    }
    Ok(expects && request.version != Version::Http10)
}

/// Whether a comma-separated list holds a token, compared without case.
pub fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}
