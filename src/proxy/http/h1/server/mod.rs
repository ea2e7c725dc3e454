//! A client's HTTP/1.1 connection: requests in, responses out, one at a time.

mod ending;
mod reading;

use std::task::{Context, Poll};

use super::channel::{Channel, GATHER};
use super::framing::Framing;
use super::stream::{BodyError, Stream};
use super::write;
use crate::proxy::fault::{Fault, Malformed};
use crate::proxy::http::body::{Downstream, Gone, Length, Progress};
use crate::proxy::message::{Fields, Response, Version};

use ending::DRAIN;
pub use reading::{Next, Rules, expects_continue, read_whole, understand};

/// The connection.
pub struct Server {
    stream: Stream,
    request: Facts,
    /// How much the connection had sent when the response was started.
    started_at: Option<u64>,
    /// Nothing else waited to be written then.
    retractable: bool,
    keeps: bool,
    tunnel: bool,
    aborted: bool,
    served: u64,
}

/// What the server remembers of the request under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    version: Version,
    /// What delimits its body; absent before there was a request.
    pub framing: Option<Framing>,
    /// Whether the connection may carry another request after it.
    pub keep_alive: bool,
    takes_trailers: bool,
    expects_continue: bool,
}

impl Server {
    /// A connection on which nothing was read yet.
    pub fn new(channel: Channel) -> Self {
        Self {
            stream: Stream::new(channel),
            request: Facts::default(),
            started_at: None,
            retractable: false,
            keeps: true,
            tunnel: false,
            aborted: false,
            served: 0,
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
            (Length::Unknown, Version::Http10) | (Length::Tunnel, _) => (Framing::Close, false),
            (Length::Unknown, Version::Http11 | Version::Http2) => (Framing::Chunked, keeps),
        }
    }

    /// From here on the connection carries a tunnel, and nothing after it.
    fn start_tunnel(&mut self, response: &Response) {
        self.keeps = false;
        self.tunnel = true;
        let output = self.stream.channel.output();
        write::response_open(output, response);
        output.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        self.stream.become_tunnel();
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
        if self.request.expects_continue && self.started_at.is_none() {
            self.request.expects_continue = false;
            self.stream.channel.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if self.started_at.is_none()
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

    fn expects_continue(&self) -> bool {
        self.request.expects_continue
    }

    fn interim(&mut self, response: &Response) {
        if self.started_at.is_none() && self.request.version != Version::Http10 {
            let output = self.stream.channel.output();
            write::response_open(output, response);
            output.extend_from_slice(b"\r\n");
        }
    }

    fn start(&mut self, response: &Response, length: Length) {
        self.retractable = self.stream.channel.unwritten() == 0;
        self.started_at = Some(self.stream.channel.sent());
        if length == Length::Tunnel {
            return self.start_tunnel(response);
        }
        let (framing, keeps) = self.frame(length);
        self.keeps = keeps;
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
        self.stream.begin_body(framing);
    }

    fn has_started(&self) -> bool {
        self.started_at.is_some()
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
        if self.tunnel {
            return self.stream.end_tunnel();
        }
        let closes = self.stream.writing() == Framing::Close;
        if !self.stream.finish(trailers.filter(|_| self.request.takes_trailers)) && !closes {
            self.abort();
        }
    }

    fn wants(&self) -> usize {
        if self.stream.channel.unwritten() < GATHER { GATHER } else { 0 }
    }

    fn unwritten(&self) -> usize {
        self.stream.channel.unwritten()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.stream.poll_flush(cx).map_err(|_| Fault::ClientGone)
    }

    fn close_after(&mut self) {
        self.keeps = false;
    }

    fn retract(&mut self) -> bool {
        let untouched = self.retractable && self.started_at == Some(self.stream.channel.sent());
        if untouched {
            self.stream.forget();
            self.started_at = None;
        }
        untouched
    }

    fn abort(&mut self) {
        if self.stream.writing() == Framing::Close && !self.tunnel {
            // A close in good order would say that this was all.
            self.stream.channel.reset_on_close();
        }
        self.aborted = true;
        self.keeps = false;
    }
}

/// Whether a comma-separated list holds a token, compared without case.
pub fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::h1::testing::{nobody, secure};

    #[tokio::test]
    async fn a_response_behind_one_that_tls_holds_is_not_taken_back() {
        let (channel, _peer) = secure().await;
        let mut server = Server::new(channel);
        let mut response = Response { status: 103, ..Response::default() };
        response.fields.add(b"link", &[b'x'; 1 << 10]);
        while server.poll_flush(&mut nobody()).is_ready() {
            server.interim(&response);
        }
        assert!(server.unwritten() > 0, "it is to be flushed again");
        server.start(&response, Length::Empty);
        assert!(!server.retract() && server.has_started());
    }
}
