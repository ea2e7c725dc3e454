//! What authentication reads: files of users and of keys, which say what is wrong with them, and tokens, of which none is good
//! here: nobody has the other half of the key.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use portcullis::base::period::Period;
use portcullis::base::place::At;
use portcullis::proxy::message::Fields;
use portcullis::proxy::policy::auth::{Jwt, JwtSettings, Keys, KeysSettings, Source, Unfit, Users};

/// A point of P-256, that of RFC 7517's first example.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

static RULE: LazyLock<Jwt> = LazyLock::new(|| {
    let keys = Keys::parse(Path::new("keys"), KEYS.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let settings = JwtSettings {
        keys: KeysSettings::File(At::default()),
        algorithms: ["ES256", "HS256", "RS256", "EdDSA"].map(|name| name.parse().unwrap()).to_vec(),
        issuer: Vec::new(),
        audience: Vec::new(),
        leeway: Period::default(),
    };
    Jwt::new(&settings, Source::File(Arc::new(keys)), "realm")
});

/// The first byte says what the others are.
pub fn run(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let error = match choice % 3 {
        0 => Users::parse(Path::new("file"), &String::from_utf8_lossy(rest)).err(),
        1 => Keys::parse(Path::new("file"), rest).err(),
        _ => return token(rest),
    };
    let Some(error) = error.map(|error| error.to_string()) else { return };
    assert!(error.starts_with("file:") && error.contains("; ") && error.len() < 2_000, "{error}");
}

fn token(bytes: &[u8]) {
    let mut fields = Fields::default();
    fields.add(b"authorization", bytes);
    let unfit = RULE.verify(&fields).unwrap_err();
    let (Unfit::Bad(challenge) | Unfit::UnknownKey(challenge)) = unfit else { panic!("there are keys") };
    assert!(challenge.starts_with(b"Bearer realm=\"realm\""));
    fields.clear();
    fields.add(b"authorization", &[b"Bearer ", bytes].concat());
    assert!(RULE.verify(&fields).is_err());
}
