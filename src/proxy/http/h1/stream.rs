//! One message each way over a channel: a body decoded as it is read, a body framed as it is written.

use std::io;
use std::task::{Context, Poll, ready};

use super::channel::Channel;
use super::chunked::{Chunked, Next};
use super::framing::Framing;
use super::head::{self, HeadLimits};
use super::write;
use crate::proxy::http::body::Progress;
use crate::proxy::message::Fields;

/// The most that trailer fields may take.
pub const TRAILERS: HeadLimits = HeadLimits { uri: 0, fields_size: 8 << 10, fields: 32 };

/// Why a body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Its framing breaks the grammar or the bounds.
    Broken,
    /// The connection ended in the middle of it, or failed.
    Cut,
}

/// A channel and what is left of the messages on it.
pub struct Stream {
    /// The bytes.
    pub channel: Channel,
    reading: Reading,
    writing: Framing,
    trailers: Option<Box<Fields>>,
    /// Data of a chunk before its size is known.
    chunk: Vec<u8>,
    begun: Begun,
    /// Once everything is written, the connection's sending side ends.
    ends: bool,
}

/// Where the body of the message being written began in the output, and whether it has chunks.
#[derive(Clone, Copy, Default)]
struct Begun {
    at: usize,
    chunked: bool,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Done,
    Length(u64),
    Chunked(Chunked),
    Close,
}

impl Stream {
    /// No message under way in either direction.
    pub fn new(channel: Channel) -> Self {
        Self {
            channel,
            reading: Reading::Done,
            writing: Framing::Empty,
            trailers: None,
            chunk: Vec::new(),
            begun: Begun::default(),
            ends: false,
        }
    }

    /// A body of this framing comes next.
    pub fn expect_body(&mut self, framing: Framing) {
        self.trailers = None;
        self.reading = match framing {
            Framing::Empty => Reading::Done,
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked => Reading::Chunked(Chunked::default()),
            Framing::Close => Reading::Close,
        };
    }

    /// A body of this framing will be written next, after the head that was written.
    pub fn begin_body(&mut self, framing: Framing) {
        self.writing = framing;
        self.begun = Begun { at: self.channel.unwritten(), chunked: framing == Framing::Chunked };
    }

    /// Takes out the body of a message of which the connection took no byte, as far as it was written, without its framing.
    pub fn take_unsent(&mut self) -> Vec<u8> {
        let body = self.channel.take_output().split_off(self.begun.at);
        if self.begun.chunked { unchunked(&body) } else { body }
    }

    /// The bytes of a tunnel come next, in both directions.
    pub fn become_tunnel(&mut self) {
        (self.reading, self.writing) = (Reading::Close, Framing::Close);
        self.channel.keep_alive();
    }

    /// Nothing more will be written once the output is: the other side of a tunnel has ended.
    pub fn end_tunnel(&mut self) {
        self.ends = true;
    }

    /// Writes the output, and ends the sending side where that is due.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.channel.poll_flush(cx))?;
        if self.ends { self.channel.poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Forgets a message that was begun and of which nothing was sent.
    pub fn forget(&mut self) {
        self.channel.take_output();
        self.chunk.clear();
        self.writing = Framing::Empty;
    }

    /// What is left to be written of the body, with the framing that was begun.
    pub fn writing(&self) -> Framing {
        self.writing
    }

    /// Whether the body that was expected has been read to its end.
    pub fn is_read(&self) -> bool {
        matches!(self.reading, Reading::Done)
    }

    /// Whether the body that was begun has been written to its end.
    pub fn is_written(&self) -> bool {
        matches!(self.writing, Framing::Empty)
    }

    /// The trailer fields of the body that was read.
    pub fn trailers(&self) -> Option<&Fields> {
        self.trailers.as_deref()
    }

    /// Appends the next piece of the body to `into`, at most `limit` bytes.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<Progress, BodyError>> {
        loop {
            let left = match &mut self.reading {
                Reading::Done => return Poll::Ready(Ok(Progress::End)),
                Reading::Length(left) => *left,
                Reading::Close => u64::MAX,
                Reading::Chunked(chunked) => {
                    let (next, used) = chunked.next(self.channel.input()).map_err(|_| BodyError::Broken)?;
                    self.channel.consume(used);
                    match next {
                        Next::Data(left) => left,
                        Next::Trailers => return self.poll_trailers(cx),
                        Next::More => {
                            ready!(self.poll_more(cx))?;
                            continue;
                        }
                    }
                }
            };
            let limit = limit.min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = ready!(self.poll_data(cx, into, limit))?;
            return Poll::Ready(Ok(if count == 0 { Progress::End } else { Progress::Data(count) }));
        }
    }

