//! The keys of a `jwks_file`: a JSON Web Key Set (RFC 7517), each key for the algorithms of its own kind.

use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::file::{Broken, read};

/// The most keys in one set.
const MOST: usize = 256;
/// The longest name of a key that a message shows, in bytes.
const LONGEST_SHOWN: usize = 64;
/// The shortest secret for HMAC, in bytes (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// The usable keys of a file; one at least.
pub struct Keys(Vec<Key>);

/// One of them.
pub(super) struct Key {
    pub(super) id: Option<String>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of a key is in it.
    pub fn load(path: &Path) -> Result<(Self, [u8; 32]), Broken> {
        let bytes = read(path)?;
        Ok((Self::parse(path, &bytes)?, super::digest(&bytes)))
    }

    /// The same of a text that is in memory; the path only names it in errors.
    ///
    /// # Errors
    /// As [`Keys::load`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Broken> {
        let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| {
            let what = format!(
                "not a JSON Web Key Set (line {}, column {}); write {{ \"keys\": [ … ] }} as the issuer gives it",
                error.line(),
                error.column()
            );
            Broken::file(path, what)
        })?;
        if set.keys.len() > MOST {
            return Err(Broken::file(path, format!("{} keys in it; keep it to {MOST} at most", set.keys.len())));
        }
        let mut keys = Vec::new();
        for (number, jwk) in (1..).zip(&set.keys) {
            let id = jwk.common.key_id.as_ref().filter(|id| id.len() <= LONGEST_SHOWN);
            let named = || id.map_or_else(|| format!("key {number}"), |id| format!("key `{id}`"));
            match key(jwk) {
                Ok(key) => keys.extend(key),
                Err(what) => return Err(Broken::file(path, format!("{}: {what}", named()))),
            }
        }
        match keys.is_empty() {
            true => Err(Broken::file(
                path,
                "no key in it that signatures can be checked with; write an EC, RSA, OKP or oct key",
            )),
            false => Ok(Self(keys)),
        }
    }

    /// The keys that a token with this `kid` may be signed with.
    pub(super) fn fitting<'k>(&'k self, algorithm: Algorithm, id: Option<&'k str>) -> impl Iterator<Item = &'k Key> {
        self.0.iter().filter(move |key| key.is_for(algorithm) && (id.is_none() || key.id.as_deref() == id))
    }
}

impl Key {
    /// A public key is never taken for a secret: each is for the algorithms of its kind.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.decoding.family() == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// The key; none where it is of a kind that is not for signatures, which others may use.
fn key(jwk: &Jwk) -> Result<Option<Key>, &'static str> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption))
        || matches!(jwk.algorithm, AlgorithmParameters::Other(_))
    {
        return Ok(None);
    }
    let algorithm = match jwk.common.key_algorithm.map(|named| named.to_string().parse()) {
        None => None,
        Some(Ok(algorithm)) => Some(algorithm),
        // For encryption, or one that is not supported.
        Some(Err(_)) => return Ok(None),
    };
    let broken = "it is cut off or broken; write it as the issuer gives it";
    let decoding = DecodingKey::from_jwk(jwk).map_err(|_| broken)?;
    if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_))
        && decoding.try_get_as_bytes().map_err(|_| broken)?.len() < SHORTEST_SECRET
    {
        return Err("the secret is shorter than 32 bytes; make a longer one: `openssl rand 32`");
    }
    Ok(Some(Key { id: jwk.common.key_id.clone(), algorithm, decoding }))
}
