//! Tokens of HTTP: methods and field names.

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_separators() {
        assert!(is_token("X-Api_Key") && is_token("M-SEARCH"));
        for text in ["", "a b", "a:b", "a,b", "caf\u{e9}", "\"a\""] {
            assert!(!is_token(text), "{text}");
        }
    }
}
