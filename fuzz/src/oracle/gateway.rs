//! The gateway's own reading of messages, from its parts in the order in which its connections call them.

use std::ops::Range;

use portcullis::proxy::http::h1::chunked::{Broken, Chunked, Next};
use portcullis::proxy::http::h1::framing::{self, Framing};
use portcullis::proxy::http::h1::head::{self, HeadLimits};
use portcullis::proxy::http::h1::server::understand;
use portcullis::proxy::http::h1::stream::TRAILERS;
use portcullis::proxy::message::{Fields, Request, Response};

use super::meaning::{Answered, Asked, Body, List, listed};

/// A request that was accepted.
#[derive(Debug)]
pub struct Taken {
    /// Its head.
    pub request: Request,
    /// What delimits its body.
    pub framing: Framing,
    /// Where its head stands in the input.
    pub head: Range<usize>,
    /// Its body.
    pub body: Body,
}

impl Taken {
    /// What it means.
    pub fn asked(&self) -> Asked {
        Asked {
            method: self.request.method().into(),
            target: self.request.target().into(),
            authority: None,
            fields: listed(&self.request.fields),
            body: self.body.clone(),
        }
    }
}

/// How reading a connection's input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Something was refused, which ends the connection.
    Refused,
    /// The input ended within a message.
    Cut,
    /// A request asked for the connection to end.
    Closed,
    /// The input ended behind a message.
    Clean,
}

/// Reads the requests that one connection brings.
pub fn requests(input: &[u8], limits: HeadLimits) -> (Vec<Taken>, End) {
    let mut taken = Vec::new();
    let mut at = 0;
    loop {
        while input[at..].starts_with(b"\r\n") {
            at += 2;
        }
        if at == input.len() {
            return (taken, End::Clean);
        }
        let end = match head_end(&input[at..], &mut 0, limits) {
            Ok(Some(end)) => at + end,
            Ok(None) => return (taken, End::Cut),
            Err(()) => return (taken, End::Refused),
        };
        let mut request = Request::default();
        let parsed = head::request(&input[at..end], limits, &mut request).map_err(drop);
        let Ok(facts) = parsed.and_then(|()| understand(&mut request).map_err(drop)) else {
            return (taken, End::Refused);
        };
        let framing = facts.framing.unwrap_or(Framing::Empty);
        let (body, used) = body(framing, &input[end..]);
        let cut = (!body.whole).then(|| if used.is_ok() { End::Cut } else { End::Refused });
        taken.push(Taken { request, framing, head: at..end, body });
        at = end + used.unwrap_or(0);
        match cut {
            Some(end) => return (taken, end),
            None if !facts.keep_alive => return (taken, End::Closed),
            None => {}
        }
    }
}

/// Where the head ends that `input` starts with, within `limits`; nothing while it has no end yet.
///
/// # Errors
/// Where it breaks a rule already.
pub fn head_end(input: &[u8], searched: &mut usize, limits: HeadLimits) -> Result<Option<usize>, ()> {
    let end = head::find_end(input, searched).map_err(drop)?;
    head::outgrown(&input[..*searched], limits).map_err(drop)?;
    Ok(end)
}

/// Reads the final response to one request, past interim ones. None where it is refused or not there.
pub fn response(mut input: &[u8], limits: HeadLimits, to_head: bool) -> Option<(Answered, Response)> {
    loop {
        let end = head_end(input, &mut 0, limits).ok()??;
        let mut response = Response::default();
        head::response(&input[..end], limits, &mut response).ok()?;
        input = &input[end..];
        match response.status {
            101 => return None,
            100..=199 => {}
            status => {
                let framing = framing::of_response(&response, to_head).ok()?;
                let (body, _) = body(framing, input);
                return Some((Answered { status, fields: listed(&response.fields), body }, response));
            }
        }
    }
}

/// Reads a body, and says how much of the input it took, or that it is broken.
fn body(framing: Framing, input: &[u8]) -> (Body, Result<usize, Broken>) {
    let whole = |data: &[u8]| Body { data: data.to_vec(), whole: true, ..Body::default() };
    match framing {
        Framing::Empty => (whole(b""), Ok(0)),
        Framing::Close => (whole(input), Ok(input.len())),
        Framing::Length(length) => match usize::try_from(length).ok().and_then(|length| input.get(..length)) {
            Some(data) => (whole(data), Ok(data.len())),
            None => (Body { data: input.to_vec(), ..Body::default() }, Ok(input.len())),
        },
        Framing::Chunked => {
            let mut chunks = Chunks::default();
            let used = chunks.advance(input).map(|end| end.unwrap_or(input.len()));
            (chunks.body(), used)
        }
    }
}

/// A chunked body while it arrives.
#[derive(Debug, Default)]
pub struct Chunks {
    chunked: Chunked,
    at: usize,
    searched: usize,
    data: Vec<u8>,
    trailers: List,
    ended: bool,
}

impl Chunks {
    /// Reads on, now that `input` has arrived from its start. Where the body ends, once it does.
    ///
    /// # Errors
    /// Where it is broken.
    pub fn advance(&mut self, input: &[u8]) -> Result<Option<usize>, Broken> {
        while !self.ended {
            let (next, used) = self.chunked.next(&input[self.at..])?;
            self.at += used;
            let rest = &input[self.at..];
            match next {
                Next::Data(left) => {
                    let count = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if count == 0 {
                        return Ok(None);
                    }
                    self.data.extend_from_slice(&rest[..count]);
                    self.chunked.took(count as u64);
                    self.at += count;
                }
                Next::More => return Ok(None),
                Next::Trailers if rest.starts_with(b"\r\n") => (self.at, self.ended) = (self.at + 2, true),
                Next::Trailers => match head::find_end(rest, &mut self.searched).map_err(|_| Broken)? {
                    Some(end) => {
                        let mut fields = Fields::default();
                        head::trailers(&rest[..end], TRAILERS, &mut fields).map_err(|_| Broken)?;
                        self.trailers = listed(&fields);
                        (self.at, self.ended) = (self.at + end, true);
                    }
                    None if rest.len() > TRAILERS.fields_size => return Err(Broken),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(self.at))
    }

    /// What was read.
    pub fn body(&self) -> Body {
        Body { data: self.data.clone(), trailers: self.trailers.clone(), whole: self.ended }
    }
}
