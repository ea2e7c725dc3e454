//! A pattern of `include`: a folder, and file names with one star.

use std::io;
use std::path::{Path, PathBuf};

/// The most files that one pattern stands for; a config with more is refused.
const MOST: usize = 2_000;

/// `sites/*.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    folder: PathBuf,
    front: String,
    /// None without a star: then it stands for one name.
    back: Option<String>,
}

impl Pattern {
    /// Reads a pattern as `include` does: one star in the last part at most.
    pub fn new(pattern: &Path) -> Self {
        let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = pattern.parent().map(Path::to_owned).unwrap_or_default();
        match name.split_once('*') {
            Some((front, back)) => Self { folder, front: front.to_owned(), back: Some(back.to_owned()) },
            None => Self { folder, front: name, back: None },
        }
    }

    /// Where it looks.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same names in another folder.
    pub fn moved(&self, folder: PathBuf) -> Self {
        Self { folder, ..self.clone() }
    }

    /// Whether it stands for `path`. Hidden files are left out, unless the pattern itself starts with a dot.
    pub fn matches(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        path.parent() == Some(&self.folder) && self.names(name)
    }

    fn names(&self, name: &str) -> bool {
        let Some(back) = &self.back else { return name == self.front };
        let hidden = name.starts_with('.') && !self.front.starts_with('.');
        let long = name.len() >= self.front.len() + back.len();
        !hidden && long && name.starts_with(&self.front) && name.ends_with(back.as_str())
    }

    /// The files it stands for now, sorted, each as the pattern's folder and a name.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let mut files = Vec::new();
        for entry in folder.read_dir()? {
            if let Ok(name) = entry?.file_name().into_string()
                && self.names(&name)
                && files.len() < MOST
            {
                files.push(self.folder.join(name));
            }
        }
        files.sort();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_include() {
        let pattern = Pattern::new(Path::new("/sites/a*.toml"));
        for (path, matches) in [
            ("/sites/a.toml", true),
            ("/sites/about.toml", true),
            ("/sites/b.toml", false),
            ("/sites/a.tom", false),
            ("/other/a.toml", false),
            ("/sites/sub/a.toml", false),
        ] {
            assert_eq!(pattern.matches(Path::new(path)), matches, "{path}");
        }
        assert!(!Pattern::new(Path::new("/sites/*.toml")).matches(Path::new("/sites/.a.toml")));
        assert!(Pattern::new(Path::new("/sites/one.toml")).matches(Path::new("/sites/one.toml")));
    }
}
