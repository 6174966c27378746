//! Objects as files of a directory, local or on NFS.
//!
//! ```text
//! create   write .<name>.<process>-<counter>.new   fsync
//!          link(2) to <name>                       fails if <name> is there
//!          unlink the temporary name
//!          fsync the directory                     also when <name> was there
//! ```
//!
//! `link` decides who wins and shows only whole files. Where a file system has no hard links,
//! `renameat2` with `RENAME_NOREPLACE` does the same; where it has neither, nothing is created.
//! A directory is made durable in its parent before anything is put into it, and none is ever
//! removed, so that one that was durable once stays so.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use soter_world::disk::{Disk, DiskFile, Entry, FileKind};
use soter_world::durable;

use super::error::{ObjectError, Operation};
use super::{Created, NAME_LENGTH_MAX, ObjectInfo, ObjectStore, check_component, check_name};
use crate::pack::OBJECT_LENGTH_MAX;

/// A store in a directory. Files are readable by their owner alone.
pub struct DirectoryStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Device and inode of the root, to notice that another file system is mounted, or none.
    identity: (u64, u64),
    /// Directories that this process knows to be durable in their parents.
    durable: Mutex<BTreeSet<PathBuf>>,
}

/// How a file got its final name, or did not.
enum Placed {
    Linked,
    Renamed,
    Taken,
}

