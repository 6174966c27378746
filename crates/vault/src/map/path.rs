//! Paths in a backup. A hostile map must not lead a restore out of its directory, so a path that
//! could is not a [`FilePath`]; that no path goes through a link is checked where paths meet
//! ([`Tree`]).

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest path in bytes.
pub const PATH_LENGTH_MAX: usize = 4096;

/// A relative path without `..`: names divided by `/`. Ordered so that what is in a directory
/// follows the directory before anything else does.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FilePath(Box<[u8]>);

/// Why bytes are not a path in a backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} cannot be a path in a backup: {reason}", String::from_utf8_lossy(.path))]
pub struct PathError {
    /// The bytes.
    pub path: Vec<u8>,
    /// What is wrong with them.
    pub reason: &'static str,
}

impl FilePath {
    /// Checks a path.
    ///
    /// # Errors
    /// When it is empty, absolute or too long, or when a part of it is empty, `.` or `..` or
    /// contains NUL.
    pub fn new(path: &[u8]) -> Result<Self, PathError> {
        let reason = if path.is_empty() {
            "it is empty"
        } else if path.len() > PATH_LENGTH_MAX {
            "it is longer than 4096 bytes"
        } else if path[0] == b'/' {
            "it is absolute"
        } else if path.contains(&0) {
            "it contains a NUL byte"
        } else if path.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
            "a part of it is empty, `.` or `..`"
        } else {
            return Ok(Self(path.into()));
        };
        Err(PathError { path: path.to_vec(), reason })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for the file system, to be joined to a directory.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The bytes of the directory it is in; `None` at the top.
    pub fn parent(&self) -> Option<&[u8]> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        Some(&self.0[..slash])
    }

    /// Whether it is somewhere below the directory with these bytes.
    pub fn is_below(&self, directory: &[u8]) -> bool {
        self.0.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
    }
}

impl Ord for FilePath {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        self.0.iter().map(rank).cmp(other.0.iter().map(rank))
    }
}

impl PartialOrd for FilePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Watches entries go by in order: each path once, and below nothing but directories.
#[derive(Debug, Default)]
pub(super) struct Tree {
    last: Option<FilePath>,
    /// The directories around the last entry, outermost first.
    directories: Vec<FilePath>,
}

impl Tree {
    /// Takes the next entry.
    pub(super) fn add(&mut self, path: &FilePath, is_directory: bool) -> Result<(), &'static str> {
        if self.last.as_ref().is_some_and(|last| last >= path) {
            return Err("it comes twice, or out of order");
        }
        while self.directories.last().is_some_and(|around| !path.is_below(around.as_bytes())) {
            self.directories.pop();
        }
        if path.parent() != self.directories.last().map(FilePath::as_bytes) {
            return Err("what it is in is not a directory of the backup");
        }
        if is_directory {
            self.directories.push(path.clone());
        }
        self.last = Some(path.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for text in ["", "/", "/etc", "..", "a/..", "../a", "a/../b", ".", "a//b", "a/", "a\0b"] {
            assert!(FilePath::new(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(FilePath::new(&[b'a'; PATH_LENGTH_MAX + 1]).is_err());
        for text in ["a", "..a", "a..", "...", "a/b.c/-", "\u{e4}/\u{fc}"] {
            assert_eq!(path(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_in_a_directory_follows_it() {
        let mut paths = ["base-old", "base/1", "base", "base.x", "base/1/2", "a"].map(path);
        paths.sort();
        assert_eq!(paths, ["a", "base", "base/1", "base/1/2", "base-old", "base.x"].map(path));
    }

    #[test]
    fn nothing_lies_below_what_is_no_directory() {
        let check = |entries: &[(&str, bool)], expected: bool| {
            let mut tree = Tree::default();
            let (last, before) = entries.split_last().unwrap();
            for (text, is_directory) in before {
                assert_eq!(tree.add(&path(text), *is_directory), Ok(()), "{text}");
            }
            assert_eq!(tree.add(&path(last.0), last.1).is_ok(), expected, "{entries:?}");
        };
        check(&[("a", true), ("a/link", false), ("a/link/x", false)], false);
        check(&[("a", true), ("a/link", false), ("a/link", false)], false);
        check(&[("a", true), ("a/link", false), ("a", true)], false);
        check(&[("a", true), ("b/c", false)], false);
        check(&[("b", false), ("b/c", false)], false);
        check(&[("a", true), ("a/s", true), ("a/s/x", false), ("a/t", false)], true);
        check(&[("a", true), ("a/s", true), ("a/s/x", false), ("b", false)], true);
    }

    proptest! {
        #[test]
        fn any_accepted_path_stays_inside(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = FilePath::new(&bytes) {
                let joined = Path::new("/target").join(path.as_path());
                prop_assert!(joined.starts_with("/target"));
                let plain = path.as_path().components().all(|part| {
                    matches!(part, std::path::Component::Normal(_))
                });
                prop_assert!(plain);
            }
        }
    }
}
