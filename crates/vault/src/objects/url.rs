//! Where a vault is, as one word: `file:///srv/vault`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use soter_world::Disk;

use super::{DirectoryStore, ObjectStore};

/// A vault's URL leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Correct the URL.
    #[error("{url:?} is not the URL of a vault: {reason}")]
    Malformed {
        /// As given.
        url: String,
        /// What is wrong, with an example of what is right.
        reason: &'static str,
    },
    /// This version cannot reach such a place. Keep the vault in a directory.
    #[error("vaults on {scheme:?} cannot be reached by this version, only file:///directory")]
    Scheme {
        /// The word before the colon.
        scheme: String,
    },
    /// The directory is not there (is its disk mounted?), or cannot be used.
    #[error("cannot open the vault's directory {}", path.display())]
    Directory {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The store at a URL. Nothing is created.
///
/// # Errors
/// [`UrlError`].
pub fn open_url(url: &str, disk: Arc<dyn Disk>) -> Result<Arc<dyn ObjectStore>, UrlError> {
    open_with(url, |path| DirectoryStore::open(disk, path))
}

/// The store at a URL, made if it is missing, for a vault that is about to be founded.
///
/// # Errors
/// [`UrlError`].
pub fn create_url(url: &str, disk: Arc<dyn Disk>) -> Result<Arc<dyn ObjectStore>, UrlError> {
    open_with(url, |path| DirectoryStore::create(disk, path))
}

fn open_with(
    url: &str,
    open: impl FnOnce(&Path) -> io::Result<DirectoryStore>,
) -> Result<Arc<dyn ObjectStore>, UrlError> {
    let path = directory_of(url)?;
    match open(&path) {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(UrlError::Directory { path, source }),
    }
}

fn directory_of(url: &str) -> Result<PathBuf, UrlError> {
    let malformed = |reason| UrlError::Malformed { url: url.to_owned(), reason };
    let (scheme, rest) = url
        .split_once(':')
        .ok_or_else(|| malformed("it has no scheme; a directory is written file:///srv/vault"))?;
    if scheme != "file" {
        return Err(UrlError::Scheme { scheme: scheme.to_owned() });
    }
    let path = rest
        .strip_prefix("//")
        .ok_or_else(|| malformed("behind file: come three slashes, as in file:///srv/vault"))?;
    if !path.starts_with('/') {
        return Err(malformed("a directory is on this machine and absolute: file:///srv/vault"));
    }
    if path.contains(['?', '#']) {
        return Err(malformed("? and # have a meaning in a URL; write %3F and %23"));
    }
    percent_decode(path)
        .filter(|bytes| !bytes.contains(&0))
        .map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
        .ok_or_else(|| malformed("% must be followed by two hex digits, and not by 00"))
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        decoded.extend(hex::decode(digits).ok()?);
        rest = tail;
    }
    Some(decoded)
}
