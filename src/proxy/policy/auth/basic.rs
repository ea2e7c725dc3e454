//! `basic_file`: a name and a password (RFC 7617), held against a file of hashes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::credentials::{Said, pair, said};
use super::memory::{Asked, Memory};
use super::users::Users;
use crate::proxy::fault::Fault;
use crate::proxy::message::Fields;

/// One route's.
#[derive(Clone)]
pub struct Basic {
    users: Arc<Users>,
    memory: Arc<Memory>,
    /// The value of `WWW-Authenticate`.
    challenge: Box<[u8]>,
}

impl Basic {
    /// The users of a file. `realm` is what browsers show; without quotes and backslashes.
    pub fn new(users: Arc<Users>, memory: Arc<Memory>, realm: &str) -> Self {
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        Self { users, memory, challenge: challenge.into_bytes().into() }
    }

    /// What a client that is refused is told to present.
    pub fn challenge(&self) -> &[u8] {
        &self.challenge
    }

    /// Whether a request says a user and a password, whatever they are.
    pub fn has_credentials(&self, fields: &Fields) -> bool {
        matches!(said(fields, "Basic"), Said::Value(value) if pair(value).is_some())
    }

    /// The name of whoever sends these fields. `from` is the client.
    ///
    /// # Errors
    /// [`Fault::Unauthenticated`] without a name and its right password; [`Fault::AuthBusy`] where too many are being checked.
    pub async fn verify(&self, fields: &Fields, from: IpAddr, now: Instant) -> Result<String, Fault> {
        let Said::Value(value) = said(fields, "Basic") else { return Err(Fault::Unauthenticated) };
        let (name, password) = pair(value).ok_or(Fault::Unauthenticated)?;
        let user = self.users.find(&name);
        let asked = Asked {
            name: &name,
            user: user.unwrap_or_else(|| self.users.stand_in(self.memory.number_of(&name))),
            exists: user.is_some(),
            password: &password,
        };
        match self.memory.check(&asked, from, now).await {
            Ok(true) => Ok(name),
            Ok(false) => Err(Fault::Unauthenticated),
            Err(_) => Err(Fault::AuthBusy),
        }
    }
}
