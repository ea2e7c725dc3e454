//! What clients of protected routes present, and the files that it is held against.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// A line of a `basic_file`: argon2id, with little cost.
pub(crate) fn user(name: &str, password: &str) -> String {
    let params = Params::new(64, 1, 1, Some(32)).unwrap();
    let mut hash = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.as_bytes(), b"saltsalt", &mut hash).unwrap();
    let (salt, hash) = (STANDARD_NO_PAD.encode(b"saltsalt"), STANDARD_NO_PAD.encode(hash));
    format!("{name}:$argon2id$v=19$m=64,t=1,p=1${salt}${hash}\n")
}

/// The same with bcrypt of this cost.
pub(crate) fn user_of_bcrypt(name: &str, password: &str, cost: u32) -> String {
    let hash = bcrypt::hash_with_salt(password, cost, *b"sixteen bytes of").unwrap();
    format!("{name}:{}\n", hash.format_for_version(bcrypt::Version::TwoY))
}

/// The line `Authorization: Basic …`.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

/// Who signs tokens.
pub(crate) struct Issuer {
    id: String,
    key: EncodingKey,
    jwk: Value,
}

impl Issuer {
    /// One whose only key is called `id`, for ES256.
    pub(crate) fn called(id: &str) -> Self {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        Self { id: id.to_owned(), key: EncodingKey::from_ec_der(der.as_ref()), jwk }
    }

    /// Its `jwks_file`.
    pub(crate) fn keys(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(jsonwebtoken::Algorithm::ES256) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// The line `Authorization: Bearer …` with a token that is good for a while, and these claims too.
    pub(crate) fn bearer(&self, more: &Value) -> String {
        let mut claims = json!({"sub": "ann", "exp": in_seconds(100)});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("Authorization: Bearer {}\r\n", self.token(&claims))
    }
}

/// So many seconds from now, as tokens have it.
pub(crate) fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() + seconds
}
