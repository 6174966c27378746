//! The files of a backup as they are written below a directory, with the owners and modes they had.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use soter_vault::map::{FileEntry, Sink, SinkFile};
use soter_world::DiskFile;
use soter_world::disk::Owner;

use super::RestoreTarget;
use crate::etcd::SNAPSHOT_FILE;

/// Writes the files of a backup below a directory.
pub(super) struct DirectorySink<'a> {
    target: &'a RestoreTarget<'a>,
    root: &'a Path,
    /// Modes and owners of directories, set when everything in them is there.
    directories: Mutex<Vec<(PathBuf, u32, Owner)>>,
}

impl<'a> DirectorySink<'a> {
    pub(super) fn new(target: &'a RestoreTarget<'a>, root: &'a Path) -> Self {
        Self { target, root, directories: Mutex::default() }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        let directories = self.directories.into_inner().unwrap_or_default();
        for (path, mode, owner) in directories.into_iter().rev() {
            self.target.give(&path, mode, owner)?;
        }
        Ok(())
    }
}

impl RestoreTarget<'_> {
    fn give(&self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        if self.keeps_owners {
            self.disk.set_owner(path, owner)?;
        }
        self.disk.set_mode(path, mode)
    }
}

fn owner_of(entry: &FileEntry) -> Owner {
    let owner = &entry.attributes.owner;
    Owner { user: owner.user, group: owner.group }
}

impl Sink for DirectorySink<'_> {
    fn directory(&self, entry: &FileEntry) -> io::Result<()> {
        let path = self.root.join(entry.path.as_path());
        self.target.disk.create_dir(&path)?;
        if let Ok(mut directories) = self.directories.lock() {
            directories.push((path, entry.attributes.mode, owner_of(entry)));
        }
        Ok(())
    }

    fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
        // A backup of an etcd has none: what links led to was kept.
        Ok(())
    }

    fn file(&self, entry: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        let path = self.root.join(entry.path.as_path());
        let file = self.target.disk.create(&path)?;
        if entry.path.as_path() != Path::new(SNAPSHOT_FILE) {
            self.target.give(&path, entry.attributes.mode, owner_of(entry))?;
        }
        file.set_len(size)?;
        Ok(Box::new(Written(file)))
    }
}

struct Written(Box<dyn DiskFile>);

impl SinkFile for Written {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn finish(&self) -> io::Result<()> {
        // One sync of the file system follows when everything is written.
        Ok(())
    }
}
