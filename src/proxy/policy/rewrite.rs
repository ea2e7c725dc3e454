//! A route's `rewrite`: changes the front of the raw path, which is what the backend gets.

use crate::proxy::fault::Malformed;
use crate::proxy::message::Request;

/// A route's `rewrite`, ready to be applied.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Without a slash at its end.
    from: String,
    /// Without a slash at its end.
    to: String,
}

impl Rewrite {
    /// Takes `prefix` away, by segments: `/api/x` becomes `/x`, `/api` becomes `/`.
    pub fn strip(prefix: &str) -> Self {
        Self::replace(prefix, "")
    }

    /// Replaces `from`, the route's own prefix, by `to`.
    pub fn replace(from: &str, to: &str) -> Self {
        Self { from: from.trim_end_matches('/').to_owned(), to: to.trim_end_matches('/').to_owned() }
    }

    /// Rewrites the target of `request`; `deciding` is its deciding path. The query stays. A path without the prefix
    /// stays as it is.
    ///
    /// # Errors
    /// [`Malformed::Rewrite`] where the prefix is spelled differently in the raw path than in the deciding one, or
    /// where the rest climbs back into it: cut off, it would mean another path to the backend than to us.
    pub fn apply(&self, request: &mut Request, deciding: &str) -> Result<(), Malformed> {
        let raw = behind(request.path(), self.from.as_bytes());
        let decided = behind(deciding.as_bytes(), self.from.as_bytes());
        let rest = match (raw, decided) {
            (None, None) => return Ok(()),
            (Some(rest), Some(_)) if !climbs_out(rest) => rest,
            _ => return Err(Malformed::Rewrite),
        };
        // Two slashes in front would be read as an authority by some; empty segments are merged in the deciding path.
        let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
        let needs_slash = slashes > 0 || self.to.is_empty();
        let cut = self.from.len() + slashes;
        request.replace_target_front(cut, &[self.to.as_bytes(), if needs_slash { b"/" } else { b"" }]);
        Ok(())
    }
}

/// What follows `prefix`, where `path` starts with it by segments: nothing, or from a slash on.
fn behind<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(prefix).filter(|rest| matches!(rest, [] | [b'/', ..]))
}

/// Whether `..` segments lead out of `rest`. Empty segments do not count as a step down: they are merged.
fn climbs_out(rest: &[u8]) -> bool {
    let mut depth = 0i32;
    for segment in rest.split(|byte| *byte == b'/') {
        depth += match segment {
            b"" | b"." => 0,
            b".." => -1,
            _ => 1,
        };
        if depth < 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(rewrite: &Rewrite, target: &str, deciding: &str) -> Result<String, Malformed> {
        let mut request = Request::default();
        request.rewrite_target(target.as_bytes());
        rewrite.apply(&mut request, deciding)?;
        Ok(String::from_utf8(request.target().to_vec()).unwrap())
    }

    #[test]
    fn prefixes_go_by_segments_and_the_query_stays() {
        let strip = Rewrite::strip("/api");
        let replace = Rewrite::replace("/api", "/v2");
        for (target, deciding, stripped, replaced) in [
            ("/api", "/api", "/", "/v2"),
            ("/api/", "/api/", "/", "/v2/"),
            ("/api/x", "/api/x", "/x", "/v2/x"),
            ("/api/x?q=/api", "/api/x", "/x?q=/api", "/v2/x?q=/api"),
            ("/api?q", "/api", "/?q", "/v2?q"),
            ("/api/%61", "/api/a", "/%61", "/v2/%61"),
            ("/api//evil.example/x", "/api/evil.example/x", "/evil.example/x", "/v2/evil.example/x"),
            ("/api///", "/api/", "/", "/v2/"),
            ("/api/x/../y", "/api/y", "/x/../y", "/v2/x/../y"),
            ("/api/x//y", "/api/x/y", "/x//y", "/v2/x//y"),
            ("/apix", "/apix", "/apix", "/apix"),
            ("/other/api", "/other/api", "/other/api", "/other/api"),
        ] {
            assert_eq!(rewritten(&strip, target, deciding).as_deref(), Ok(stripped), "{target}");
            assert_eq!(rewritten(&replace, target, deciding).as_deref(), Ok(replaced), "{target}");
        }
    }

    #[test]
    fn prefixes_that_are_spelled_differently_are_refused() {
        for (target, deciding) in [
            ("/%61pi/x", "/api/x"),
            ("//api/x", "/api/x"),
            ("/./api/x", "/api/x"),
            ("/b/../api/x", "/api/x"),
            ("/api/../x", "/x"),
            ("/api/../api/x", "/api/x"),
            ("/api/x/../../api/y", "/api/y"),
            ("/api//x/../../api/y", "/api/y"),
            ("/api/..", "/"),
        ] {
            assert_eq!(rewritten(&Rewrite::strip("/api"), target, deciding), Err(Malformed::Rewrite), "{target}");
        }
    }

    #[test]
    fn slashes_at_the_ends_of_prefixes_do_not_matter() {
        for (from, to, expected) in
            [("/api/", "/v2/", "/v2/x"), ("/api", "/", "/x"), ("/", "/v2", "/v2/api/x"), ("", "", "/api/x")]
        {
            assert_eq!(
                rewritten(&Rewrite::replace(from, to), "/api/x", "/api/x").as_deref(),
                Ok(expected),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn whatever_is_rewritten_starts_with_one_slash() {
        use crate::proxy::http::Deciding;
        let mut random = fastrand::Rng::with_seed(4);
        const PIECES: &[&str] = &["/", "/", "api", "/api", "..", ".", "%61", "x", "?", "/api/"];
        for _ in 0..50_000 {
            let target: String = (0..random.usize(0..8)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
            let target = format!("/{target}");
            let path = target.split('?').next().unwrap();
            let Ok(deciding) = Deciding::of(path.as_bytes()) else { continue };
            let deciding = deciding.as_str();
            let Ok(found) = rewritten(&Rewrite::strip("/api"), &target, deciding) else { continue };
            let again = Deciding::of(found.split('?').next().unwrap().as_bytes()).unwrap();
            let expected = match deciding.strip_prefix("/api") {
                Some("") => "/",
                Some(rest) if rest.starts_with('/') => rest,
                _ => deciding,
            };
            assert_eq!(again.as_str(), expected, "{target}");
            assert!(expected == deciding || !found.starts_with("//"), "{target}");
        }
    }
}
