//! Files and directories as an argument.
//!
//! [`Disk`] is the file system as POSIX promises it, no more: a write is durable once the *file* was
//! synced, a name once its *directory* was. [`OsDisk`] is the real one,
//! [`SimDisk`](crate::sim::SimDisk) the one that loses whatever was not synced. Ready-made durable
//! operations are in [`durable`](crate::durable).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags};

/// A file system.
///
/// Paths follow symbolic links in all components but the last; the last one is followed only where
/// a method says so. No method makes anything durable unless it says so.
pub trait Disk: Send + Sync {
    /// Creates a file that must not exist (`O_EXCL`), open for reading and writing, mode 0600.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, be it by a dangling symbolic link.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading. Follows a symbolic link.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for reading and writing. Follows a symbolic link.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives the file at `from` the second name `to` (`link(2)`).
    ///
    /// # Errors
    /// `AlreadyExists` when `to` is taken; `Unsupported` or `PermissionDenied` on file systems
    /// without hard links.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames, replacing what was at `to`.
    ///
    /// # Errors
    /// Whatever the file system says; both names are then as before.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames only if nothing is at `to` (`renameat2` with `RENAME_NOREPLACE`).
    ///
    /// # Errors
    /// `AlreadyExists` when `to` is taken; `InvalidInput` or `Unsupported` where the kernel or the
    /// file system cannot promise it.
    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory, mode 0700. Its parent must exist.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` when it is not empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a symbolic link at `path` that says `target`.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;

    /// What the symbolic link at `path` says.
    ///
    /// # Errors
    /// `InvalidInput` when it is something else.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// The entries of a directory, sorted by the bytes of their names. Follows a symbolic link.
    /// An entry that is created or removed meanwhile may be missing or present.
    ///
    /// # Errors
    /// `NotADirectory` when it is something else.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// What is at `path`; a symbolic link is described, not followed (`lstat`).
    ///
    /// # Errors
    /// `NotFound` when nothing is there.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Sets the permission bits. Follows a symbolic link.
    ///
    /// # Errors
    /// `PermissionDenied` when the file is somebody else's.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Sets the owner; a symbolic link's own, not that of what it points to.
    ///
    /// # Errors
    /// `PermissionDenied` for everyone but root.
    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()>;

    /// Makes the names in a directory durable: what was created, renamed and removed in it.
    ///
    /// # Errors
    /// After an error nothing is known about any of these names, and repeating it proves nothing.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// Makes everything on the file system that holds `directory` durable (`syncfs`). It is the
    /// cheap way to sync a great many files that were all just written.
    ///
    /// # Errors
    /// As for [`Disk::sync_dir`].
    fn sync_filesystem(&self, directory: &Path) -> io::Result<()>;

    /// How many bytes can still be written to the file system that holds `directory`.
    ///
    /// # Errors
    /// `NotFound` when the directory is not there.
    fn available_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// An open file. It stays usable when its name is removed. Positions are given, never remembered,
/// so one value can serve many threads.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait DiskFile: Send + Sync {
    /// Reads at most `buffer.len()` bytes at `offset`; 0 means the end of the file.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`, growing the file if needed; a gap reads as zeros.
    ///
    /// # Errors
    /// After an error an unknown part has been written. `StorageFull` when there is no space.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes the contents and the length durable; not the name ([`Disk::sync_dir`] does).
    ///
    /// # Errors
    /// After an error the file must be written anew: the kernel may have dropped the bytes, and a
    /// second sync that succeeds proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// What is known of the open file, whatever its name is by now.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn metadata(&self) -> io::Result<Metadata>;

    /// Says that this range will be read soon, so that the disk can begin now. Nothing is promised
    /// and nothing can fail.
    fn will_need(&self, _offset: u64, _length: u64) {}

    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.size)
    }

    /// Fills all of `buffer` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(offset + done as u64, &mut buffer[done..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name alone, without its directory.
    pub name: OsString,
    /// What it names.
    pub kind: FileKind,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, a pipe, a device.
    Other,
}

/// What the file system knows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// Permission bits, without the kind.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
    /// When its contents last changed, by the clock of the file system.
    pub modified: Timestamp,
    /// When its contents, its names or its attributes last changed. No program can set it, so a copy
    /// never has its original's.
    pub changed: Timestamp,
    /// How many names it has.
    pub links: u64,
    /// The file behind the name, unique on its device while it exists.
    pub inode: u64,
    /// The device that holds it.
    pub device: u64,
}

/// User and group of a file or a process, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// The file systems of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(OsFile(options.open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile(File::open(path)?)))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk the others must take")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            match entry.file_type() {
                Ok(kind) => entries.push(Entry { name: entry.file_name(), kind: kind.into() }),
                // It was removed between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        describe(&fs::symlink_metadata(path)?)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        std::os::unix::fs::lchown(path, Some(owner.user), Some(owner.group))
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        open_directory(directory)?.sync_all()
    }

    fn sync_filesystem(&self, directory: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(open_directory(directory)?)?)
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn metadata(&self) -> io::Result<Metadata> {
        describe(&self.0.metadata()?)
    }

    fn will_need(&self, offset: u64, length: u64) {
        let length = std::num::NonZeroU64::new(length);
        // Advice that is not taken costs time, not bytes.
        rustix::fs::fadvise(&self.0, offset, length, rustix::fs::Advice::WillNeed).ok();
    }
}

impl From<fs::FileType> for FileKind {
    fn from(kind: fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Symlink
        } else {
            Self::Other
        }
    }
}

fn describe(found: &fs::Metadata) -> io::Result<Metadata> {
    Ok(Metadata {
        kind: found.file_type().into(),
        size: found.len(),
        mode: found.mode() & 0o7777,
        owner: Owner { user: found.uid(), group: found.gid() },
        modified: Timestamp::try_from(found.modified()?).map_err(io::Error::other)?,
        changed: changed(found)?,
        links: found.nlink(),
        inode: found.ino(),
        device: found.dev(),
    })
}

fn changed(found: &fs::Metadata) -> io::Result<Timestamp> {
    let nanoseconds = i32::try_from(found.ctime_nsec()).map_err(io::Error::other)?;
    Timestamp::new(found.ctime(), nanoseconds).map_err(io::Error::other)
}

/// Not a plain open: on a pipe that would wait for a writer, on a file it would sync the wrong thing.
fn open_directory(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests;
