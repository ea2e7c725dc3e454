//! Tokens that are good, and every way in which they are not.

use std::path::Path;
use std::time::UNIX_EPOCH;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::base::clock;
use crate::base::period::Period;
use crate::base::place::At;
use crate::proxy::message::Name;
use crate::proxy::policy::auth::KeysSettings;

/// A key that signs.
struct Signer {
    pair: EncodingKey,
    jwk: Value,
}

fn signer(id: &str) -> Signer {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
        "x": coordinate(&point[1..33]), "y": coordinate(&point[33..])});
    Signer { pair: EncodingKey::from_ec_der(der.as_ref()), jwk }
}

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

fn secret() -> Value {
    json!({"kty": "oct", "kid": "secret", "k": URL_SAFE_NO_PAD.encode(SECRET)})
}

/// A rule with these keys.
fn jwt(keys: &[&Value], settings: &JwtSettings) -> Jwt {
    let set = json!({ "keys": keys }).to_string();
    let keys = Keys::parse(Path::new("keys"), set.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    Jwt::new(settings, Source::File(Arc::new(keys)), "staff")
}

fn settings(algorithms: &[Algorithm]) -> JwtSettings {
    JwtSettings {
        keys: KeysSettings::File(At::default()),
        algorithms: algorithms.to_vec(),
        issuer: Vec::new(),
        audience: Vec::new(),
        leeway: Period::seconds(10),
    }
}

const ES256: &[Algorithm] = &[Algorithm::ES256];

fn now() -> u64 {
    clock::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({"sub": "ann", "exp": now() + 100});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn token(algorithm: Algorithm, id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header { kid: id.map(str::to_owned), ..Header::new(algorithm) }, claims, key).unwrap()
}

fn verify(jwt: &Jwt, token: &str) -> Result<Option<String>, String> {
    let mut fields = Fields::default();
    fields.add_known(Name::Other, b"Authorization", format!("Bearer {token}").as_bytes());
    jwt.verify(&fields).map_err(|unfit| match unfit {
        Unfit::Bad(challenge) | Unfit::UnknownKey(challenge) => String::from_utf8(challenge).unwrap(),
        Unfit::NoKeys => String::new(),
    })
}

#[test]
fn a_good_token_names_its_subject() {
    let (one, two) = (signer("one"), signer("two"));
    let rule = jwt(&[&one.jwk, &two.jwk], &settings(ES256));
    for (id, key) in [(Some("one"), &one), (Some("two"), &two), (None, &two)] {
        let token = token(Algorithm::ES256, id, &key.pair, &claims(&json!({})));
        assert_eq!(verify(&rule, &token), Ok(Some("ann".to_owned())), "{id:?}");
    }
    let nobody = json!({"exp": now() + 100});
    assert_eq!(verify(&rule, &token(Algorithm::ES256, None, &one.pair, &nobody)), Ok(None));
}

#[test]
fn claims_are_held_against_the_config() {
    let key = signer("one");
    let named = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    let strict =
        JwtSettings { issuer: named(&["https://idp.example"]), audience: named(&["api", "web"]), ..settings(ES256) };
    let rule = jwt(&[&key.jwk], &strict);
    let good = json!({"iss": "https://idp.example", "aud": ["other", "web"]});
    let changed = |more: Value| {
        let mut claims = claims(&good);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    for (more, is_good) in [
        (json!({}), true),
        (json!({"aud": "api"}), true),
        (json!({"exp": now() - 5}), true),
        (json!({"nbf": now() + 5}), true),
        (json!({"exp": now() - 20}), false),
        (json!({"exp": "tomorrow"}), false),
        (json!({"exp": null}), false),
        (json!({"nbf": now() + 60}), false),
        (json!({"nbf": "x"}), false),
        (json!({"iss": "https://evil.example"}), false),
        (json!({"iss": null}), false),
        (json!({"aud": "other"}), false),
        (json!({"aud": []}), false),
        (json!({"aud": null}), false),
        (json!({"aud": 7}), false),
        (json!({"sub": "a\nb"}), false),
        (json!({"sub": ""}), false),
        (json!({"sub": 7}), false),
    ] {
        let checked = verify(&rule, &token(Algorithm::ES256, Some("one"), &key.pair, &changed(more.clone())));
        assert_eq!(checked.is_ok(), is_good, "{more} {checked:?}");
    }
}

#[test]
fn a_token_of_nobody_is_refused_and_told_so() {
    let (key, stranger) = (signer("one"), signer("one"));
    let rule = jwt(&[&key.jwk], &settings(ES256));
    let good = token(Algorithm::ES256, Some("one"), &key.pair, &claims(&json!({})));
    let forged = token(Algorithm::ES256, Some("one"), &stranger.pair, &claims(&json!({})));
    let other_id = token(Algorithm::ES256, Some("two"), &key.pair, &claims(&json!({})));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let body = good.split('.').nth(1).unwrap();
    let unsigned = format!("{}.{body}.", part(r#"{"alg":"none"}"#));
    let critical = format!("{}.{body}.AAAA", part(r#"{"alg":"ES256","crit":["x"]}"#));
    let cut = good[..good.len() - 4].to_owned();
    for token in [&forged, &other_id, &unsigned, &critical, &cut, "", "a.b.c", "...", "\u{e9}"] {
        let told = verify(&rule, token).unwrap_err();
        let error = if token.is_empty() { "invalid_request" } else { "invalid_token" };
        assert_eq!(told, format!("Bearer realm=\"staff\", error=\"{error}\""), "{token}");
    }
    assert_eq!(
        rule.verify(&Fields::default()),
        Err(Unfit::Bad(b"Bearer realm=\"staff\"".to_vec())),
        "no error for who said nothing"
    );
    assert!(verify(&rule, &good).is_ok());
}

#[test]
fn a_public_key_is_no_secret_and_a_secret_is_no_public_key() {
    let key = signer("one");
    let rule = jwt(&[&key.jwk, &secret()], &settings(&[Algorithm::ES256, Algorithm::HS256]));
    let secret_pair = EncodingKey::from_secret(SECRET);
    assert!(verify(&rule, &token(Algorithm::HS256, Some("secret"), &secret_pair, &claims(&json!({})))).is_ok());
    // Signed with what everybody knows of the public key.
    let x = URL_SAFE_NO_PAD.decode(key.jwk["x"].as_str().unwrap()).unwrap();
    let y = URL_SAFE_NO_PAD.decode(key.jwk["y"].as_str().unwrap()).unwrap();
    for public in [[&[4], &x[..], &y].concat(), [&x[..], &y].concat()] {
        let forged = token(Algorithm::HS256, Some("one"), &EncodingKey::from_secret(&public), &claims(&json!({})));
        assert!(verify(&rule, &forged).is_err());
    }
    // An algorithm that is not listed, though there is a key for it.
    let strict = jwt(&[&key.jwk, &secret()], &settings(ES256));
    assert!(verify(&strict, &token(Algorithm::HS256, Some("secret"), &secret_pair, &claims(&json!({})))).is_err());
}

#[test]
fn key_sets_say_what_is_wrong() {
    let told = |text: &str| Keys::parse(Path::new("keys"), text.as_bytes()).err().map(|error| error.to_string());
    let key = signer("one");
    let mut short = secret();
    short["k"] = URL_SAFE_NO_PAD.encode("short").into();
    let mut encrypting = key.jwk.clone();
    encrypting["use"] = "enc".into();
    let mut odd = key.jwk.clone();
    odd["x"] = "!".into();
    let many = vec![key.jwk.clone(); 257];
    for (text, said) in [
        ("".to_owned(), "keys: not a JSON Web Key Set (line 1, column 0); "),
        ("{}".to_owned(), "keys: not a JSON Web Key Set"),
        (key.jwk.to_string(), "keys: not a JSON Web Key Set"),
        (json!({"keys": []}).to_string(), "keys: no key in it"),
        (json!({"keys": [encrypting, {"kty": "new"}]}).to_string(), "keys: no key in it"),
        (json!({"keys": [short]}).to_string(), "keys: key `secret`: the secret is shorter than 32 bytes; "),
        (json!({"keys": [odd]}).to_string(), "keys: key `one`: it is cut off or broken; "),
        (json!({"keys": many}).to_string(), "keys: 257 keys in it; "),
    ] {
        let told = told(&text).unwrap_or_default();
        assert!(told.starts_with(said), "{told}");
    }
}

#[test]
fn no_bytes_panic() {
    let key = signer("one");
    let rule = jwt(&[&key.jwk], &settings(ES256));
    let good = token(Algorithm::ES256, Some("one"), &key.pair, &claims(&json!({})));
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..2_000 {
        let mut bytes = good.clone().into_bytes();
        let at = random.usize(0..bytes.len());
        bytes[at] = *random.choice(b".A=_-\"\xff0").unwrap();
        bytes.truncate(random.usize(at..=bytes.len()));
        let mut fields = Fields::default();
        fields.add(b"authorization", &[b"Bearer ".as_slice(), &bytes].concat());
        let _ = rule.verify(&fields);
    }
    for _ in 0..2_000 {
        let text = json!({ "keys": [key.jwk] }).to_string();
        let (from, to) = (random.usize(0..text.len()), random.usize(0..text.len()));
        let spliced = format!("{}{}", &text[..from], &text[to..]);
        drop(Keys::parse(Path::new("keys"), spliced.as_bytes()));
    }
}