    /// Moves up to `limit` bytes of data; 0 is the end of a body that the connection delimits.
    fn poll_data(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, limit: usize) -> Poll<Result<usize, BodyError>> {
        let input = self.channel.input();
        let count = if input.is_empty() {
            match ready!(self.channel.poll_read_into(cx, into, limit)) {
                Ok(0) if matches!(self.reading, Reading::Close) => 0,
                Ok(0) | Err(_) => return Poll::Ready(Err(BodyError::Cut)),
                Ok(count) => count,
            }
        } else {
            let count = input.len().min(limit);
            into.extend_from_slice(&input[..count]);
            self.channel.consume(count);
            count
        };
        self.took(count);
        Poll::Ready(Ok(count))
    }

    fn took(&mut self, count: usize) {
        match &mut self.reading {
            Reading::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.reading = Reading::Done;
                }
            }
            Reading::Chunked(chunked) => chunked.took(count as u64),
            Reading::Close if count == 0 => self.reading = Reading::Done,
            Reading::Close | Reading::Done => {}
        }
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, BodyError>> {
        let mut searched = 0;
        loop {
            let input = self.channel.input();
            if input.starts_with(b"\r\n") {
                self.channel.consume(2);
                break;
            }
            match head::find_end(input, &mut searched).map_err(|_| BodyError::Broken)? {
                Some(end) => {
                    let mut fields = Box::<Fields>::default();
                    head::trailers(&input[..end], TRAILERS, &mut fields).map_err(|_| BodyError::Broken)?;
                    self.trailers = Some(fields);
                    self.channel.consume(end);
                    break;
                }
                None if input.len() > TRAILERS.fields_size => return Poll::Ready(Err(BodyError::Broken)),
                None => ready!(self.poll_more(cx))?,
            }
        }
        self.reading = Reading::Done;
        Poll::Ready(Ok(Progress::End))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match ready!(self.channel.poll_fill(cx)) {
            Ok(count) if count > 0 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(BodyError::Cut)),
        }
    }

    /// Where the next data of the body being written are to be appended; then [`appended`](Self::appended) is to be told.
    pub fn room(&mut self) -> &mut Vec<u8> {
        match self.writing {
            Framing::Chunked => &mut self.chunk,
            Framing::Empty | Framing::Length(_) | Framing::Close => self.channel.output(),
        }
    }

    /// Frames the `count` bytes that were appended to [`room`](Self::room). False where they exceed the announced length.
    #[must_use]
    pub fn appended(&mut self, count: usize) -> bool {
        match &mut self.writing {
            Framing::Chunked => {
                if count > 0 {
                    write::chunk(self.channel.output(), &self.chunk);
                    self.chunk.clear();
                }
                true
            }
            Framing::Length(left) => match left.checked_sub(count as u64) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
            Framing::Close => true,
            Framing::Empty => count == 0,
        }
    }

    /// Ends the body being written. False where less than the announced length was written, or where only the end of the
    /// connection ends it.
    #[must_use]
    pub fn finish(&mut self, trailers: Option<&Fields>) -> bool {
        match std::mem::replace(&mut self.writing, Framing::Empty) {
            Framing::Chunked => {
                write::last_chunk(self.channel.output(), trailers);
                self.chunk = Vec::new();
                true
            }
            Framing::Empty | Framing::Length(0) => true,
            Framing::Length(_) | Framing::Close => false,
        }
    }
}

/// The data of chunks of our own.
fn unchunked(mut framed: &[u8]) -> Vec<u8> {
    let (mut chunked, mut data) = (Chunked::default(), Vec::with_capacity(framed.len()));
    while let Ok((Next::Data(size), used)) = chunked.next(framed) {
        framed = &framed[used..];
        let take = framed.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        data.extend_from_slice(&framed[..take]);
        chunked.took(take as u64);
        framed = &framed[take..];
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_our_own_are_undone() {
        for pieces in [&[][..], &[&b"a"[..]], &[b"abc", &[0x0d; 70_000], b"0\r\n"]] {
            let mut framed = Vec::new();
            pieces.iter().for_each(|piece| write::chunk(&mut framed, piece));
            assert_eq!(unchunked(&framed), pieces.concat());
            write::last_chunk(&mut framed, None);
            assert_eq!(unchunked(&framed), pieces.concat());
        }
    }
}
