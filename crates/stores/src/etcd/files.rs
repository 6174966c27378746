//! The files that a snapshot needs beside it: found by patterns, kept with owner and mode.
//!
//! The rule it keeps: a pattern that finds nothing is an error. A token that silently was not there is
//! missed on the day it is needed.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use soter_vault::map::{Attributes, FileOwner, FilePath, PathError, SourceFile, SourceKind};
use soter_world::Disk;
use soter_world::disk::{FileKind, Metadata};

use crate::etcd::record::{TAKEN_PREFIX, TakenFile};

/// More files than this are no keys and configuration, but a wrong pattern.
const FILES_MAX: usize = 10_000;

/// More bytes than this likewise.
const BYTES_MAX: u64 = 256 << 20;

/// Files that cannot be taken along.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A pattern finds nothing: correct `files`, or take it out.
    #[error("there is nothing at {pattern}, which is to be taken along")]
    Nothing {
        /// The pattern.
        pattern: String,
    },
    /// A file cannot be read: run as root, or as their owner.
    #[error("cannot read {path}, which is to be taken along")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A link leads to a directory: name the directory itself.
    #[error("{path} is a link to a directory, whose files would not be found again")]
    LinkedDirectory {
        /// The link.
        path: PathBuf,
    },
    /// Too many or too large: the patterns find what they should not.
    #[error("what is to be taken along is more than {FILES_MAX} files or 256 MiB")]
    TooMuch,
    /// A path that cannot be in a backup.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Files to be taken along.
#[derive(Debug, Default)]
pub(super) struct TakenFiles {
    /// For the map's writer, in the order of their paths.
    pub(super) plan: Vec<SourceFile>,
    /// Of the n-th of the plan: from where it is read; none for directories.
    pub(super) sources: Vec<Option<PathBuf>>,
    /// What is said about them.
    pub(super) record: Vec<TakenFile>,
    /// What was left out.
    pub(super) remarks: Vec<String>,
}

impl TakenFiles {
    /// Finds what the patterns name.
    ///
    /// # Errors
    /// See [`FilesError`].
    pub(super) fn find(disk: &dyn Disk, patterns: &[String]) -> Result<Self, FilesError> {
        let mut search = Search { disk, found: BTreeMap::new(), bytes: 0, remarks: Vec::new() };
        for pattern in patterns {
            let names: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty()).collect();
            if !search.matching(Path::new("/"), &names)? {
                return Err(FilesError::Nothing { pattern: pattern.clone() });
            }
        }
        search.into_files()
    }
}

/// Whether what the patterns name is there and can be read; how many files that are.
///
/// # Errors
/// See [`FilesError`].
pub fn check_files(disk: &dyn Disk, patterns: &[String]) -> Result<usize, FilesError> {
    let found = TakenFiles::find(disk, patterns)?;
    for path in found.sources.iter().flatten() {
        let unreadable = |source| FilesError::Unreadable { path: path.clone(), source };
        disk.open(path).map_err(unreadable)?;
    }
    Ok(found.record.len())
}

struct Search<'d> {
    disk: &'d dyn Disk,
    found: BTreeMap<PathBuf, Metadata>,
    bytes: u64,
    remarks: Vec<String>,
}

