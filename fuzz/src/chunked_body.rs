//! The chunked decoder against one written from the grammar, however the bytes arrive.

use portcullis::proxy::http::h1::stream::TRAILERS;

use super::oracle::gateway::Chunks;
use super::oracle::meaning::{Body, List, shown, sorted};

/// The first byte says in which pieces the rest arrives.
pub fn run(bytes: &[u8]) {
    let Some((step, input)) = bytes.split_first() else { return };
    let step = usize::from(*step).max(1);
    let expected = reference(input);
    let mut chunks = Chunks::default();
    let mut ended = Ok(None);
    for length in (0..input.len()).step_by(step).chain([input.len()]) {
        ended = chunks.advance(&input[..length]);
        if ended != Ok(None) {
            break;
        }
    }
    let found = chunks.body();
    match (expected, ended) {
        (Ok((body, used)), Ok(end)) => {
            assert_eq!(found, body, "{step} {}", shown(input));
            assert_eq!(end.is_some(), found.whole, "{step} {}", shown(input));
            assert!(end.is_none_or(|end| end == used), "{step} {}", shown(input));
        }
        (Err(()), Err(_)) => {}
        (expected, ended) => panic!("expected {expected:?}, found {ended:?} {found:?}: {step} {}", shown(input)),
    }
}

/// The longest chunk-size line, and all extensions together.
const LIMITS: (usize, usize) = (1024, 16 << 10);

/// The body and how many bytes it took; not whole where the input ends within it.
fn reference(input: &[u8]) -> Result<(Body, usize), ()> {
    let mut body = Body::default();
    let mut extensions = 0;
    let mut at = 0;
    loop {
        let Some(line) = line(&input[at..], LIMITS.0)? else { return Ok((body, at)) };
        at += line.len() + 2;
        let digits = line.split(|byte| *byte == b';' || is_blank(byte)).next().unwrap_or_default();
        let extension = &line[digits.len()..];
        let text = std::str::from_utf8(digits).map_err(drop)?;
        if !(1..=15).contains(&text.len()) || text.starts_with('+') {
            return Err(());
        }
        let size = usize::from_str_radix(text, 16).map_err(drop)?;
        extensions += extension.len();
        let starts = extension.iter().find(|byte| !is_blank(byte));
        let clean = extension.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        if extensions > LIMITS.1 || !clean || (!extension.is_empty() && starts != Some(&b';')) {
            return Err(());
        }
        if size == 0 {
            return trailers(input, at, body);
        }
        let data = &input[at..];
        let data = &data[..data.len().min(size)];
        body.data.extend_from_slice(data);
        at += data.len();
        if data.len() < size {
            return Ok((body, at));
        }
        match &input[at..] {
            [] | [b'\r'] => return Ok((body, at)),
            [b'\r', b'\n', ..] => at += 2,
            _ => return Err(()),
        }
    }
}

/// The next line without its CRLF, which may hold no other LF.
fn line(input: &[u8], longest: usize) -> Result<Option<&[u8]>, ()> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        // A CR behind the longest line may be the start of its end.
        return if input.len() > longest + 1 { Err(()) } else { Ok(None) };
    };
    let line = input[..end].strip_suffix(b"\r").ok_or(())?;
    if line.len() > longest { Err(()) } else { Ok(Some(line)) }
}

fn trailers(input: &[u8], start: usize, mut body: Body) -> Result<(Body, usize), ()> {
    let mut fields = List::new();
    let mut lines = Vec::new();
    let mut at = start;
    loop {
        let Some(line) = line(&input[at..], usize::MAX - 1)? else {
            let longest = TRAILERS.fields_size;
            return if input.len() - start > longest { Err(()) } else { Ok((body, at)) };
        };
        at += line.len() + 2;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(())?;
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
        if name.is_empty() || !name.iter().all(token) || !value.iter().all(text) {
            return Err(());
        }
        fields.push((name.to_vec(), value.to_vec()));
    }
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if fields.len() > TRAILERS.fields || size > TRAILERS.fields_size {
        return Err(());
    }
    body.trailers = sorted(fields);
    body.whole = true;
    Ok((body, at))
}

/// Without the blanks at both ends.
fn trimmed(value: &[u8]) -> &[u8] {
    let kept = |byte: &u8| !is_blank(byte);
    match (value.iter().position(kept), value.iter().rposition(kept)) {
        (Some(first), Some(last)) => &value[first..=last],
        _ => b"",
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
