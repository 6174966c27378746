//! Files of the archive in a vault: push, fetch, look.
//!
//! A name belongs to the first of its objects (it, then `.r1` to `.r9`) that an authorised agent
//! signed for it. The rule: that one is never overwritten and never chosen against; the others are
//! reported and never served.

use soter_world::Clock;

use super::error::{Fault, Finding, WalError};
use super::head::Head;
use super::place::{Archive, ArchiveFile};
use super::sealed::{OpenError, SealedFile, Sealer, WalSource, check, open};
use crate::ids::ContentId;
use crate::keys::{ReaderKeys, Trust};
use crate::names::{REPAIRS_MAX, repair_of};
use crate::objects::{ObjectError, ObjectErrorKind, ObjectStore, Once, Operation, create_once};
use crate::pack::OBJECT_LENGTH_MAX;

/// A first read of this many bytes holds every head whose key is wrapped to one recipient.
const HEAD_LENGTH_USUAL: usize = 1024;

/// The WAL of one life of one cluster in one vault.
#[derive(Clone, Copy)]
pub struct WalVault<'a> {
    /// Where the objects are.
    pub store: &'a dyn ObjectStore,
    /// For the pauses between tries.
    pub clock: &'a dyn Clock,
    /// Who may sign.
    pub trust: &'a Trust,
    /// Whose WAL.
    pub archive: Archive,
}

/// What became of a push. The file is durable in the vault either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was stored.
    New,
    /// It was there already, byte for byte.
    AlreadyThere,
}

/// A file that is in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// By this call or before.
    pub outcome: Outcome,
    /// The object that holds it: its name or a repair of it.
    pub object: String,
    /// Its content id.
    pub content: ContentId,
    /// Length of the object in bytes.
    pub stored_bytes: u64,
    /// Objects under its name that do not count. Each is an attack or damage: alarm.
    pub findings: Vec<Finding>,
}

/// A file's object that may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its name, or a repair of it.
    pub object: String,
    /// What it says.
    pub head: Head,
    /// Objects under the name that do not count.
    pub findings: Vec<Finding>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its content.
    pub bytes: Vec<u8>,
    /// The id of its content, which was compared with what the object's signer said.
    pub content: ContentId,
    /// The object it was read from.
    pub object: String,
    /// Objects under the name that do not count.
    pub findings: Vec<Finding>,
}

/// The objects of a name, up to the first that counts.
struct Search<T> {
    found: Option<(String, T)>,
    findings: Vec<Finding>,
    /// Where another object would go.
    free: Option<String>,
}

