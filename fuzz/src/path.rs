//! The deciding path: one decision for all spellings of a path, and no reader behind us finds another path in it.

use portcullis::proxy::http::Deciding;
use portcullis::proxy::message::Request;
use portcullis::proxy::policy::Rewrite;

use super::oracle::meaning::shown;

/// `bytes` are a raw path.
pub fn run(bytes: &[u8]) {
    let Ok(deciding) = Deciding::of(bytes) else { return };
    is_normal(bytes, deciding.as_str());
    let again = Deciding::of(deciding.as_str().as_bytes());
    assert_eq!(again.as_ref().map(Deciding::as_str), Ok(deciding.as_str()), "{}", shown(bytes));
    twins_decide_alike(bytes, &deciding);
    others_read_the_same(bytes, &deciding);
    rewrites_keep_the_rest(bytes, deciding.as_str());
}

/// What the type promises.
fn is_normal(bytes: &[u8], path: &str) {
    let shown = shown(bytes);
    assert!(path.starts_with('/') && path.is_ascii() && !path.contains("//"), "{shown} {path}");
    assert!(!path.bytes().any(|byte| byte.is_ascii_control() || b" \\?#\"<>^`{|}".contains(&byte)), "{shown} {path}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{shown} {path}");
    for (at, _) in path.match_indices('%') {
        let digits = path.get(at + 1..at + 3).unwrap();
        let octet = u8::from_str_radix(digits, 16).unwrap();
        assert_eq!(digits, digits.to_uppercase(), "{shown} {path}");
        let unreserved = octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
        assert!(!unreserved && octet != b'\\' && !octet.is_ascii_control(), "{shown} {path}");
    }
}

/// Other spellings of one path decide alike, or are refused.
fn twins_decide_alike(bytes: &[u8], deciding: &Deciding<'_>) {
    let lower = with_escapes(bytes, |digits| digits.make_ascii_lowercase());
    let upper = with_escapes(bytes, |digits| digits.make_ascii_uppercase());
    for twin in [lower, upper] {
        assert_eq!(Deciding::of(&twin).as_ref(), Ok(deciding), "{} {}", shown(bytes), shown(&twin));
    }
    let mut encoded = Vec::new();
    let mut skip = 0;
    for byte in bytes {
        if *byte == b'%' {
            skip = 3;
        }
        if skip == 0 && (byte.is_ascii_alphanumeric() || b"-_~".contains(byte)) {
            encoded.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            encoded.push(*byte);
        }
        skip = usize::max(skip, 1) - 1;
    }
    assert_eq!(Deciding::of(&encoded).as_ref(), Ok(deciding), "{} {}", shown(bytes), shown(&encoded));
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for at in slashes.take(8) {
        let doubled = [&bytes[..at], b"/", &bytes[at..]].concat();
        if let Ok(twin) = Deciding::of(&doubled) {
            assert_eq!(twin, *deciding, "{} {}", shown(bytes), shown(&doubled));
        }
    }
}

/// The path with the digits of its escapes changed.
fn with_escapes(bytes: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut twin = bytes.to_vec();
    for at in 0..twin.len() {
        if twin[at] == b'%' {
            let end = twin.len().min(at + 3);
            change(&mut twin[at + 1..end]);
        }
    }
    twin
}

/// Readers of other habits arrive at the same path: those that decode first, resolve first, keep empty segments, or cut
/// parameters off. An encoded slash is one to all of them: where a route lets it pass, it must not change what is climbed.
fn others_read_the_same(bytes: &[u8], deciding: &Deciding<'_>) {
    let path = deciding.as_str().as_bytes();
    let shown = || format!("{} {}", shown(bytes), deciding.as_str());
    let expected = segments(&decoded(path));
    assert_eq!(resolved(&segments(&decoded(bytes))).as_ref(), Some(&expected), "decodes first: {}", shown());
    let found = resolved(&segments(bytes)).map(|kept| segments(&decoded(&kept.join(&b'/'))));
    assert_eq!(found.as_ref(), Some(&expected), "resolves first: {}", shown());
    assert_eq!(resolved_unmerged(&decoded(bytes)).as_ref(), Some(&expected), "keeps empty segments: {}", shown());
    let cut = segments(&decoded(&without_parameters(path)));
    let found = resolved(&segments(&decoded(&without_parameters(bytes))));
    assert_eq!(found.as_ref(), Some(&cut), "cuts parameters: {}", shown());
    let cut = segments(&without_parameters(&decoded(path)));
    let found = resolved(&segments(&without_parameters(&decoded(bytes))));
    assert_eq!(found.as_ref(), Some(&cut), "decodes, then cuts parameters: {}", shown());
    assert!(deciding.has_encoded_slash() == path.windows(3).any(|escape| escape == b"%2F"), "{}", shown());
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let escape = rest.get(1..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (rest, _) = match (byte, escape) {
            (b'%', Some(octet)) => (&rest[3..], out.push(octet)),
            _ => (after, out.push(*byte)),
        };
    }
    out
}

/// Every segment up to its `;`.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let cut = |segment: &[u8]| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
    path.split(|byte| *byte == b'/').map(cut).collect::<Vec<_>>().join(&b'/')
}

/// The segments, empty ones left out.
fn segments(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).map(<[u8]>::to_vec).collect()
}

/// With dot segments resolved; none where they lead above the root.
fn resolved(segments: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let mut kept = Vec::new();
    for segment in segments {
        match segment.as_slice() {
            b"." => {}
            b".." => drop(kept.pop()?),
            _ => kept.push(segment.clone()),
        }
    }
    Some(kept)
}

/// The same for readers to whom an empty segment is one (RFC 3986 §5.2.4), merged afterwards.
fn resolved_unmerged(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let all: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').skip(1).map(<[u8]>::to_vec).collect();
    resolved(&all).map(|kept| kept.into_iter().filter(|segment| !segment.is_empty()).collect())
}

/// A prefix that is taken off leaves the rest of the deciding path, whoever reads it.
fn rewrites_keep_the_rest(bytes: &[u8], deciding: &str) {
    let Some(first) = deciding[1..].split('/').next().filter(|first| !first.is_empty()) else { return };
    let mut request = Request::default();
    request.rewrite_target(bytes);
    if Rewrite::strip(&format!("/{first}")).apply(&mut request, deciding).is_err() {
        return;
    }
    let rest = deciding[1 + first.len()..].trim_start_matches('/');
    let found = Deciding::of(request.target());
    let expected = format!("/{rest}");
    assert_eq!(found.as_ref().map(Deciding::as_str), Ok(expected.as_str()), "{}", shown(bytes));
    assert!(!request.target().starts_with(b"//"), "{}", shown(bytes));
}
