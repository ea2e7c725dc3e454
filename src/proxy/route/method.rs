//! Methods.

/// The methods that a route serves.
#[derive(Debug)]
pub(super) struct Methods(Box<[String]>);

impl Methods {
    /// Any of `methods`; any method at all where it is empty.
    pub(super) fn new(methods: Vec<String>) -> Self {
        Self(methods.into())
    }

    /// Whether every method will do.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// The methods; none where every one will do.
    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether `method` will do; compared with case, as RFC 9110 §9.1 has it.
    pub(super) fn match_method(&self, method: &[u8]) -> bool {
        self.is_any() || self.0.iter().any(|served| served.as_bytes() == method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_compare_with_case_and_stand_for_themselves() {
        let methods = Methods::new(vec!["GET".into(), "POST".into()]);
        for (method, expected) in [("GET", true), ("POST", true), ("get", false), ("HEAD", false), ("", false)] {
            assert_eq!(methods.match_method(method.as_bytes()), expected, "{method}");
        }
        assert!(Methods::new(Vec::new()).match_method(b"ANYTHING"));
    }
}
