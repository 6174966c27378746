//! One process of a kind at a time: a lock on a file, which ends with the process that holds it,
//! however that comes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Takes the lock, which is held as long as the file is open. `None` when another process has it.
pub(crate) fn take(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).read(true).open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // Whoever had it may have removed its name meanwhile, and somebody else made another file.
    let is_there = fs::metadata(path).is_ok_and(|there| {
        file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    });
    Ok(is_there.then_some(file))
}

/// Whether a process has it.
pub(crate) fn is_taken(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // Taken and let go of at once: a process that starts just now gives up, and is started again
    // when there is more to do.
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}
