//! An HTTP answer as a client sees it.

use std::fmt;
use std::io::{self, Read};

/// One response, final or interim.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    /// `HTTP/1.1`, `HTTP/2`.
    pub(crate) version: String,
    pub(crate) status: u16,
    /// Names in lower case, in the order they came.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    /// Reads a head from its text.
    pub(crate) fn head(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
        let version = first.next().unwrap_or_default().to_owned();
        let status = first.next().and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line in {text:?}"));
        Self { version, status, fields: lines.filter_map(field).collect(), ..Self::default() }
    }

    /// The value of the only field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "more than one {name}: {self:?}");
        first
    }

    /// The values of all fields of that name, in order.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `error` of `Proxy-Status`, where the gateway refused.
    pub(crate) fn refusal(&self) -> Option<&str> {
        let (_, error) = self.field("proxy-status")?.split_once("portcullis; error=")?;
        error.split(';').next().map(str::trim)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.version, self.status)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        writeln!(f, "\n{}", String::from_utf8_lossy(&self.body[..self.body.len().min(2_000)]))
    }
}

/// A field line.
fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// Reads answers off a stream, keeping what came beyond.
#[derive(Default)]
pub(crate) struct Reader {
    rest: Vec<u8>,
}

impl Reader {
    /// The next answer; `bodyless` is what the request's method decides (`HEAD`). Nothing when the stream ended before it.
    pub(crate) fn answer(&mut self, stream: &mut dyn Read, bodyless: bool) -> io::Result<Option<Answer>> {
        let Some(head) = self.until(stream, b"\r\n\r\n")? else { return Ok(None) };
        let mut answer = Answer::head(&String::from_utf8_lossy(&head));
        if bodyless || answer.status < 200 || matches!(answer.status, 204 | 304) {
            return Ok(Some(answer));
        }
        if answer.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            self.chunks(stream, &mut answer)?;
        } else if let Some(length) = answer.field("content-length") {
            answer.body = self.exactly(stream, length.parse().unwrap())?;
        } else {
            answer.body = std::mem::take(&mut self.rest);
            stream.read_to_end(&mut answer.body)?;
        }
        Ok(Some(answer))
    }

    /// Whatever has come, or comes next; nothing at the end of the stream.
    pub(crate) fn some(&mut self, stream: &mut dyn Read) -> io::Result<Vec<u8>> {
        if self.rest.is_empty() {
            let mut bytes = vec![0; 64 << 10];
            let count = stream.read(&mut bytes)?;
            bytes.truncate(count);
            return Ok(bytes);
        }
        Ok(std::mem::take(&mut self.rest))
    }

    /// Whatever is left until the end of the stream.
    pub(crate) fn remaining(&mut self, stream: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut all = std::mem::take(&mut self.rest);
        stream.read_to_end(&mut all)?;
        Ok(all)
    }

    /// A chunked body and its trailers.
    pub(crate) fn chunks(&mut self, stream: &mut dyn Read, answer: &mut Answer) -> io::Result<()> {
        loop {
            let size = self.line(stream)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
            if size == 0 {
                break;
            }
            answer.body.extend(self.exactly(stream, size)?);
            assert_eq!(self.line(stream)?, "", "a chunk ends with a line end");
        }
        loop {
            match self.line(stream)?.as_str() {
                "" => return Ok(()),
                line => answer.trailers.extend(field(line)),
            }
        }
    }

    /// A chunked body and its trailers, chunk lines kept.
    pub(crate) fn raw_chunks(&mut self, stream: &mut dyn Read) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        loop {
            let line = self.line(stream)?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16);
            raw.extend_from_slice(format!("{line}\r\n").as_bytes());
            match size {
                Ok(0) => break,
                Ok(size) => raw.extend(self.exactly(stream, size + 2)?),
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        // The trailer section: the lines up to an empty one.
        loop {
            let line = self.line(stream)?;
            raw.extend_from_slice(format!("{line}\r\n").as_bytes());
            if line.is_empty() {
                return Ok(raw);
            }
        }
    }

    fn line(&mut self, stream: &mut dyn Read) -> io::Result<String> {
        let line = self.until(stream, b"\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// The bytes before `end`, which is taken as well.
    pub(crate) fn until(&mut self, stream: &mut dyn Read, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|window| window == end) {
                let found = self.rest[..at].to_vec();
                self.rest.drain(..at + end.len());
                return Ok(Some(found));
            }
            if self.more(stream)? == 0 {
                assert!(self.rest.is_empty(), "the stream ended within {:?}", String::from_utf8_lossy(&self.rest));
                return Ok(None);
            }
        }
    }

    /// So many bytes.
    pub(crate) fn exactly(&mut self, stream: &mut dyn Read, count: usize) -> io::Result<Vec<u8>> {
        while self.rest.len() < count {
            if self.more(stream)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.rest.drain(..count).collect())
    }

    fn more(&mut self, stream: &mut dyn Read) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let count = stream.read(&mut piece)?;
        self.rest.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}
