//! `jwt`: a signed token (RFC 7519) as `Authorization: Bearer` (RFC 6750), held against the keys of its issuer.

use std::collections::HashSet;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use super::credentials::{Said, said};
use super::keys::Keys;
use super::remote::Remote;
use super::settings::JwtSettings;
use crate::proxy::balance::Pool;
use crate::proxy::message::Fields;

/// How many keys one token is held against: a token that names none may fit several.
const MOST_TRIES: usize = 4;

/// One route's.
#[derive(Clone)]
pub struct Jwt {
    keys: Source,
    /// What is asked of a token, by its algorithm.
    validations: Arc<[(Algorithm, Validation)]>,
    realm: Box<str>,
}

/// Where the keys are.
#[derive(Clone)]
pub enum Source {
    /// In a file that was read.
    File(Arc<Keys>),
    /// Where they are fetched.
    Remote(Remote),
}

/// Why a token is not good enough. With what the client is told to present: the value of `WWW-Authenticate`.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is none, or it is not good.
    Bad(Vec<u8>),
    /// It names a key that is not among those that are known.
    UnknownKey(Vec<u8>),
    /// No keys are known yet.
    NoKeys,
}

/// What is read of a token.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
}

impl Jwt {
    /// What the settings say, with their keys. `realm` is without quotes and backslashes.
    pub fn new(settings: &JwtSettings, keys: Source, realm: &str) -> Self {
        let validation = |algorithm: Algorithm| (algorithm, validation(settings, algorithm));
        Self { keys, validations: settings.algorithms.iter().copied().map(validation).collect(), realm: realm.into() }
    }

    /// Where its keys are fetched, where they are.
    pub fn remote(&self) -> Option<&Remote> {
        match &self.keys {
            Source::Remote(remote) => Some(remote),
            Source::File(_) => None,
        }
    }

    /// The same with what `now` makes of the pool of its keys.
    pub(super) fn map(&self, now: impl FnOnce(&Arc<Pool>) -> Arc<Pool>) -> Self {
        match &self.keys {
            Source::Remote(remote) => Self { keys: Source::Remote(remote.map(now)), ..self.clone() },
            Source::File(_) => self.clone(),
        }
    }

    /// The subject of the token in these fields; none where it names none.
    ///
    /// # Errors
    /// Without a token that is good here and now.
    pub fn verify(&self, fields: &Fields) -> Result<Option<String>, Unfit> {
        let token = match said(fields, "Bearer") {
            Said::Value(token) => token,
            Said::Nothing => return Err(Unfit::Bad(self.challenge(""))),
            Said::Unusable => return Err(Unfit::Bad(self.challenge(", error=\"invalid_request\""))),
        };
        let invalid = || self.challenge(", error=\"invalid_token\"");
        let bad = || Unfit::Bad(invalid());
        let header = decode_header(token).map_err(|_| bad())?;
        // Extensions that have to be understood are not (RFC 7515 §4.1.11).
        if header.crit.is_some() {
            return Err(bad());
        }
        let of_algorithm = self.validations.iter().find(|(algorithm, _)| *algorithm == header.alg);
        let (_, validation) = of_algorithm.ok_or_else(bad)?;
        let keys = match &self.keys {
            Source::File(keys) => Arc::clone(keys),
            Source::Remote(remote) => remote.known.keys().ok_or(Unfit::NoKeys)?,
        };
        let mut fitting = keys.fitting(header.alg, header.kid.as_deref()).take(MOST_TRIES).peekable();
        if fitting.peek().is_none() {
            return Err(Unfit::UnknownKey(invalid()));
        }
        let decoded = fitting.find_map(|key| decode::<Claims>(token, &key.decoding, validation).ok());
        let subject = decoded.ok_or_else(bad)?.claims.sub;
        // It becomes a header field, whose ends are trimmed.
        let plain = |subject: &String| {
            !subject.is_empty() && subject.trim() == subject && !subject.chars().any(char::is_control)
        };
        if subject.as_ref().is_none_or(plain) { Ok(subject) } else { Err(bad()) }
    }

    fn challenge(&self, error: &str) -> Vec<u8> {
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
