//! What a client says in `Authorization` (RFC 9110 §11.6.2): one field, a scheme and its one value.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::proxy::message::Fields;

/// The longest value that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What was said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Nothing.
    Nothing,
    /// Something that is not of the scheme, or more than one thing.
    Unusable,
    /// The value behind the scheme.
    Value(&'a [u8]),
}

/// The value that stands behind `scheme`.
pub(super) fn said<'a>(fields: &'a Fields, scheme: &str) -> Said<'a> {
    let mut values = fields.values(b"authorization");
    match (values.next(), values.next()) {
        (None, _) => Said::Nothing,
        (Some(_), Some(_)) => Said::Unusable,
        (Some(value), None) => behind(value, scheme).map_or(Said::Unusable, Said::Value),
    }
}

fn behind<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    (name.eq_ignore_ascii_case(scheme.as_bytes()) && !rest.is_empty() && value.len() <= LONGEST).then_some(rest)
}

/// Name and password of `Basic` (RFC 7617): no control characters in either, and the name is text.
pub(super) fn pair(value: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut decoded = BASE64.decode(value).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = decoded.split_off(colon + 1);
    decoded.truncate(colon);
    let name = String::from_utf8(decoded).ok()?;
    let plain = !name.chars().any(char::is_control) && !password.iter().any(u8::is_ascii_control);
    plain.then_some((name, password))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn fields(values: &[&[u8]]) -> Fields {
        let mut fields = Fields::default();
        values.iter().for_each(|value| fields.add(b"Authorization", value));
        fields
    }

    #[test]
    fn one_field_one_scheme_one_value() {
        let long = [b"Basic ".as_slice(), &[b'a'; LONGEST]].concat();
        for (values, expected) in [
            (&[][..], Said::Nothing),
            (&[b"Basic YTpi".as_slice()][..], Said::Value(b"YTpi")),
            (&[b"bASIC  YTpi".as_slice()], Said::Value(b"YTpi")),
            (&[b"Basic YTpi".as_slice(), b"Basic YTpi"], Said::Unusable),
            (&[b"Basic".as_slice()], Said::Unusable),
            (&[b"Basic ".as_slice()], Said::Unusable),
            (&[b"BasicYTpi".as_slice()], Said::Unusable),
            (&[b"Bearer YTpi".as_slice()], Said::Unusable),
            (&[b"".as_slice()], Said::Unusable),
            (&[long.as_slice()], Said::Unusable),
        ] {
            assert_eq!(said(&fields(values), "Basic"), expected);
        }
    }

    #[test]
    fn a_pair_is_split_at_its_first_colon() {
        let pair_of = |bytes: &[u8]| pair(STANDARD.encode(bytes).as_bytes());
        assert_eq!(pair_of(b"a:b:c"), Some(("a".into(), b"b:c".to_vec())));
        assert_eq!(pair_of(":".as_bytes()), Some((String::new(), Vec::new())));
        assert_eq!(pair_of("\u{e9}:\u{e9}".as_bytes()), Some(("\u{e9}".into(), "\u{e9}".as_bytes().to_vec())));
        assert_eq!(pair(b"YTpi"), Some(("a".into(), b"b".to_vec())));
        assert_eq!(pair(b"YTpiYg"), Some(("a".into(), b"bb".to_vec())), "without padding");
        for bytes in [&b"ab"[..], b"", b"a\n:b", b"a:b\0", b"\xff:b"] {
            assert_eq!(pair_of(bytes), None, "{bytes:?}");
        }
        assert_eq!(pair(b"not base64!"), None);
    }

    #[test]
    fn no_bytes_panic() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..20_000 {
            let value: Vec<u8> =
                (0..random.usize(0..24)).map(|_| *random.choice(b"Basic BearYTpi=+/:\xff\0.").unwrap()).collect();
            let fields = fields(&[&value]);
            if let Said::Value(value) = said(&fields, "Basic") {
                let _ = pair(value);
            }
            let _ = pair(&value);
        }
    }
}
