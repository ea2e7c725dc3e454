//! The hashes of passwords that are accepted: argon2id and bcrypt, each within bounds of what one check may cost.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

/// The most memory that one check may take, in KiB.
const MOST_MEMORY: u32 = 256 << 10;
/// The most passes over it.
const MOST_PASSES: u32 = 20;
/// The most lanes.
const MOST_LANES: u32 = 16;
/// The most costly bcrypt, a second or two.
const MOST_COST: u32 = 15;

const COMMANDS: &str = "make one with `htpasswd -nB NAME`, or `argon2 SALT -id -e`";

/// The hash of one password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Hash {
    Argon2id(Box<Argon2id>),
    /// In its own form, of which everything is known to be well.
    Bcrypt(Box<str>),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Argon2id {
    version: u32,
    memory: u32,
    passes: u32,
    lanes: u32,
    salt: Box<[u8]>,
    output: Box<[u8]>,
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// What is wrong, `; ` and what to do. Nothing of the hash is in it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("$argon2id$") {
            return argon2id(rest).map(Box::new).map(Self::Argon2id);
        }
        if text.starts_with("$2a$") || text.starts_with("$2b$") || text.starts_with("$2y$") {
            return bcrypt(text);
        }
        let what = match text {
            _ if text.starts_with("$argon2") => "argon2, but not argon2id",
            _ if text.starts_with("$apr1$") || text.starts_with("$1$") => "MD5",
            _ if text.starts_with("{SHA}") => "SHA-1 without salt",
            _ if text.starts_with("{SSHA}") => "SHA-1",
            _ if text.starts_with("$5$") || text.starts_with("$6$") => "SHA-crypt",
            _ if text.starts_with('$') || text.starts_with('{') => "a kind that is not supported",
            "" => return Err(format!("there is no hash; {COMMANDS}")),
            _ => "neither argon2id nor bcrypt: it may be crypt, or a password as it is",
        };
        Err(format!("the hash is {what}; {COMMANDS}"))
    }

    /// Whether `password` is the one. Takes as long as the hash was made to take; not for a worker.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(text) => ::bcrypt::verify(password, text).unwrap_or(false),
            Self::Argon2id(hash) => hash.is_of(password),
        }
    }
}

impl Argon2id {
    fn is_of(&self, password: &[u8]) -> bool {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(self.output.len()));
        let (Ok(params), Ok(version)) = (params, Version::try_from(self.version)) else { return false };
        let mut output = vec![0; self.output.len()];
        let hashed =
            Argon2::new(Algorithm::Argon2id, version, params).hash_password_into(password, &self.salt, &mut output);
        hashed.is_ok() && output.ct_eq(&self.output).into()
    }
}

/// `v=19$m=19456,t=2,p=1$SALT$OUTPUT`; without `v` it is version 16.
fn argon2id(text: &str) -> Result<Argon2id, String> {
    let broken = || format!("the argon2id hash is cut off or broken; {COMMANDS}");
    let mut parts: Vec<&str> = text.split('$').collect();
    let version = match parts.first().and_then(|part| part.strip_prefix("v=")) {
        Some(version) => {
            parts.remove(0);
            version.parse().map_err(|_| broken())?
        }
        None => 16,
    };
    let [costs, salt, output] = parts.as_slice() else { return Err(broken()) };
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next().and_then(|cost| cost.strip_prefix(name)?.parse::<u32>().ok());
    let (Some(memory), Some(passes), Some(lanes)) = (cost("m="), cost("t="), cost("p=")) else {
        return Err(broken());
    };
    let rest = costs.next();
    if memory > MOST_MEMORY || passes > MOST_PASSES || lanes > MOST_LANES {
        return Err(format!(
            "the argon2id hash is too costly (m={memory}, t={passes}, p={lanes}); keep it to m={MOST_MEMORY}, t={MOST_PASSES}, p={MOST_LANES}"
        ));
    }
    let decoded = |text: &str| STANDARD_NO_PAD.decode(text).ok().map(Vec::into_boxed_slice);
    let (Some(salt), Some(output)) = (decoded(salt), decoded(output)) else { return Err(broken()) };
    let sizes = (8..=64).contains(&salt.len()) && (16..=64).contains(&output.len());
    let known = Params::new(memory, passes, lanes, Some(output.len())).is_ok() && Version::try_from(version).is_ok();
    if rest.is_some() || !sizes || !known {
        return Err(broken());
    }
    Ok(Argon2id { version, memory, passes, lanes, salt, output })
}

/// `$2y$12$`, 22 characters of salt and 31 of hash.
fn bcrypt(text: &str) -> Result<Hash, String> {
    let broken = || format!("the bcrypt hash is cut off or broken; {COMMANDS}");
    let parts: Vec<&str> = text.split('$').collect();
    let [_, _, cost, rest] = parts.as_slice() else { return Err(broken()) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let cost: u32 = cost.parse().ok().filter(|_| cost.len() == 2).ok_or_else(broken)?;
    if rest.len() != 53 || !rest.bytes().all(plain) || !(4..=31).contains(&cost) {
        return Err(broken());
    }
    if cost > MOST_COST {
        return Err(format!("the bcrypt hash is too costly ({cost}); make it with a cost of at most {MOST_COST}"));
    }
    // Stray bits at the end of salt or hash make it one that nothing is equal to.
    if text.parse::<::bcrypt::HashParts>().is_err() {
        return Err(broken());
    }
    Ok(Hash::Bcrypt(text.into()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::argon2id_of;
    use super::*;

    #[test]
    fn both_kinds_know_their_password() {
        // From the tests of OpenBSD's and of the reference implementation.
        let known = [
            ("$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc"),
            ("$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc"),
            ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"),
            (&argon2id_of("secret"), "secret"),
        ];
        for (text, password) in known {
            let Ok(hash) = Hash::parse(text) else { panic!("{text}") };
            assert!(hash.is_of(password.as_bytes()), "{text}");
            assert!(!hash.is_of(b"other") && !hash.is_of(b""), "{text}");
        }
    }

    #[test]
    fn other_kinds_say_what_to_do_and_nothing_of_the_hash() {
        for (text, told) in [
            ("", "no hash"),
            ("secret", "neither argon2id nor bcrypt"),
            ("$apr1$x$secret", "MD5"),
            ("$1$secret", "MD5"),
            ("{SHA}secret", "SHA-1"),
            ("$6$secret", "SHA-crypt"),
            ("$argon2i$v=19$m=64,t=1,p=1$secret", "not argon2id"),
            ("$argon2id$v=19$m=64,t=1$secret$x", "cut off"),
            ("$argon2id$v=19$m=64,t=1,p=1,x=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "cut off"),
            ("$argon2id$v=18$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "cut off"),
            ("$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "too costly"),
            ("$2y$05$secret", "cut off"),
            ("$2y$31$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "too costly"),
            ("$2x$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "not supported"),
        ] {
            let Err(error) = Hash::parse(text) else { panic!("{text}") };
            assert!(error.contains(told) && error.contains("; ") && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn no_text_panics() {
        let mut random = fastrand::Rng::with_seed(3);
        let pieces = ["$", "argon2id", "v=19", "m=64", ",t=1", ",p=1", "c2FsdHNhbHQ", "2y", "05", "=", "\u{e9}", "-1"];
        for _ in 0..20_000 {
            let text: String = (0..random.usize(0..12)).map(|_| pieces[random.usize(0..pieces.len())]).collect();
            drop(Hash::parse(&text));
            drop(Hash::parse(&format!("$argon2id$v=19{text}")));
        }
    }
}
