//! TOML itself: syntax errors with their place, within bounds that no text can break.

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::files::LARGEST;
use crate::base::place::Place;
use crate::base::settings::Problem;

/// Parts of one dotted key. The parser nests a table for each, and has no bound of its own for them.
const DEEPEST_KEY: usize = 16;
/// Larger texts get their first syntax error only: recovering from each keeps all of them in memory.
const RECOVERED: usize = 256 << 10;
/// Syntax errors told of one file: most come from one slip before them.
const MOST: usize = 10;

/// The tables of `text`, or every syntax error that could be told apart.
pub(super) fn parse(file: u16, text: &str) -> Result<Spanned<DeTable<'_>>, Vec<Problem>> {
    let place = |start: usize, end: usize| {
        let offset = |at: usize| u32::try_from(at.min(text.len())).unwrap_or(u32::MAX);
        Place { file, start: offset(start), end: offset(end) }
    };
    if text.len() > LARGEST {
        return Err(vec![Problem::error(
            place(0, 0),
            "the file is larger than 8 MiB",
            "split it, and name the parts in `include`",
        )]);
    }
    if let Some(at) = too_deep(text) {
        let message = format!("a key has more than {DEEPEST_KEY} parts");
        return Err(vec![Problem::error(
            place(at, at + 1),
            message,
            "no key of this config has more than four: remove the rest",
        )]);
    }
    let first = match DeTable::parse(text) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    let mut errors = vec![first];
    if text.len() <= RECOVERED {
        errors = DeTable::parse_recoverable(text).1;
        errors.truncate(MOST);
    }
    let problem = |error: &Error| {
        let span = error.span().unwrap_or(0..0);
        Problem::error(
            place(span.start, span.end),
            format!("this is not TOML: {}", error.message()),
            advice(error.message()),
        )
    };
    Err(errors.iter().map(problem).collect())
}

/// What to do about an error of the parser.
fn advice(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        return "remove one of them; a second table of one kind is written `[[name]]`";
    }
    if message.contains("quote") || message.contains("string") {
        return "put text into double quotes: name = \"example.com\"";
    }
    "correct the line; a key is written `name = \"text\"`, a table `[name]`, a list of tables `[[name]]`"
}

/// Where a dotted key has too many parts. A small scanner: it skips comments and strings and counts the dots in between.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut dots) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at),
            b'"' | b'\'' => at += string(&bytes[at..], *byte),
            b'.' => {
                dots += 1;
                if dots >= DEEPEST_KEY {
                    return Some(at);
                }
                at += 1;
            }
            b' ' | b'\t' | b'-' | b'_' => at += 1,
            byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => at += 1,
            _ => {
                dots = 0;
                at += 1;
            }
        }
    }
    None
}

/// The length of the string at the start of `bytes`; one that is not closed ends with its line, or with the text.
fn string(bytes: &[u8], quote: u8) -> usize {
    let long = bytes.starts_with(&[quote; 3]);
    let mut at = if long { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 2,
            b'\n' if !long => return at,
            byte if *byte == quote && !long => return at + 1,
            byte if *byte == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_without_end_is_refused_before_it_is_parsed() {
        for deep in [
            "a.".repeat(1 << 20) + "a = 1",
            format!("[{}a]", "a . ".repeat(100)),
            "x = { ".to_owned() + &"\"a\".".repeat(99),
        ] {
            let problems = parse(0, &deep).unwrap_err();
            assert!(problems[0].message.contains("parts"), "{problems:?}");
        }
        let nested = "x = ".to_owned() + &"[".repeat(100_000);
        assert!(parse(0, &nested).is_err());
        let tables = "x = ".to_owned() + &"{ a.b.c.d.e.f.g.h.i.j.k.l.m.n.o = ".repeat(100_000);
        assert!(parse(0, &tables).is_err());
    }

    #[test]
    fn dots_in_text_and_comments_are_no_keys() {
        let text = "# .............................\na = \"....................\"\nb = '''\n...................'''\nc = [1.5, 2.5, 3.5]";
        assert!(parse(0, text).is_ok());
    }

    #[test]
    fn several_errors_are_told_at_once() {
        assert_eq!(parse(0, "a = \nb = 1\nc = 'x\n").unwrap_err().len(), 2);
    }
}
