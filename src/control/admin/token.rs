//! The bearer token and its file.

use std::path::Path;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use subtle::ConstantTimeEq;

use crate::base::secret::{self, Kind, SecretError};

const KIND: Kind = Kind {
    name: "admin token",
    unread: ", or name another file (admin.token_file, `status --token-file`)",
    unmade: " or set admin.token_file",
};

/// The token that opens the admin API.
#[derive(Clone)]
pub struct Token {
    text: String,
    digest: Digest,
}

impl Token {
    /// Reads the token from `path`; where there is no file, makes one: 256 random bits, for the owner only.
    ///
    /// # Errors
    /// Where the file can be neither read nor made, is open to other users, or holds no token.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        secret::load_or_create(KIND, path).map(Self::of)
    }

    /// Reads the token from `path`.
    ///
    /// # Errors
    /// Where the file cannot be read, is open to other users, or holds no token.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        secret::load(KIND, path).map(Self::of)
    }

    fn of(text: String) -> Self {
        Self { digest: digest(&SHA256, text.as_bytes()), text }
    }

    /// Whether `presented` is this token, in a time that says nothing of where they differ.
    pub fn matches(&self, presented: &[u8]) -> bool {
        digest(&SHA256, presented).as_ref().ct_eq(self.digest.as_ref()).into()
    }

    /// The token itself, for a client that presents it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_matches() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| Token::load_or_create(&folder.path().join(name)).unwrap();
        let (token, other) = (make("admin.token"), make("other.token"));
        assert!(token.matches(token.reveal().as_bytes()) && !token.matches(other.reveal().as_bytes()));
        assert!(!token.matches(b"") && !token.matches(&token.reveal().as_bytes()[1..]));
        assert_eq!(Token::load(&folder.path().join("admin.token")).unwrap().reveal(), token.reveal());
    }
}
