//! W3C Trace Context: `traceparent` is passed on where it is well formed, and started where it is not there.

use crate::proxy::http::forwarded::RequestIds;
use crate::proxy::message::{Fields, Name};

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// Leaves exactly one well-formed `traceparent`. A new one begins a trace, to which no `tracestate` belongs. It says that the trace
/// is sampled: a backend that samples by its parent would otherwise never record what came through here.
pub fn pass_on_or_start(fields: &mut Fields, ids: &mut RequestIds) {
    let mut all = fields.all(Name::Traceparent);
    let well = all.next().is_some_and(is_well_formed) && all.next().is_none();
    drop(all);
    if well {
        return;
    }
    let (trace, parent) = (ids.next_id(), ids.next_half());
    fields.remove(Name::Tracestate);
    fields.set_written(Name::Traceparent, |value| {
        [&b"00-"[..], &trace, b"-", &parent, b"-01"].iter().for_each(|part| value.extend_from_slice(part));
    });
}

/// `version-trace-parent-flags` in lower-case hex (W3C Trace Context §3.2). Of later versions only the beginning is known.
fn is_well_formed(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(LENGTH) else { return false };
    let parts = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let some = |part: &[u8]| part.iter().any(|byte| *byte != b'0');
    let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let version = parts.0 != b"ff" && if parts.0 == b"00" { rest.is_empty() } else { matches!(rest, [] | [b'-', ..]) };
    dashes && version && [parts.0, parts.1, parts.2, parts.3].into_iter().all(hex) && some(parts.1) && some(parts.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn passed(values: &[&str]) -> (String, usize) {
        let mut fields = Fields::default();
        values.iter().for_each(|value| fields.add(b"Traceparent", value.as_bytes()));
        fields.add(b"tracestate", b"a=1");
        pass_on_or_start(&mut fields, &mut RequestIds::new(fastrand::Rng::with_seed(7)));
        assert_eq!(fields.all(Name::Traceparent).count(), 1);
        let value = String::from_utf8(fields.first(Name::Traceparent).unwrap().to_vec()).unwrap();
        (value, fields.values(b"tracestate").count())
    }

    #[test]
    fn a_well_formed_one_is_passed_on() {
        for value in [GOOD, "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"] {
            assert_eq!(passed(&[value]), (value.to_owned(), 1));
        }
    }

    #[test]
    fn any_other_is_replaced() {
        for values in [
            &[][..],
            &[""],
            &[GOOD, GOOD],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"],
        ] {
            let (value, states) = passed(values);
            assert!(is_well_formed(value.as_bytes()) && states == 0, "{values:?} became {value}");
            assert!(!values.contains(&value.as_str()));
        }
    }
}
