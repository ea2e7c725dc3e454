//! Values by path alone, found as routes are: the exact path, then the longest prefix.

use super::PathPattern;
use super::path::Paths;

/// A value for each of some paths.
#[derive(Debug)]
pub struct ByPath<T> {
    paths: Paths,
    values: Vec<T>,
}

impl<T> Default for ByPath<T> {
    fn default() -> Self {
        Self { paths: Paths::default(), values: Vec::new() }
    }
}

impl<T> ByPath<T> {
    /// Of two values for one path the first is found.
    pub fn build(entries: impl IntoIterator<Item = (PathPattern, T)>) -> Self {
        let (mut paths, mut values) = (Paths::default(), Vec::new());
        for (path, value) in entries {
            paths.insert(Some(&path), values.len() as u32);
            values.push(value);
        }
        Self { paths, values }
    }

    /// The value for the most specific path that matches.
    pub fn find(&self, path: &str) -> Option<&T> {
        if self.values.is_empty() {
            return None;
        }
        self.paths.find(path, |index| self.values.get(index as usize))
    }

    /// Every value.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_matches_is_found() {
        let entries = ["/a/*", "/a/b/*", "/a/b", "/c"].map(|path| (path.parse().unwrap(), path));
        let values = ByPath::build(entries);
        for (path, expected) in [
            ("/a", Some("/a/*")),
            ("/a/bc", Some("/a/*")),
            ("/a/b", Some("/a/b")),
            ("/a/b/", Some("/a/b/*")),
            ("/a/b/c/d", Some("/a/b/*")),
            ("/c", Some("/c")),
            ("/c/d", None),
            ("/", None),
        ] {
            assert_eq!(values.find(path).copied(), expected, "{path}");
        }
        assert_eq!(ByPath::<()>::default().find("/"), None);
    }
}
