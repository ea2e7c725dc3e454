//! Fields that only the gateway may set: the client's own go, and their twins for readers that take underscores for dashes.

use crate::proxy::message::{Fields, Name};

/// Removes every field that some reader would take for `name`.
pub(super) fn remove(fields: &mut Fields, name: &str) {
    fields.retain(|_, raw, _| !is(raw, name));
}

/// Whether some reader would take the one name for the other.
pub(super) fn is(raw: &[u8], name: &str) -> bool {
    raw.len() == name.len() && Name::twin_begins(raw, name.replace('_', "-").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_goes_and_nothing_else() {
        for name in ["X-Auth-User", "x_auth_user"] {
            let mut fields = Fields::default();
            for raw in ["x-auth-user", "X_Auth_User", "X-AUTH_USER", "X-Auth-Users", "X-Auth", "XAuthUser"] {
                fields.add(raw.as_bytes(), b"1");
            }
            remove(&mut fields, name);
            let left: Vec<&[u8]> = fields.iter().map(|(_, raw, _)| raw).collect();
            assert_eq!(left, [&b"X-Auth-Users"[..], b"X-Auth", b"XAuthUser"]);
        }
    }
}
