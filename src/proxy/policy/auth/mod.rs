//! Who may use a route: whoever knows a password, whom another service lets in, or who has a signed token.
//!
//! A kind is a [`Way`]: `basic`, `forward`, `jwt`. What they have in common is here: the client cannot say who it is in the
//! gateway's place.

mod basic;
mod credentials;
mod file;
mod forward;
mod hash;
mod identity;
mod jwt;
mod keys;
mod memory;
mod remote;
mod service;
mod settings;
#[cfg(test)]
mod testing;
mod twins;
mod users;

use std::sync::Arc;

use crate::proxy::balance::Pool;
use crate::proxy::message::Fields;

pub use basic::Basic;
pub use file::Broken;
pub use forward::{Forward, ForwardSettings, Verdict};
pub use identity::Identity;
pub use jwt::{Jwt, Source, Unfit};
pub use keys::Keys;
pub use memory::Memory;
pub use remote::{Due, Known, Remote};
pub use service::ServiceSettings;
pub use settings::{AuthSettings, JwtSettings, KeysSettings, WaySettings};
pub use users::Users;

/// A route's `auth`.
#[derive(Clone)]
pub struct Auth {
    /// Who decides.
    pub way: Way,
    /// The field in which the backend is told the user.
    user_header: Box<str>,
    remove_authorization: bool,
}

/// Who decides.
#[derive(Clone)]
pub enum Way {
    /// A file of users.
    Basic(Basic),
    /// Another service.
    Forward(Forward),
    /// The keys of an issuer.
    Jwt(Jwt),
}

/// Whom a request was let through for, and what the backend is told of it.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// The user.
    pub user: Option<String>,
    /// Fields that the request gets.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Auth {
    /// What the settings say.
    pub fn new(settings: &AuthSettings, way: Way) -> Self {
        Self {
            way,
            user_header: settings.user_header.as_str().into(),
            remove_authorization: settings.remove_authorization,
        }
    }

    /// The pool of the service that is asked.
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.way {
            Way::Forward(forward) => Some(&forward.pool),
            Way::Jwt(jwt) => jwt.remote().map(|remote| &remote.pool),
            Way::Basic(_) => None,
        }
    }

    /// The fields in which the backend is told who the client is.
    pub fn identity(&self) -> impl Iterator<Item = &str> {
        let (copied, user) = match &self.way {
            Way::Forward(forward) => (forward.copied(), None),
            Way::Basic(_) | Way::Jwt(_) => (&[][..], Some(self.user_header.as_ref())),
        };
        copied.iter().map(String::as_str).chain(user)
    }

    /// The same with what `now` makes of its pool.
    pub fn map(&self, now: impl FnOnce(&Arc<Pool>) -> Arc<Pool>) -> Self {
        match &self.way {
            Way::Forward(forward) => Self { way: Way::Forward(forward.map(now)), ..self.clone() },
            Way::Jwt(jwt) => Self { way: Way::Jwt(jwt.map(now)), ..self.clone() },
            Way::Basic(_) => self.clone(),
        }
    }

    /// Makes the fields of a request that was let through what the backend is to get. Whatever the client said in the place of
    /// what we say is gone.
    pub fn apply(&self, fields: &mut Fields, granted: Option<&Granted>) {
        match &self.way {
            Way::Forward(forward) => forward.strip(fields),
            Way::Basic(_) | Way::Jwt(_) => {
                twins::remove(fields, &self.user_header);
                if self.remove_authorization {
                    twins::remove(fields, "authorization");
                }
                if let Some(user) = granted.and_then(|granted| granted.user.as_ref()) {
                    fields.add(self.user_header.as_bytes(), user.as_bytes());
                }
            }
        }
        let given = granted.into_iter().flat_map(|granted| &granted.fields);
        given.for_each(|(name, value)| fields.add(name, value));
    }
}

/// What files are compared by.
fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}