impl DirectoryStore {
    /// The store in a directory that exists. It is not created here, because the directory of a
    /// vault that is missing is most likely a disk that is not mounted.
    ///
    /// # Errors
    /// `NotFound` or `NotADirectory` when there is none.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        disk.list(root)?;
        // With the dot a symbolic link to the directory is followed.
        let found = disk.metadata(&root.join("."))?;
        let identity = (found.device, found.inode);
        Ok(Self { disk, root: root.to_owned(), identity, durable: Mutex::default() })
    }

    /// The store in a directory that is made if it is missing.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn create(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        durable::create_dir_all_durable(&*disk, root)?;
        Self::open(disk, root)
    }

    /// Removes what writers that died left behind, if it was last written before `older_than`, and
    /// returns how many files that were. A writer that still lives then tries again; so this is
    /// safe at any age, and cheap for everybody at a day.
    ///
    /// # Errors
    /// The first thing the disk refuses. What was found before is removed.
    pub fn sweep_temporaries(&self, older_than: Timestamp) -> Result<u64, ObjectError> {
        let fail = |error| ObjectError::from_io(Operation::Delete, "", error);
        let mut removed = 0;
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for Entry { name, kind } in self.disk.list(&directory).map_err(fail)? {
                let path = directory.join(&name);
                match kind {
                    FileKind::Directory => directories.push(path),
                    FileKind::File if durable::is_temporary(&name) => {
                        removed +=
                            u64::from(self.remove_if_older(&path, older_than).map_err(fail)?);
                    }
                    FileKind::File | FileKind::Symlink | FileKind::Other => {}
                }
            }
        }
        Ok(removed)
    }

    fn remove_if_older(&self, path: &Path, older_than: Timestamp) -> io::Result<bool> {
        let Some(found) = if_found(self.disk.metadata(path))? else { return Ok(false) };
        if found.modified >= older_than {
            return Ok(false);
        }
        Ok(if_found(self.disk.remove_file(path))?.is_some())
    }

    fn path(&self, operation: Operation, name: &str) -> Result<PathBuf, ObjectError> {
        if check_name(name) {
            Ok(self.root.join(name))
        } else {
            Err(ObjectError::bad_name(operation, name))
        }
    }

    /// Makes the directory of a new object, and its parents up to the root, durable.
    fn ensure_directory(&self, directory: &Path) -> io::Result<()> {
        if directory == self.root || self.lock_durable().contains(directory) {
            return Ok(());
        }
        let found = self.disk.metadata(&self.root.join("."))?;
        if (found.device, found.inode) != self.identity {
            return Err(io::Error::other("another directory is now where the vault was"));
        }
        let parent = durable::parent(directory);
        self.ensure_directory(parent)?;
        match self.disk.create_dir(directory) {
            // Whoever made it may not have synced it yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created?,
        }
        self.disk.sync_dir(parent)?;
        self.lock_durable().insert(directory.to_owned());
        Ok(())
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<Created> {
        let directory = durable::parent(path);
        self.ensure_directory(directory)?;
        let (temporary, file) = durable::create_temporary(&*self.disk, path)?;
        let placed = write(&*file, bytes).and_then(|()| self.place(&temporary, &*file, path));
        if !matches!(placed, Ok(Placed::Renamed)) {
            // If this fails a stray file is left, which `sweep_temporaries` removes.
            drop(self.disk.remove_file(&temporary));
        }
        let placed = placed?;
        // Also for an object of somebody else, who may have died before this line: the caller may
        // find it equal to its own and count on it.
        self.disk.sync_dir(directory)?;
        Ok(match placed {
            Placed::Linked | Placed::Renamed => Created::New,
            Placed::Taken => Created::Exists,
        })
    }

    fn place(&self, temporary: &Path, file: &dyn DiskFile, path: &Path) -> io::Result<Placed> {
        match self.disk.link(temporary, path) {
            Ok(()) => Ok(Placed::Linked),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.judge(file, path),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                ) =>
            {
                self.place_by_rename(temporary, file, path)
            }
            // The temporary file was taken for a dead writer's and swept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(io::Error::new(io::ErrorKind::Interrupted, error))
            }
            Err(error) => Err(error),
        }
    }

    fn place_by_rename(
        &self,
        temporary: &Path,
        file: &dyn DiskFile,
        path: &Path,
    ) -> io::Result<Placed> {
        let Err(error) = self.disk.rename_noreplace(temporary, path) else {
            return Ok(Placed::Renamed);
        };
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.judge(file, path),
            io::ErrorKind::NotFound if matches!(self.judge(file, path), Ok(Placed::Linked)) => {
                Ok(Placed::Renamed)
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Err(io::Error::other(
                "this file system has neither hard links nor a rename that does not replace",
            )),
            _ => Err(error),
        }
    }

    /// Whose the name is that we wanted for this file. It can be ours: NFS repeats a request whose
    /// answer was lost, and the second answer says "exists". Our file having two names would not
    /// prove that by itself, since somebody may be copying the vault by links.
    fn judge(&self, file: &dyn DiskFile, path: &Path) -> io::Result<Placed> {
        let (ours, there) = (file.metadata()?, self.disk.metadata(path)?);
        if (there.device, there.inode) == (ours.device, ours.inode) {
            Ok(Placed::Linked)
        } else if there.kind == FileKind::File {
            Ok(Placed::Taken)
        } else {
            Err(io::Error::other("something that is no object has that name"))
        }
    }

    fn read_file(&self, path: &Path, offset: u64, length_max: usize) -> io::Result<Vec<u8>> {
        let file = self.disk.open(path)?;
        let found = file.metadata()?;
        if found.kind != FileKind::File {
            return Err(io::ErrorKind::NotFound.into());
        }
        let length = found.size.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(length_max)];
        file.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn find(&self, path: &Path, name: &str) -> io::Result<Option<ObjectInfo>> {
        let found = if_found(self.disk.metadata(path))?;
        Ok(found.filter(|found| found.kind == FileKind::File).map(|found| ObjectInfo {
            name: name.to_owned(),
            size: found.size,
            modified: found.modified,
        }))
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        match self.disk.sync_dir(durable::parent(path)) {
            // What cannot be written cannot be lost either.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            synced => synced,
        }
    }

    fn collect(
        &self,
        directory: &str,
        query: &Query<'_>,
        found: &mut Vec<ObjectInfo>,
    ) -> io::Result<()> {
        let entries = if_found(self.disk.list(&self.root.join(directory)))?;
        // A directory sorts as its names do, which all have a slash behind its own.
        let mut keys: Vec<(String, FileKind)> =
            entries.iter().flatten().filter_map(|entry| key(directory, entry)).collect();
        keys.sort_by(|left, right| left.0.cmp(&right.0));
        for (key, kind) in keys {
            if found.len() == query.limit {
                return Ok(());
            }
            match kind {
                FileKind::Directory if query.may_be_in(&key) => self.collect(&key, query, found)?,
                FileKind::File if query.wants(&key) => {
                    found.extend(self.find(&self.root.join(&key), &key)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn lock_durable(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectStore for DirectoryStore {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        let path = self.path(Operation::Create, name)?;
        if bytes.len() > OBJECT_LENGTH_MAX {
            return Err(ObjectError::too_long(Operation::Create, name));
        }
        self.put(&path, bytes).map_err(|e| ObjectError::from_io(Operation::Create, name, e))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        let path = self.path(Operation::Read, name)?;
        let bytes = self
            .read_file(&path, 0, OBJECT_LENGTH_MAX + 1)
            .map_err(|error| ObjectError::from_io(Operation::Read, name, error))?;
        if bytes.len() > OBJECT_LENGTH_MAX {
            return Err(ObjectError::too_long(Operation::Read, name));
        }
        Ok(bytes)
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        let path = self.path(Operation::Read, name)?;
        self.read_file(&path, offset, length)
            .map_err(|error| ObjectError::from_io(Operation::Read, name, error))
    }

    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        let path = self.path(Operation::Head, name)?;
        let fail = |error| ObjectError::from_io(Operation::Head, name, error);
        let Some(found) = self.find(&path, name).map_err(fail)? else { return Ok(None) };
        self.sync_parent(&path).map_err(fail)?;
        Ok(Some(found))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        let directory = prefix.rsplit_once('/').map_or("", |(directory, _)| directory);
        if !directory.is_empty() && !check_name(directory) {
            return Ok(Vec::new());
        }
        let directory = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let mut found = Vec::new();
        self.collect(&directory, &Query { prefix, after, limit }, &mut found)
            .map_err(|error| ObjectError::from_io(Operation::List, prefix, error))?;
        Ok(found)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let path = self.path(Operation::Delete, name)?;
        let deleted = match if_found(self.disk.remove_file(&path)) {
            Ok(Some(())) => self.disk.sync_dir(durable::parent(&path)),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        deleted.map_err(|error| ObjectError::from_io(Operation::Delete, name, error))
    }
}

/// What a list is asked for.
struct Query<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
}

impl Query<'_> {
    fn wants(&self, name: &str) -> bool {
        name.starts_with(self.prefix) && self.after.is_none_or(|after| name > after)
    }

    /// Whether a name that begins with `directory`, which ends in a slash, may be wanted.
    fn may_be_in(&self, directory: &str) -> bool {
        let fits = directory.starts_with(self.prefix) || self.prefix.starts_with(directory);
        fits && self.after.is_none_or(|after| directory > after || after.starts_with(directory))
    }
}

/// The name of the object behind a directory entry, or the beginning of all names in a directory.
/// `None` for what is not ours.
fn key(directory: &str, entry: &Entry) -> Option<(String, FileKind)> {
    let name = entry.name.to_str().filter(|name| check_component(name))?;
    let slash = if entry.kind == FileKind::Directory { "/" } else { "" };
    let key = format!("{directory}{name}{slash}");
    (key.len() <= NAME_LENGTH_MAX).then_some((key, entry.kind))
}

fn write(file: &dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    file.write_at(0, bytes)?;
    file.sync()
}

/// Absence as a value. A name below a file or of a directory is no object's either.
fn if_found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if means_absent(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn means_absent(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | NotADirectory | IsADirectory)
}
