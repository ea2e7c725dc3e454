//! A client that sends HTTP/2 frames one by one, right or wrong.

use super::client::Client;
use super::gateway::Gateway;

/// Types of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of HEADERS.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 §7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const SETTINGS_TIMEOUT: u32 = 4;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection.
pub(crate) struct Frames {
    client: Client,
}

/// One frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Reads a frame off what gives so many bytes, or nothing at its end.
    pub(crate) fn read(mut exactly: impl FnMut(usize) -> Option<Vec<u8>>) -> Option<Self> {
        let head = exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Self { kind: head[3], flags: head[4], stream, payload: exactly(length)? })
    }

    /// The error code of GOAWAY and RST_STREAM.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block, each field a literal (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return bytes.push(length as u8);
    }
    bytes.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push(rest as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// The block of a GET of `/`.
pub(crate) fn get() -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")])
}

/// The block of a POST to `/`.
pub(crate) fn post(fields: &[(&str, &str)]) -> Vec<u8> {
    let head = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    block(&[&head, fields].concat())
}

impl Frames {
    /// A TLS connection on which nothing was sent.
    pub(crate) fn silent(gateway: &Gateway) -> Self {
        let address = gateway.address("https");
        let client = Client::try_speaking(b"h2", address, &gateway.home().authority, "localhost").unwrap();
        Self { client }
    }

    /// A connection that has sent its preface and its SETTINGS, each an identifier and a value.
    pub(crate) fn settled(gateway: &Gateway, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self::silent(gateway);
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        frames.send(PREFACE).send(frame(SETTINGS, 0, 0, &payload));
        frames.send(frame(SETTINGS, 1, 0, &[]));
        frames
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.client.send(bytes);
        self
    }

    /// Sends HEADERS with END_HEADERS.
    pub(crate) fn head(&mut self, stream: u32, flags: u8, block: &[u8]) -> &mut Self {
        self.send(frame(HEADERS, END_HEADERS | flags, stream, block))
    }

    /// The next frame, or nothing where the connection ends first.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        Frame::read(|count| self.client.exactly(count))
    }

    /// The next frame of that type.
    pub(crate) fn expect(&mut self, kind: u8) -> Frame {
        self.find(kind).unwrap_or_else(|| panic!("the connection ended without a frame of type {kind}"))
    }

    /// The next frame of that type, or nothing where the connection ends first.
    pub(crate) fn find(&mut self, kind: u8) -> Option<Frame> {
        while let Some(frame) = self.next() {
            if frame.kind == kind {
                return Some(frame);
            }
        }
        None
    }

    /// The code of the next RST_STREAM or GOAWAY, or nothing where the connection ends first.
    pub(crate) fn next_error(&mut self) -> Option<u32> {
        while let Some(frame) = self.next() {
            if matches!(frame.kind, RST_STREAM | GOAWAY) {
                return Some(frame.code());
            }
        }
        None
    }

    /// Waits until the gateway closes.
    pub(crate) fn expect_closed(&mut self) {
        while self.next().is_some() {}
    }
}
