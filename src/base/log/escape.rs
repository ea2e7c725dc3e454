//! Values in log lines: whatever a client sends, it stays within its field and its line.

/// The longest a single value gets, in bytes before escaping. What is cut ends in `...`.
pub(super) const LONGEST: usize = 2048;

/// Which bytes stay as they are between quotes.
const PLAIN: [bool; 256] = table(b"\"\\");

const HEX: &[u8; 16] = b"0123456789abcdef";

/// For text lines, between double quotes: everything but printable ASCII becomes `\xHH`.
pub(super) fn text(value: &[u8], out: &mut Vec<u8>) {
    if is_plain::<false>(value) {
        return out.extend_from_slice(value);
    }
    let (value, cut) = bounded(value);
    runs(
        value,
        |byte| !PLAIN[usize::from(byte)],
        out,
        |byte, out| match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            _ => out.extend([b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        },
    );
    out.extend_from_slice(cut);
}

/// For text lines, as a whole word: bare where it is plain, else between quotes; `-` where it is empty.
pub(super) fn word(value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        out.push(b'-');
    } else if is_plain::<true>(value) {
        out.extend_from_slice(value);
    } else {
        out.push(b'"');
        text(value, out);
        out.push(b'"');
    }
}

/// For people, outside quotes: letters of any script stay, what could break or disguise the line becomes `\u{H}`.
pub(super) fn message(value: &str, out: &mut Vec<u8>) {
    let (bytes, cut) = bounded(value.as_bytes());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if unsafe_to_show(character) {
                out.extend(character.escape_unicode().map(|part| part as u8));
            } else {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    out.extend_from_slice(cut);
}

/// For people, as the value of a field: bare where it is one plain word, else between quotes.
pub(super) fn value(value: &str, out: &mut Vec<u8>) {
    let quoted = value.is_empty()
        || value.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || unsafe_to_show(c));
    if !quoted {
        return message(value, out);
    }
    out.push(b'"');
    if value.contains(['"', '\\']) {
        message(&value.replace('\\', "\\\\").replace('"', "\\\""), out);
    } else {
        message(value, out);
    }
    out.push(b'"');
}

/// A JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn json(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let (value, cut) = bounded(value);
    if value.is_ascii() {
        runs(value, |byte| !PLAIN[usize::from(byte)], out, |byte, out| json_special(char::from(byte), out));
    } else {
        for chunk in value.utf8_chunks() {
            for character in chunk.valid().chars() {
                if matches!(character, '"' | '\\') || unsafe_to_show(character) {
                    json_special(character, out);
                } else {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    out.extend_from_slice(cut);
    out.push(b'"');
}

/// Printable ASCII but for these.
const fn table(special: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        table[byte as usize] = true;
        byte += 1;
    }
    let mut index = 0;
    while index < special.len() {
        table[special[index] as usize] = false;
        index += 1;
    }
    table
}

fn json_special(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(*unit >> shift & 15)]));
            }
        }
    }
}

/// Control characters, line separators, and the marks that reorder or hide text on a terminal.
fn unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a value stays as it is, between quotes or as a bare word: nearly all do. Bytes are told in blocks, without a branch
/// for each, because every byte of every line is.
fn is_plain<const WORD: bool>(value: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let plain = |byte: u8| {
        let shown = (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
        shown & !(WORD & ((byte == b' ') | (byte == b'=')))
    };
    let all_plain = |block: &[u8; BLOCK]| block.iter().fold(true, |all, byte| all & plain(*byte));
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    let mut last = [b'a'; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    value.len() <= LONGEST && blocks.iter().all(all_plain) && all_plain(&last)
}

/// Copies the stretches without special bytes whole.
fn runs(value: &[u8], special: impl Fn(u8) -> bool, out: &mut Vec<u8>, escape: impl Fn(u8, &mut Vec<u8>)) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| special(*byte)) {
        out.extend_from_slice(&rest[..at]);
        escape(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn bounded(value: &[u8]) -> (&[u8], &'static [u8]) {
    match value.get(..LONGEST) {
        Some(start) if value.len() > LONGEST => (start, b"..."),
        _ => (value, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(escape: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        escape(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_every_byte_within_its_quotes() {
        assert_eq!(of(|out| text(b"a\"b\\c\nd\x1b[31m\x7f\xc3\xa9", out)), r#"a\"b\\c\x0ad\x1b[31m\x7f\xc3\xa9"#);
        assert_eq!(of(|out| word(b"example.com:8443", out)), "example.com:8443");
        assert_eq!(of(|out| word(b"a b=c", out)), "\"a b=c\"");
        assert_eq!(of(|out| word(b"", out)), "-");
    }

    #[test]
    fn people_see_letters_but_no_tricks() {
        assert_eq!(of(|out| message("é\r\nx\u{202e}y", out)), "é\\u{d}\\u{a}x\\u{202e}y");
        assert_eq!(of(|out| value("plain", out)), "plain");
        assert_eq!(of(|out| value("say \"x\\\"", out)), r#""say \"x\\\"""#);
        assert_eq!(of(|out| value("a\n2026 ERROR forged", out)), r#""a\u{a}2026 ERROR forged""#);
    }

    #[test]
    fn json_can_be_read_back() {
        for text in ["", "plain", "q\"\\\n\t\r\u{0}\u{1b}", "é\u{85}\u{2028}\u{1f600}\"", "\u{e0001}"] {
            let line = of(|out| json(text.as_bytes(), out));
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
            assert!(!line.chars().any(unsafe_to_show), "{line:?}");
        }
        assert_eq!(of(|out| json(b"\xff\xc3\xa9\xc3", out)), "\"\u{fffd}é\u{fffd}\"");
    }

    #[test]
    fn long_values_are_cut() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(of(|out| text(long.as_bytes(), out)).len(), LONGEST + 3);
        assert!(of(|out| json(long.as_bytes(), out)).ends_with("x...\""));
        assert_eq!(of(|out| word(&long.as_bytes()[1..], out)).len(), LONGEST);
        let split = format!("{}é", "x".repeat(LONGEST - 1));
        assert!(of(|out| message(&split, out)).ends_with("x..."));
    }
}