impl WalVault<'_> {
    /// Stores a file unless it is there. Reads it once: to seal it, or to compare it.
    ///
    /// # Errors
    /// See [`WalError`]; [`WalError::Conflict`] when other bytes have the name.
    pub fn push(
        &self,
        sealer: &Sealer<'_>,
        file: &ArchiveFile,
        source: &mut dyn WalSource,
    ) -> Result<Pushed, WalError> {
        let search = self.search(file)?;
        if search.found.is_some() {
            let content = sealer.content_of(source)?;
            return settle(search, content);
        }
        let sealed = sealer.seal(file, source)?;
        self.create(&sealed, search)
    }

    /// The same for a file whose object may be damaged behind its head, which `push` does not look
    /// at: objects under the name are read as a whole, and if none is good the file is stored beside
    /// them.
    ///
    /// # Errors
    /// As for [`WalVault::push`].
    pub fn mend(
        &self,
        sealer: &Sealer<'_>,
        file: &ArchiveFile,
        source: &mut dyn WalSource,
    ) -> Result<Pushed, WalError> {
        let search = self.search_with(file, |object| {
            Ok(self
                .read(object)?
                .map(|read| read.and_then(|bytes| check(file, self.trust, &bytes))))
        })?;
        if search.found.is_some() {
            let content = sealer.content_of(source)?;
            return settle(search, content);
        }
        let sealed = sealer.seal(file, source)?;
        // Damaged frames, but a head that is signed: it still says which file it was.
        let by_head = self.search(file)?;
        if by_head.found.is_some() {
            settle(by_head, sealed.content)?;
        }
        self.create(&sealed, search)
    }

    /// Stores a file that is sealed already, for instance for several vaults.
    ///
    /// # Errors
    /// As for [`WalVault::push`].
    pub fn put(&self, sealed: &SealedFile) -> Result<Pushed, WalError> {
        let search = self.search(&sealed.file)?;
        if search.found.is_some() {
            settle(search, sealed.content)
        } else {
            self.create(sealed, search)
        }
    }

    /// Reads a file. `None` when it is not there; a damaged or forged one is an error, unless a
    /// repair of it can be read.
    ///
    /// # Errors
    /// [`WalError::Damaged`], [`WalError::Key`], [`WalError::Store`].
    pub fn fetch(
        &self,
        file: &ArchiveFile,
        keys: &ReaderKeys,
        workers: usize,
    ) -> Result<Option<Fetched>, WalError> {
        let try_one = |object: &str| match self.read(object)? {
            None => Ok(None),
            Some(Err(fault)) => Ok(Some(Err(fault))),
            Some(Ok(bytes)) => match check_and_open(file, self.trust, keys, &bytes, workers) {
                Ok(opened) => Ok(Some(Ok(opened))),
                Err(OpenError::Fault(fault)) => Ok(Some(Err(fault))),
                Err(OpenError::Key(error)) => Err(error.into()),
            },
        };
        let first = first_that_counts(&file.name(), try_one)?;
        Ok(first.map(|(object, (bytes, content), findings)| Fetched {
            bytes,
            content,
            object,
            findings,
        }))
    }

    /// Looks for a file without reading its contents: its head, and that the object is as long as
    /// the head says and durable.
    ///
    /// # Errors
    /// [`WalError::Damaged`], [`WalError::Store`].
    pub fn locate(&self, file: &ArchiveFile) -> Result<Option<Located>, WalError> {
        let first = first_that_counts(&file.name(), |object| self.head_at(file, object))?;
        Ok(first.map(|(object, head, findings)| Located { object, head, findings }))
    }

    /// A whole object, if it is there.
    pub(crate) fn read(&self, object: &str) -> Result<Option<Result<Vec<u8>, Fault>>, WalError> {
        match self.store.read(object) {
            Ok(bytes) => Ok(Some(Ok(bytes))),
            Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
            Err(error) => Ok(Some(Err(self.too_long(object, error)?))),
        }
    }

    /// Whether a read failed because a stranger put something there that is too long to be read.
    pub(crate) fn too_long(&self, object: &str, error: ObjectError) -> Result<Fault, WalError> {
        if error.kind() == ObjectErrorKind::Failed && error.operation() == Operation::Read {
            let found = self.store.head(object)?.map_or(0, |info| info.size);
            if found > OBJECT_LENGTH_MAX as u64 {
                return Ok(Fault::Length { found, expected: OBJECT_LENGTH_MAX as u64 });
            }
        }
        Err(error.into())
    }

    /// The head of one object, if it is there and may be believed.
    pub(crate) fn head_at(
        &self,
        file: &ArchiveFile,
        object: &str,
    ) -> Result<Option<Result<Head, Fault>>, WalError> {
        let read = |length| match self.store.read_range(object, 0, length) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let Some(mut bytes) = read(HEAD_LENGTH_USUAL)? else { return Ok(None) };
        if let Ok(length) = Head::length_of(&bytes)
            && length > bytes.len()
        {
            let Some(again) = read(length)? else { return Ok(None) };
            bytes = again;
        }
        let head = match Head::parse(&bytes)
            .and_then(|head| head.check(file, self.trust).map(|()| head))
        {
            Ok(head) => head,
            Err(fault) => return Ok(Some(Err(fault))),
        };
        // What `head` finds is durable, which what was read need not be.
        let Some(info) = self.store.head(object)? else { return Ok(None) };
        let (found, expected) = (info.size, head.object_length());
        let whole = found == expected;
        Ok(Some(if whole { Ok(head) } else { Err(Fault::Length { found, expected }) }))
    }

    fn search(&self, file: &ArchiveFile) -> Result<Search<Head>, WalError> {
        self.search_with(file, |object| self.head_at(file, object))
    }

    fn search_with(
        &self,
        file: &ArchiveFile,
        look: impl Fn(&str) -> Result<Option<Result<Head, Fault>>, WalError>,
    ) -> Result<Search<Head>, WalError> {
        let mut findings = Vec::new();
        for object in names(&file.name()) {
            match look(&object)? {
                None => return Ok(Search { found: None, findings, free: Some(object) }),
                Some(Ok(head)) => {
                    return Ok(Search { found: Some((object, head)), findings, free: None });
                }
                Some(Err(fault)) => findings.push(Finding { object, fault }),
            }
        }
        Ok(Search { found: None, findings, free: None })
    }

    fn create(&self, sealed: &SealedFile, search: Search<Head>) -> Result<Pushed, WalError> {
        let name = sealed.file.name();
        let Search { mut findings, free, .. } = search;
        let first =
            free.ok_or_else(|| WalError::Taken { name: name.clone(), findings: findings.clone() })?;
        for object in names(&name).skip_while(|object| *object != first) {
            let taken = match create_once(self.store, self.clock, &object, &sealed.bytes) {
                Ok(Once::New | Once::Same) => {
                    let outcome = Outcome::New;
                    let stored_bytes = sealed.bytes.len() as u64;
                    let content = sealed.content;
                    return Ok(Pushed { outcome, object, content, stored_bytes, findings });
                }
                Ok(Once::Taken(bytes)) => check(&sealed.file, self.trust, &bytes),
                Err(error) => Err(self.too_long(&object, error)?),
            };
            match taken {
                Ok(head) => {
                    let search = Search { found: Some((object, head)), findings, free: None };
                    return settle(search, sealed.content);
                }
                Err(fault) => findings.push(Finding { object, fault }),
            }
        }
        Err(WalError::Taken { name, findings })
    }
}

