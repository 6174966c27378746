//! Files and directories that are there after a power cut, or were never there.
//!
//! A local file appears by these functions: written under another name, synced, renamed, and its
//! directory synced. When one of them returns `Ok`, its effect survives a crash; when it fails or
//! the machine dies in it, the old state or the new one is there, never a mixture.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{Disk, DiskFile, FileKind};

/// How many leftovers of crashed writers a write steps over before it gives up. More than a few can
/// only be a mistake, such as a process that dies at each start.
const TEMPORARY_ATTEMPTS_MAX: u32 = 100;

static TEMPORARY_COUNTER: AtomicU64 = AtomicU64::new(0);

/// Puts `bytes` at `path`, replacing what is there, mode 0600. A crash leaves the old or the new
/// contents whole; it may also leave a file `.<name>.<process>-<counter>.new` beside it.
///
/// # Errors
/// Whatever the disk says. After an error the old contents or the new are there; call it again.
pub fn write_durable(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, file) = create_temporary(disk, path)?;
    let written = fill(&*file, bytes).and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        // The cause is worth more than what the tidying says.
        drop(disk.remove_file(&temporary));
        return Err(error);
    }
    disk.sync_dir(parent(path))
}

/// Creates a file beside `path` that is not yet `path`: `.<name>.<process>-<counter>.new`. Whoever
/// creates it gives it its real name, or removes it; a crash leaves it behind.
///
/// # Errors
/// Whatever the disk says.
pub fn create_temporary(disk: &dyn Disk, path: &Path) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut attempt = 0;
    loop {
        let counter = TEMPORARY_COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{counter}.new", std::process::id()));
        let temporary = path.with_file_name(temporary);
        match disk.create(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // A container gives every process the same id, so a dead one's leftover may be here.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && attempt < TEMPORARY_ATTEMPTS_MAX => {}
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// Whether a name is one that [`create_temporary`] gives.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.to_str()
        .and_then(|name| name.strip_prefix('.')?.strip_suffix(".new")?.rsplit_once('.'))
        .and_then(|(_, unique)| unique.split_once('-'))
        .is_some_and(|(process, counter)| is_number(process) && is_number(counter))
}

/// Creates a directory and all its missing parents, each durable in its own parent. An existing
/// directory is synced into its parent too, since whoever made it may have crashed before that.
///
/// # Errors
/// `NotADirectory` when something else has one of the names.
pub fn create_dir_all_durable(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut existing = path;
    while existing.parent().is_some() && !is_directory(disk, existing)? {
        missing.push(existing);
        existing = parent(existing);
    }
    match disk.sync_dir(parent(existing)) {
        // A directory that we may pass through but not open was not made by us.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    for directory in missing.into_iter().rev() {
        match disk.create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !is_directory(disk, directory)? {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            created => created?,
        }
        disk.sync_dir(parent(directory))?;
    }
    Ok(())
}

/// Removes a directory with everything in it; nothing is there afterwards, or was. What a symbolic
/// link leads to stays. Cut off, it has removed some, and can be done again.
///
/// # Errors
/// Whatever the disk says; some may be gone by then.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let entries = match disk.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    // By levels, not by calls: how deep it goes is not ours to say.
    let mut directories = vec![path.to_owned()];
    let mut waiting: Vec<(PathBuf, FileKind)> =
        entries.into_iter().map(|entry| (path.join(&entry.name), entry.kind)).collect();
    while let Some((found, kind)) = waiting.pop() {
        if kind == FileKind::Directory {
            let below = disk.list(&found)?;
            waiting.extend(below.into_iter().map(|one| (found.join(&one.name), one.kind)));
            directories.push(found);
        } else {
            disk.remove_file(&found)?;
        }
    }
    directories.iter().rev().try_for_each(|directory| disk.remove_dir(directory))?;
    disk.sync_dir(parent(path))
}

/// The whole file, if it is not longer than `length_max` bytes.
///
/// # Errors
/// `FileTooLarge` when it is longer: nothing is read whole without a limit.
pub fn read(disk: &dyn Disk, path: &Path, length_max: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if length > length_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}

/// The directory that holds the name; `.` for a bare name.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

fn fill(file: &dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    file.write_at(0, bytes)?;
    file.sync()
}

/// Whether a directory, or a symbolic link to one, is there.
fn is_directory(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.metadata(path) {
        Ok(found) if found.kind == FileKind::Directory => Ok(true),
        Ok(found) if found.kind == FileKind::Symlink => disk.list(path).map(|_| true),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
