//! Fields that keep browsers careful with an answer, for routes whose backends do not say them.

use crate::proxy::message::Fields;

/// No guessing of types, no framing by other origins, no paths told to other origins.
const SAFE: [(&[u8], &[u8]); 3] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
];

/// Adds those that are not there.
pub(super) fn add_missing(fields: &mut Fields) {
    for (name, value) in SAFE {
        if fields.values(name).next().is_none() {
            fields.add(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_backend_says_stays() {
        let mut fields = Fields::default();
        fields.add(b"X-Frame-Options", b"DENY");
        add_missing(&mut fields);
        assert_eq!(fields.values(b"x-frame-options").collect::<Vec<_>>(), [b"DENY"]);
        assert_eq!(fields.values(b"x-content-type-options").collect::<Vec<_>>(), [b"nosniff"]);
        assert_eq!(fields.len(), 3);
    }
}
