//! `sticky`: a cookie that brings a client back to its endpoint.
//!
//! What the cookie holds is a keyed hash (HMAC-SHA256) of the pool's and the endpoint's names: a client learns nothing of the
//! backends by it, and cannot choose one that it was not given.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;

use super::key::cookie;
use super::{Address, Endpoint};
use crate::base::hex::hex;
use crate::base::place::At;
use crate::base::settings::{Node, Scalar, Section, Setting, Shape};
use crate::base::token::is_token;
use crate::proxy::message::Request;

/// How many digits a cookie has.
const DIGITS: usize = 32;

/// `sticky`: a table, or `false`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StickySettings {
    /// The name of the cookie; none switches it off.
    pub cookie: Option<At<String>>,
}

impl Setting for StickySettings {
    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Constant(false), Shape::table(|section| _ = Self::keys(section))])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return node.table(Self::keys);
        }
        match node.scalar()? {
            Scalar::Boolean(false) => Some(Self::default()),
            other => node.mismatch::<Self, _>(&other),
        }
    }

    fn shown(&self) -> serde_json::Value {
        false.into()
    }
}

impl StickySettings {
    fn keys(section: &mut Section<'_>) -> Self {
        let name: Option<At<CookieName>> =
            section.key("cookie", "The name of the cookie. Pools that one client meets need a name each.").required();
        Self { cookie: name.map(|At { value: CookieName(name), place }| At::new(name, place)) }
    }
}

/// The name of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CookieName(String);

impl Setting for CookieName {
    fn shape() -> Shape {
        Shape::text("the name of a cookie", "backend")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        if !is_token(&text) {
            return node
                .problem(format!("`{text}` cannot be the name of a cookie"), "write letters, digits, `-` and `_`");
        }
        Some(Self(text.into_owned()))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// The key of all cookies of one gateway. Gateways that share it know each other's.
pub struct StickyKey(hmac::Key);

impl std::fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StickyKey")
    }
}

impl StickyKey {
    /// Made of a secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The cookie of an endpoint.
    fn value(&self, pool: &str, endpoint: &Endpoint) -> [u8; DIGITS] {
        let address = match &endpoint.address {
            Address::Tcp(address) => address.to_string(),
            // A relative path is another file on each gateway, but the same backend.
            Address::Unix(_) => String::new(),
        };
        let tag = hmac::sign(&self.0, format!("{pool}\0{}\0{address}", endpoint.url.text).as_bytes());
        let mut digits = [0; DIGITS];
        for (digits, bytes) in digits.chunks_exact_mut(16).zip(tag.as_ref().chunks_exact(8)) {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            digits.copy_from_slice(&hex(number));
        }
        digits
    }
}

/// The cookies of a pool's endpoints.
#[derive(Debug)]
pub(super) struct Sticky {
    cookie: Box<str>,
    endpoints: HashMap<[u8; DIGITS], Arc<Endpoint>>,
    values: HashMap<u64, [u8; DIGITS]>,
}

impl Sticky {
    pub(super) fn new(cookie: &str, key: &StickyKey, pool: &str, endpoints: &[Arc<Endpoint>]) -> Self {
        let values: HashMap<_, _> = endpoints.iter().map(|one| (one.id, key.value(pool, one))).collect();
        let endpoints = endpoints.iter().map(|one| (values[&one.id], Arc::clone(one))).collect();
        Self { cookie: cookie.into(), endpoints, values }
    }

    /// The endpoint that a request's cookie names. A guess is one of 2^128: how long it takes to find out says nothing.
    pub(super) fn find(&self, request: &Request) -> Option<&Arc<Endpoint>> {
        let value = cookie(&request.fields, self.cookie.as_bytes())?;
        self.endpoints.get(<&[u8; DIGITS]>::try_from(value).ok()?)
    }

    /// The `Set-Cookie` that brings a client back to `endpoint`.
    pub(super) fn set_cookie(&self, endpoint: &Endpoint, secure: bool) -> Option<Vec<u8>> {
        let value = self.values.get(&endpoint.id)?;
        let end: &[u8] =
            if secure { b"; Path=/; HttpOnly; SameSite=Lax; Secure" } else { b"; Path=/; HttpOnly; SameSite=Lax" };
        Some([self.cookie.as_bytes(), b"=", value, end].concat())
    }
}
