//! A backend's end of an HTTP/2 connection, frame by frame, right or wrong. It runs on a scripted connection.

use std::collections::HashMap;

use super::frames::{DATA, END_HEADERS, END_STREAM, Frame, HEADERS, PING, SETTINGS, WINDOW_UPDATE, block, frame};
use super::script::Conversation;

/// The client's first bytes.
const PREFACE: usize = 24;

/// The connection.
pub(crate) struct Peer<'a> {
    pub(crate) conversation: &'a mut Conversation,
    /// What has come of the requests that have not ended.
    bodies: HashMap<u32, Vec<u8>>,
}

impl<'a> Peer<'a> {
    /// Takes the preface and says nothing.
    pub(crate) fn silent(conversation: &'a mut Conversation) -> Self {
        conversation.bytes(PREFACE);
        Self { conversation, bodies: HashMap::new() }
    }

    /// Takes the preface and sends SETTINGS, each an identifier and a value; acknowledges the gateway's.
    pub(crate) fn settled(conversation: &'a mut Conversation, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(conversation);
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        peer.send(frame(SETTINGS, 0, 0, &payload)).send(frame(SETTINGS, 1, 0, &[]));
        peer
    }

    /// With room for a megabyte of requests.
    pub(crate) fn roomy(conversation: &'a mut Conversation) -> Self {
        let mut peer = Self::settled(conversation, &[(4, 1 << 20)]);
        peer.send(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes()));
        peer
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.conversation.send(bytes);
        self
    }

    /// Sends HEADERS with END_HEADERS.
    pub(crate) fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> &mut Self {
        self.send(frame(HEADERS, END_HEADERS | flags, stream, &block(fields)))
    }

    /// Answers a request with a 200 and this body.
    pub(crate) fn answer(&mut self, stream: u32, body: &str) -> &mut Self {
        self.head(stream, 0, &[(":status", "200")]).send(frame(DATA, END_STREAM, stream, body.as_bytes()))
    }

    /// The next frame, or nothing where the gateway closes. Nothing is answered.
    pub(crate) fn look(&mut self) -> Option<Frame> {
        Frame::read(|count| {
            let bytes = self.conversation.bytes(count);
            (bytes.len() == count).then_some(bytes)
        })
    }

    /// The next frame, or nothing where the gateway closes. Pings are answered.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let frame = self.look()?;
        if frame.kind == PING && frame.flags & 1 == 0 {
            self.send(super::frames::frame(PING, 1, 0, &frame.payload));
        }
        Some(frame)
    }

    /// The next frame of that type, or nothing where the gateway closes.
    pub(crate) fn find(&mut self, kind: u8) -> Option<Frame> {
        while let Some(frame) = self.next() {
            if frame.kind == kind {
                return Some(frame);
            }
        }
        None
    }

    /// The next request that has come to its end: its stream and its body. Nothing where the gateway closes.
    pub(crate) fn request(&mut self) -> Option<(u32, String)> {
        while let Some(frame) = self.next() {
            if !matches!(frame.kind, HEADERS | DATA) {
                continue;
            }
            let body = self.bodies.entry(frame.stream).or_default();
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.flags & END_STREAM != 0 {
                let body = self.bodies.remove(&frame.stream).unwrap_or_default();
                return Some((frame.stream, String::from_utf8_lossy(&body).into_owned()));
            }
        }
        None
    }

    /// Takes what comes until the gateway closes.
    pub(crate) fn hold(&mut self) {
        while self.next().is_some() {}
    }

    /// Answers every request with its body and `sign` before it, until the gateway closes.
    pub(crate) fn echo(&mut self, sign: &str) {
        while let Some((stream, body)) = self.request() {
            self.answer(stream, &format!("{sign}{body}"));
        }
    }
}
