//! One engine of a run on a machine.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Held as long as this value lives, and by nobody once its process is dead.
#[derive(Debug)]
pub struct Lock {
    _file: Option<OwnedFd>,
}

impl Lock {
    /// Takes the lock of a run by its directory, which must be there; none: another engine has it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn take(run: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(run.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: Some(file.into()) })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The lock of a machine that has no other processes.
    #[cfg(test)]
    pub(crate) fn simulated() -> Self {
        Self { _file: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Lock::take(directory.path()).unwrap().unwrap();
        assert!(Lock::take(directory.path()).unwrap().is_none());
        drop(lock);
        assert!(Lock::take(directory.path()).unwrap().is_some());
    }
}