impl Search<'_> {
    /// Takes what lies below `at` by these names; whether there was any.
    fn matching(&mut self, at: &Path, names: &[&str]) -> Result<bool, FilesError> {
        let Some((name, rest)) = names.split_first() else { return self.take(at).map(|()| true) };
        if !name.contains(['*', '?']) {
            let path = at.join(name);
            return match self.disk.metadata(&path) {
                Ok(_) => self.matching(&path, rest),
                Err(error) if is_absent(&error) => Ok(false),
                Err(source) => Err(FilesError::Unreadable { path, source }),
            };
        }
        let entries = match self.disk.list(at) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(source) => return Err(FilesError::Unreadable { path: at.to_owned(), source }),
        };
        let mut any = false;
        for entry in entries {
            let fits = entry.name.to_str().is_some_and(|found| is_like(found, name));
            if fits {
                any |= self.matching(&at.join(&entry.name), rest)?;
            }
        }
        Ok(any)
    }

    /// Takes a file, or a directory with everything in it.
    fn take(&mut self, path: &Path) -> Result<(), FilesError> {
        let unreadable = |source| FilesError::Unreadable { path: path.to_owned(), source };
        let mut metadata = self.disk.metadata(path).map_err(unreadable)?;
        if metadata.kind == FileKind::Symlink {
            // Its content is what counts, wherever it lies.
            let opened = self.disk.open(path).map_err(unreadable)?;
            metadata = opened.metadata().map_err(unreadable)?;
            if metadata.kind == FileKind::Directory {
                return Err(FilesError::LinkedDirectory { path: path.to_owned() });
            }
        }
        match metadata.kind {
            FileKind::Directory => {
                for entry in self.disk.list(path).map_err(unreadable)? {
                    self.take(&path.join(&entry.name))?;
                }
            }
            FileKind::File => {
                // Whoever may not read it hears of it before the snapshot is taken.
                self.disk.open(path).map_err(unreadable)?;
                self.bytes = self.bytes.saturating_add(metadata.size);
            }
            FileKind::Symlink | FileKind::Other => {
                self.remarks.push(format!("left out, it is no file: {}", path.display()));
                return Ok(());
            }
        }
        self.found.insert(path.to_owned(), metadata);
        if self.found.len() > FILES_MAX || self.bytes > BYTES_MAX {
            return Err(FilesError::TooMuch);
        }
        Ok(())
    }

    fn into_files(self) -> Result<TakenFiles, FilesError> {
        let mut taken = TakenFiles { remarks: self.remarks, ..TakenFiles::default() };
        let mut rows: BTreeMap<FilePath, (Attributes, SourceKind, Option<PathBuf>)> =
            BTreeMap::new();
        for (path, metadata) in &self.found {
            for above in path.ancestors().skip(1).filter(|above| !self.found.contains_key(*above)) {
                // A directory that was not taken keeps who may enter it.
                let unreadable = |source| FilesError::Unreadable { path: above.to_owned(), source };
                let metadata = self.disk.metadata(above).map_err(unreadable)?;
                rows.insert(place(above)?, (attributes(&metadata), SourceKind::Directory, None));
            }
            let (kind, source) = match metadata.kind {
                FileKind::Directory => (SourceKind::Directory, None),
                _ => (SourceKind::File { size: metadata.size }, Some(path.clone())),
            };
            rows.insert(place(path)?, (attributes(metadata), kind, source));
            if metadata.kind == FileKind::File {
                taken.record.push(TakenFile {
                    path: path.display().to_string(),
                    mode: metadata.mode,
                    user: metadata.owner.user,
                    group: metadata.owner.group,
                    bytes: metadata.size,
                });
            }
        }
        for (path, (attributes, kind, source)) in rows {
            taken.plan.push(SourceFile { path, attributes, kind });
            taken.sources.push(source);
        }
        Ok(taken)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Where a path of the machine is in a backup.
fn place(path: &Path) -> Result<FilePath, PathError> {
    let whole = [TAKEN_PREFIX.as_bytes(), path.as_os_str().as_bytes()].concat();
    FilePath::new(whole.strip_suffix(b"/").unwrap_or(&whole))
}

fn attributes(metadata: &Metadata) -> Attributes {
    let owner = FileOwner {
        user: metadata.owner.user,
        group: metadata.owner.group,
        ..FileOwner::default()
    };
    Attributes { mode: metadata.mode & 0o7777, owner: Arc::new(owner), modified: metadata.modified }
}

/// Whether a name is like a pattern: `*` stands for any letters, `?` for one.
fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) =
        (name.chars().collect(), pattern.chars().collect());
    // Where the pattern can stand after each letter of the name.
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    let skip_stars = |at: &mut Vec<bool>| {
        for (index, letter) in pattern.iter().enumerate() {
            at[index + 1] |= at[index] && *letter == '*';
        }
    };
    skip_stars(&mut at);
    for letter in &name {
        let mut next = vec![false; pattern.len() + 1];
        for (index, wanted) in pattern.iter().enumerate() {
            next[index] |= at[index] && *wanted == '*';
            next[index + 1] |=
                at[index] && (*wanted == '?' || (wanted == letter && *wanted != '*'));
        }
        skip_stars(&mut next);
        at = next;
    }
    at[pattern.len()]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use soter_world::OsDisk;

    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_letters() {
        for (name, pattern, expected) in [
            ("token", "token", true),
            ("token", "tok*", true),
            ("token", "*", true),
            ("token", "*k*n", true),
            ("token", "t?ken", true),
            ("token", "t?en", false),
            ("token", "token?", false),
            ("a*b", "a*b", true),
            ("", "*", true),
            ("x", "", false),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        }
    }

    fn find(root: &Path, patterns: &[&str]) -> Result<TakenFiles, FilesError> {
        let patterns: Vec<String> =
            patterns.iter().map(|pattern| format!("{}{pattern}", root.display())).collect();
        TakenFiles::find(&OsDisk, &patterns)
    }

    fn write(path: &Path, text: &str) {
        use std::io::Write;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_patterns_name_is_taken_with_modes_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for name in ["tls/a.crt", "tls/a.key", "tls/deep/b.key", "cred/x.json", "cred/y.txt"] {
            write(&root.join(name), name);
        }
        fs::set_permissions(root.join("tls/a.key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(root.join("tls"), fs::Permissions::from_mode(0o710)).unwrap();
        symlink("a.crt", root.join("tls/link")).unwrap();
        let taken = find(root, &["/tls", "/cr?d/*.json", "/tls/a.key"]).unwrap();
        let names: Vec<_> = taken
            .record
            .iter()
            .map(|file| Path::new(&file.path).strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["cred/x.json", "tls/a.crt", "tls/a.key", "tls/deep/b.key", "tls/link"]);
        let key = taken.record.iter().find(|file| file.path.ends_with("a.key")).unwrap();
        assert_eq!((key.mode, key.bytes), (0o600, 9));
        let at = |name: &str| {
            let path = super::place(&root.join(name)).unwrap();
            taken.plan.iter().find(|file| file.path == path).unwrap()
        };
        assert_eq!(at("tls").attributes.mode, 0o710);
        assert_eq!(at("tls/link").kind, SourceKind::File { size: 9 }, "what it leads to is kept");
        assert_eq!(taken.plan[0].path, FilePath::new(b"files").unwrap());
        assert!(taken.plan.is_sorted_by(|one, other| one.path < other.path));
    }

    #[test]
    fn what_is_not_there_or_cannot_be_taken_is_named() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        write(&root.join("token"), "secret");
        fs::create_dir(root.join("empty")).unwrap();
        symlink(root.join("empty"), root.join("way")).unwrap();
        for pattern in ["/tokens", "/token/below", "/*.key", "/empty/*"] {
            let error = find(root, &["/token", pattern]).unwrap_err();
            assert!(matches!(error, FilesError::Nothing { .. }), "{pattern}: {error}");
            assert!(error.to_string().contains(pattern), "{error}");
        }
        let error = find(root, &["/way"]).unwrap_err();
        assert!(matches!(error, FilesError::LinkedDirectory { .. }), "{error}");
        let sparse = fs::File::create(root.join("large")).unwrap();
        sparse.set_len(BYTES_MAX + 1).unwrap();
        assert!(matches!(find(root, &["/large"]).unwrap_err(), FilesError::TooMuch));
        assert_eq!(find(root, &["/empty"]).unwrap().record, []);
    }
}