/// The same name again: equal content is success, other content a conflict.
fn settle(search: Search<Head>, ours: ContentId) -> Result<Pushed, WalError> {
    let Search { found, findings, .. } = search;
    let (object, head) = found.expect("the caller has found one");
    if head.content != ours {
        return Err(WalError::Conflict { object, ours, theirs: head.content });
    }
    let stored_bytes = head.object_length();
    Ok(Pushed { outcome: Outcome::AlreadyThere, object, content: ours, stored_bytes, findings })
}

/// Tries a name and its repairs until one counts. `try_one` says `None` for what is not there.
/// Repairs are written without gaps, so an absent name needs one more look, not nine; once there is
/// something wrong all are tried.
pub(crate) fn first_that_counts<T>(
    name: &str,
    mut try_one: impl FnMut(&str) -> Result<Option<Result<T, Fault>>, WalError>,
) -> Result<Option<(String, T, Vec<Finding>)>, WalError> {
    let mut findings = Vec::new();
    for (number, object) in names(name).enumerate() {
        match try_one(&object)? {
            None if number > 0 && findings.is_empty() => return Ok(None),
            None => {}
            Some(Ok(value)) => return Ok(Some((object, value, findings))),
            Some(Err(fault)) => findings.push(Finding { object, fault }),
        }
    }
    Err(WalError::Damaged { name: name.to_owned(), findings })
}

fn check_and_open(
    file: &ArchiveFile,
    trust: &Trust,
    keys: &ReaderKeys,
    object: &[u8],
    workers: usize,
) -> Result<(Vec<u8>, ContentId), OpenError> {
    let head = Head::parse(object)?;
    head.check(file, trust)?;
    Ok((open(&head, file, object, keys, workers)?, head.content))
}

/// A name and its repairs, in the order in which they are written.
pub(crate) fn names(name: &str) -> impl Iterator<Item = String> {
    let repairs = (1..=REPAIRS_MAX).map(|number| repair_of(name, number)).collect::<Vec<_>>();
    std::iter::once(name.to_owned()).chain(repairs)
}

#[cfg(test)]
mod tests;
