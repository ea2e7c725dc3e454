//! Chunked transfer coding (RFC 9112 §7.1), decoding. Strict: CRLF only, sizes in hex digits only, extensions dropped and
//! bounded.

/// The longest chunk-size line, with its extensions.
const LONGEST_LINE: usize = 1024;

/// All the extension bytes of one body together: beyond this they are an attack.
const MOST_EXTENSION: usize = 16 << 10;

/// Where in a chunked body the decoder is.
#[derive(Clone, Copy, Debug)]
pub struct Chunked {
    state: State,
    extension: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What the next bytes of a chunked body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This many bytes of data follow.
    Data(u64),
    /// The last chunk has passed: trailer lines and an empty line follow.
    Trailers,
    /// More input is needed to say.
    More,
}

/// The body breaks the grammar or the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size, extension: 0 }
    }
}

impl Chunked {
    /// Reads framing at the front of `input`: what follows, and how many bytes of framing it took.
    pub fn next(&mut self, input: &[u8]) -> Result<(Next, usize), Broken> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                State::Data(left) => return Ok((Next::Data(left), used)),
                State::Trailers => return Ok((Next::Trailers, used)),
                State::DataEnd => {
                    if !b"\r\n".starts_with(&rest[..rest.len().min(2)]) {
                        return Err(Broken);
                    }
                    if rest.len() < 2 {
                        return Ok((Next::More, used));
                    }
                    used += 2;
                    self.state = State::Size;
                }
                State::Size => match self.size_line(rest)? {
                    Some(length) => used += length,
                    None => return Ok((Next::More, used)),
                },
            }
        }
    }

    /// Notes that `count` bytes of the announced data were taken.
    pub fn took(&mut self, count: u64) {
        if let State::Data(left) = self.state {
            self.state = if left == count { State::DataEnd } else { State::Data(left - count) };
        }
    }

    fn size_line(&mut self, input: &[u8]) -> Result<Option<usize>, Broken> {
        let Some(end) = memchr::memchr(b'\n', input) else {
            // A CR behind the longest line may be the start of its end.
            return if input.len() > LONGEST_LINE + 1 { Err(Broken) } else { Ok(None) };
        };
        let line = input[..end].strip_suffix(b"\r").ok_or(Broken)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = &line[digits..];
        self.extension += extension.len();
        if digits == 0 || digits > 15 || line.len() > LONGEST_LINE || self.extension > MOST_EXTENSION {
            return Err(Broken);
        }
        if !extension.is_empty() && !is_extension(extension) {
            return Err(Broken);
        }
        let size = line[..digits].iter().fold(0, |size, digit| size << 4 | hex(*digit));
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        Ok(Some(end + 1))
    }
}

/// `;` after optional blanks, and no control bytes.
fn is_extension(bytes: &[u8]) -> bool {
    let trimmed = bytes.trim_ascii_start();
    trimmed.first() == Some(&b';') && bytes.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

fn hex(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &[u8]) -> Result<Vec<u8>, Broken> {
        let (mut chunked, mut at, mut data) = (Chunked::default(), 0, Vec::new());
        loop {
            let (next, used) = chunked.next(&body[at..])?;
            at += used;
            match next {
                Next::Data(size) => {
                    let take = (size as usize).min(body.len() - at);
                    if take == 0 {
                        return Ok(data);
                    }
                    data.extend_from_slice(&body[at..at + take]);
                    chunked.took(take as u64);
                    at += take;
                }
                Next::Trailers | Next::More => return Ok(data),
            }
        }
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(decode(b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n").unwrap(), b"abc0123456789");
    }

    #[test]
    fn what_readers_could_differ_on_is_broken() {
        for body in [
            &b"3\nabc\r\n0\r\n\r\n"[..],
            b"3\r\nabc\n0\r\n\r\n",
            b"3\r\nabcd\r\n",
            b"0x3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"-1\r\n",
            b"\r\n",
            b"g\r\n",
            b"10000000000000003\r\nabc\r\n",
            b"3;a\nb\r\nabc\r\n",
            b"3;a\rb\r\nabc\r\n",
            b"3\rabc\r\n",
        ] {
            assert_eq!(decode(body), Err(Broken), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn extensions_are_bounded() {
        let line = format!("1;{}\r\nx\r\n", "e".repeat(1000));
        assert_eq!(decode(line.repeat(15).as_bytes()).map(|data| data.len()), Ok(15));
        assert_eq!(decode(line.repeat(20).as_bytes()), Err(Broken));
        assert_eq!(decode(format!("1;{}", "e".repeat(2000)).as_bytes()), Err(Broken));
    }

    #[test]
    fn the_longest_line_may_arrive_in_pieces() {
        let line = format!("1;{}\r\n", "e".repeat(LONGEST_LINE - 2));
        for length in 0..line.len() {
            assert_eq!(Chunked::default().next(&line.as_bytes()[..length]), Ok((Next::More, 0)), "{length}");
        }
        assert_eq!(Chunked::default().next(line.as_bytes()), Ok((Next::Data(1), line.len())));
    }
}
