//! `jwt`: a signed token (RFC 7519) as `Authorization: Bearer` (RFC 6750), held against the keys of its issuer.

use std::collections::HashSet;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use super::credentials::{Said, said};
use super::keys::Keys;
use super::settings::JwtSettings;
use crate::proxy::message::Fields;

/// How many keys one token is held against: a token that names none may fit several.
const MOST_TRIES: usize = 4;

/// One route's.
#[derive(Clone)]
pub struct Jwt {
    keys: Arc<Keys>,
    /// What is asked of a token, by its algorithm.
    validations: Arc<[(Algorithm, Validation)]>,
    realm: Box<str>,
}

/// What is read of a token.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
}

impl Jwt {
    /// What the settings say, with the keys of their file. `realm` is without quotes and backslashes.
    pub fn new(settings: &JwtSettings, keys: Arc<Keys>, realm: &str) -> Self {
        let validation = |algorithm: Algorithm| (algorithm, validation(settings, algorithm));
        Self { keys, validations: settings.algorithms.iter().copied().map(validation).collect(), realm: realm.into() }
    }

    /// The subject of the token in these fields; none where it names none.
    ///
    /// # Errors
    /// Without a token that is good here and now: what the client is told to present, the value of `WWW-Authenticate`.
    pub fn verify(&self, fields: &Fields) -> Result<Option<String>, Vec<u8>> {
        match said(fields, "Bearer") {
            Said::Nothing => Err(self.refused("")),
            Said::Unusable => Err(self.refused(", error=\"invalid_request\"")),
            Said::Value(token) => self.subject(token).ok_or_else(|| self.refused(", error=\"invalid_token\"")),
        }
    }

    fn subject(&self, token: &[u8]) -> Option<Option<String>> {
        let header = decode_header(token).ok()?;
        // Extensions that have to be understood are not (RFC 7515 §4.1.11).
        if header.crit.is_some() {
            return None;
        }
        let (_, validation) = self.validations.iter().find(|(algorithm, _)| *algorithm == header.alg)?;
        let mut keys = self.keys.fitting(header.alg, header.kid.as_deref()).take(MOST_TRIES);
        let claims = keys.find_map(|key| decode::<Claims>(token, &key.decoding, validation).ok())?.claims;
        // It becomes a header field.
        let plain = |subject: &String| !subject.is_empty() && !subject.chars().any(char::is_control);
        claims.sub.as_ref().is_none_or(plain).then_some(claims.sub)
    }

    fn refused(&self, error: &str) -> Vec<u8> {
        format!("Bearer realm=\"{}\"{error}", self.realm).into_bytes()
    }
}

/// Every token has an end. Issuer and audience are there, and right, where the config names them.
fn validation(settings: &JwtSettings, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    let mut required = vec!["exp"];
    validation.leeway = settings.leeway.0.as_secs();
    validation.validate_nbf = true;
    validation.validate_aud = !settings.audience.is_empty();
    let set = |list: &[String]| list.iter().cloned().collect::<HashSet<_>>();
    if !settings.audience.is_empty() {
        required.push("aud");
        validation.aud = Some(set(&settings.audience));
    }
    if !settings.issuer.is_empty() {
        required.push("iss");
        validation.iss = Some(set(&settings.issuer));
    }
    validation.set_required_spec_claims(&required);
    validation
}

#[cfg(test)]
mod tests;
