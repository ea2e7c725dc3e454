//! What a route says of who may use it: `auth`.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;

use super::forward::ForwardSettings;
use super::service::ServiceSettings;
use crate::base::period::Period;
use crate::base::place::At;
use crate::base::settings::{Node, Section, Setting, Shape, Table};
use crate::proxy::policy::headers;

/// `auth`.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthSettings {
    /// Who decides.
    pub way: WaySettings,
    /// The field in which the backend is told the user. Default `X-Forwarded-User`.
    pub user_header: String,
    /// Whether the backend does not get `Authorization`. Default no.
    pub remove_authorization: bool,
    /// What browsers show. Default `restricted`.
    pub realm: String,
}

/// The one of `basic_file`, `forward`, `jwt` that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum WaySettings {
    /// Passwords, held against a file.
    Basic(At<PathBuf>),
    /// Another service.
    Forward(ForwardSettings),
    /// Signed tokens.
    Jwt(JwtSettings),
}

/// `jwt`.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtSettings {
    /// The issuer's keys.
    pub keys: KeysSettings,
    /// What tokens may be signed with; one at least.
    pub algorithms: Vec<Algorithm>,
    /// Who may have issued them; empty means anybody who has a key.
    pub issuer: Vec<String>,
    /// Whom they have to be for; empty means anybody.
    pub audience: Vec<String>,
    /// How wrong clocks may be. Default 30 s.
    pub leeway: Period,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq)]
pub enum KeysSettings {
    /// `jwks_file`.
    File(At<PathBuf>),
    /// `jwks_url`.
    Url(ServiceSettings),
}

impl AuthSettings {
    /// The file that is watched, where there is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match &self.way {
            WaySettings::Basic(file) => Some(&file.value),
            WaySettings::Jwt(JwtSettings { keys: KeysSettings::File(file), .. }) => Some(&file.value),
            WaySettings::Jwt(_) | WaySettings::Forward(_) => None,
        }
    }

    /// The service that is asked, where one is.
    pub fn service(&self) -> Option<&ServiceSettings> {
        match &self.way {
            WaySettings::Forward(forward) => Some(&forward.service),
            WaySettings::Jwt(JwtSettings { keys: KeysSettings::Url(service), .. }) => Some(service),
            WaySettings::Basic(_) | WaySettings::Jwt(_) => None,
        }
    }
}

impl Table for AuthSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let file: Option<At<PathBuf>> = section
            .key("basic_file", "A file of users, `name:hash` a line, with argon2id or bcrypt hashes; watched.")
            .optional();
        let forward: Option<ForwardSettings> = section
            .key("forward", "A service that is asked for each request: a URL, the name of a pool, or a table. 2xx lets it through, anything else is the client's answer.")
            .optional();
        let jwt: Option<JwtSettings> = section.key("jwt", "Signed tokens, as `Authorization: Bearer`.").optional();
        let realm = section.key("realm", "What browsers show.").or(Realm("restricted".to_owned()));
        let user_header = section
            .key("user_header", "The header field in which the backend is told the user: the name, or the `sub` of a token. The client's own never gets there.")
            .or(FieldName("X-Forwarded-User".to_owned()));
        let remove_authorization =
            section.key("remove_authorization", "Whether the backend does not get `Authorization`.").or(false);
        section.exactly_one(&["basic_file", "forward", "jwt"]);
        if section.written("forward").is_some() {
            for name in ["realm", "user_header", "remove_authorization"] {
                if let Some(place) = section.written(name) {
                    let message =
                        format!("`{name}` does nothing with `forward`: the service says what the backend gets");
                    section.problem(place, message, "remove it; `copy_headers` names fields of the service's answer");
                }
            }
        }
        let way = match (file, forward, jwt) {
            (Some(file), _, _) => WaySettings::Basic(file),
            (None, Some(forward), _) => WaySettings::Forward(forward),
            (None, None, jwt) => WaySettings::Jwt(jwt?),
        };
        Some(Self { way, user_header: user_header.0, remove_authorization, realm: realm.0 })
    }
}

