//! Fields by which backends are told who a client is. Whichever route sets them, no client sets them on any: routes share backends.

use super::twins;
use crate::proxy::message::{Fields, Name};

/// Their names, of all routes.
#[derive(Debug, Default)]
pub struct Identity(Vec<Box<str>>);

static NONE: Identity = Identity(Vec::new());

impl Identity {
    /// These names, but for those that are a client's to say on routes that do not ask.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let own = |name: &&str| {
            Name::of(name.as_bytes()) != Name::Other
                || ["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str())
        };
        let mut names: Vec<Box<str>> = names.into_iter().filter(|name| !own(name)).map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// No names at all.
    pub fn none() -> &'static Self {
        &NONE
    }

    /// Removes what a client said in the gateway's place.
    pub fn strip(&self, fields: &mut Fields) {
        self.0.iter().for_each(|name| twins::remove(fields, name));
    }

    /// Whether some reader would find one of the names among the fields.
    pub fn is_named(&self, fields: &Fields) -> bool {
        self.0.iter().any(|name| fields.iter().any(|(_, raw, _)| twins::is(raw, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_in_the_gateways_place_goes_in_every_spelling() {
        let identity = Identity::of(["X-User", "Remote-Groups", "Authorization", "cookie", "x-user"]);
        let mut fields = Fields::default();
        for name in
            ["x-user", "X_USER", "remote_groups", "Remote-Groups", "authorization", "cookie", "x-users", "x-use"]
        {
            fields.add(name.as_bytes(), b"v");
        }
        assert!(identity.is_named(&fields));
        identity.strip(&mut fields);
        let left: Vec<&[u8]> = fields.iter().map(|(_, raw, _)| raw).collect();
        assert_eq!(left, [&b"authorization"[..], b"cookie", b"x-users", b"x-use"]);
        assert!(!identity.is_named(&fields) && !Identity::none().is_named(&fields));
    }
}
