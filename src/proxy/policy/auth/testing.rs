//! What the tests of passwords share.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A hash of `password`, made with little cost.
pub(super) fn argon2id_of(password: &str) -> String {
    let params = Params::new(64, 1, 1, Some(32)).unwrap();
    let mut output = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), b"saltsalt", &mut output)
        .unwrap();
    let coded = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    format!("$argon2id$v=19$m=64,t=1,p=1${}${}", coded(b"saltsalt"), coded(&output))
}
