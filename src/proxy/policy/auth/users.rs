//! The users of a `basic_file`: a line each, `name:hash`, as `htpasswd` writes them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::file::{Broken, read};
use super::hash::Hash;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

/// Everybody in a file.
pub struct Users {
    by_name: HashMap<Box<str>, Arc<User>>,
    /// In the order of the file; one at least.
    list: Vec<Arc<User>>,
}

/// One of them.
pub(super) struct User {
    pub(super) hash: Hash,
    /// The hash as it is written: what was remembered of another is not of this one.
    pub(super) written: Box<str>,
}

impl Users {
    /// Reads the file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn load(path: &Path) -> Result<(Self, [u8; 32]), Broken> {
        let bytes = read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Broken::file(path, "not UTF-8 text; write it anew"))?;
        Ok((Self::parse(path, text)?, super::digest(&bytes)))
    }

    /// The same of a text that is in memory; the path only names it in errors.
    ///
    /// # Errors
    /// As [`Users::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Broken> {
        let mut users = Self { by_name: HashMap::new(), list: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, user) = user(line).map_err(|what| Broken::line(path, number, what))?;
            let user = Arc::new(user);
            if users.by_name.insert(name.into(), Arc::clone(&user)).is_some() {
                return Err(Broken::line(path, number, format!("`{name}` stands here a second time; remove one line")));
            }
            users.list.push(user);
        }
        match users.list.is_empty() {
            true => Err(Broken::file(path, "no users in it; add a line with `htpasswd -B FILE NAME`")),
            false => Ok(users),
        }
    }

    /// The user of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// Whose hash is worked on for a name that nobody has, so that it takes as long as one that somebody has.
    pub(super) fn stand_in(&self, number: usize) -> &Arc<User> {
        &self.list[number % self.list.len()]
    }
}

fn user(line: &str) -> Result<(&str, User), String> {
    let (name, hash) = line.split_once(':').ok_or("no `:` between name and hash; write `name:hash`")?;
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err("this cannot be a name; write 1 to 255 bytes without control characters".into());
    }
    match Hash::parse(hash) {
        Ok(parsed) => Ok((name, User { hash: parsed, written: hash.into() })),
        Err(what) => Err(format!("`{name}`: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::argon2id_of;
    use super::*;

    fn told(text: &str) -> String {
        Users::parse(Path::new("users"), text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn lines_are_users() {
        let text = format!("# staff\n\nann:{}\r\nbob b:{}\n", argon2id_of("a"), argon2id_of("b"));
        let users = Users::parse(Path::new("users"), &text).ok().unwrap();
        assert!(users.find("ann").unwrap().hash.is_of(b"a") && users.find("bob b").unwrap().hash.is_of(b"b"));
        assert!(users.find("Ann").is_none() && users.find("").is_none());
        assert!((0..9).all(|number| !users.stand_in(number).written.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = argon2id_of("a");
        for (text, said) in [
            (String::new(), "users: no users in it; "),
            (format!("ann:{good}\nbob"), "users:2: no `:`"),
            (format!("ann:{good}\n\nann:{good}"), "users:3: `ann` stands here a second time; "),
            (format!(":{good}"), "users:1: this cannot be a name; "),
            (format!("a\u{7}:{good}"), "users:1: this cannot be a name; "),
            ("ann:$apr1$x$y".to_owned(), "users:1: `ann`: the hash is MD5; make one with `htpasswd"),
        ] {
            assert!(told(&text).starts_with(said), "{}", told(&text));
        }
    }

    #[test]
    fn files_that_are_none_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| Users::load(path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told(folder.path()).contains("not a file; "));
        assert!(told(&folder.path().join("none")).contains("no such file; "));
        let large = folder.path().join("large");
        std::fs::File::create(&large).unwrap().set_len((1 << 20) + 1).unwrap();
        assert!(told(&large).contains("larger than 1 MiB; "));
        std::fs::write(&large, b"\xff").unwrap();
        assert!(told(&large).contains("not UTF-8 text; "));
    }
}