impl Table for JwtSettings {
    fn keys(section: &mut Section<'_>) -> Option<Self> {
        let jwks_file: Option<At<PathBuf>> =
            section.key("jwks_file", "The issuer's keys: a JSON Web Key Set; watched.").optional();
        let jwks_url: Option<KeysUrl> = section
            .key("jwks_url", "Where the issuer has its keys instead: an https:// URL, or a table as of `forward`. Fetched when a token wants them, and again after 5 minutes.")
            .optional();
        section.exactly_one(&["jwks_file", "jwks_url"]);
        let algorithms: Vec<Signature> = section
            .key("algorithms", "What tokens may be signed with; each key is for those of its own kind.")
            .required_list();
        let issuer = section.key("issuer", "Who may have issued them, `iss`. Left out: anybody who has a key.").list();
        let audience = section.key("audience", "Whom they have to be for, `aud`. Left out: anybody.").list();
        let leeway = section
            .key("leeway", "How wrong clocks may be, for `exp` and `nbf`. 0s to 5m.")
            .within(Period::default()..=Period::seconds(300))
            .or(Period::seconds(30));
        let algorithms = algorithms.into_iter().map(|signature| signature.0).collect();
        let keys = match jwks_url {
            Some(KeysUrl(service)) => KeysSettings::Url(service),
            None => KeysSettings::File(jwks_file?),
        };
        Some(Self { keys, algorithms, issuer, audience, leeway })
    }
}

/// `jwks_url`.
struct KeysUrl(ServiceSettings);

impl Setting for KeysUrl {
    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::text("the URL of a set of keys or the name of a pool", "https://id.example.com/keys.json"),
            Shape::table(|section| drop(ServiceSettings::keys(section))),
        ])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let service = if node.is_table() {
            node.table(ServiceSettings::keys).flatten()?
        } else {
            let text = node.text::<Self>()?;
            node.short(ServiceSettings::short(&text), ServiceSettings::keys)?
        };
        if service.can_be_forged() {
            return node.problem(
                "keys that come over plain http can be replaced on their way",
                "write https://; or name a [pool.NAME], where the way there is safe",
            );
        }
        Some(Self(service))
    }
}

/// One of `algorithms`. There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Signature(Algorithm);

const SIGNATURES: [(&str, Signature); 12] = [
    ("ES256", Signature(Algorithm::ES256)),
    ("ES384", Signature(Algorithm::ES384)),
    ("EdDSA", Signature(Algorithm::EdDSA)),
    ("RS256", Signature(Algorithm::RS256)),
    ("RS384", Signature(Algorithm::RS384)),
    ("RS512", Signature(Algorithm::RS512)),
    ("PS256", Signature(Algorithm::PS256)),
    ("PS384", Signature(Algorithm::PS384)),
    ("PS512", Signature(Algorithm::PS512)),
    ("HS256", Signature(Algorithm::HS256)),
    ("HS384", Signature(Algorithm::HS384)),
    ("HS512", Signature(Algorithm::HS512)),
];

impl Setting for Signature {
    fn shape() -> Shape {
        Shape::words(&SIGNATURES)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&SIGNATURES)
    }
}

/// The name of a field that the gateway sets.
pub(super) struct FieldName(pub(super) String);

impl Setting for FieldName {
    fn shape() -> Shape {
        Shape::text("the name of a header field", "X-Forwarded-User")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        match headers::refused(&text) {
            None => Some(Self(text.into_owned())),
            Some((message, advice)) => node.problem(message, advice),
        }
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

struct Realm(String);

impl Setting for Realm {
    fn shape() -> Shape {
        Shape::text("a text", "restricted")
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text::<Self>()?;
        let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\';
        if text.is_empty() || text.len() > 200 || !text.bytes().all(plain) {
            return node.problem(
                format!("`{}` is not a realm", text.escape_debug()),
                "write up to 200 ASCII characters without quotes and backslashes",
            );
        }
        Some(Self(text.into_owned()))
    }

    fn shown(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}
