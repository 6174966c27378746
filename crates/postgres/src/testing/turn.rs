//! Real servers, one test at a time: a lock of the machine, whichever runner runs the tests.
//!
//! The rule it keeps: a thread that has the turn gets it again at once, so that a test may have as
//! many clusters as it likes; every other thread and process waits until the last of them is gone.
//! The turn ends with the process, however that ends.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use rustix::fs::{FlockOperation, flock};

use super::{TestingError, file_error};

thread_local! {
    /// The turn that this thread has, while anything of it is left.
    static MINE: RefCell<Weak<File>> = const { RefCell::new(Weak::new()) };
}

/// The right to have servers. Clones of it are the same right.
#[derive(Debug, Clone)]
pub struct Turn {
    _lock: Arc<File>,
}

impl Turn {
    /// Waits for it.
    pub fn wait() -> Result<Self, TestingError> {
        let path = std::env::temp_dir().join("soter-real-servers.lock");
        Self::wait_at(&path).map_err(file_error(&path))
    }

    fn wait_at(path: &Path) -> io::Result<Self> {
        if let Some(lock) = MINE.with_borrow(Weak::upgrade) {
            return Ok(Self { _lock: lock });
        }
        let file = open(path)?;
        // A signal may come while it waits.
        while let Err(error) = flock(&file, FlockOperation::LockExclusive) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let lock = Arc::new(file);
        MINE.set(Arc::downgrade(&lock));
        Ok(Self { _lock: lock })
    }
}

/// Another user may have made it: then it can be read, which is enough for a lock.
fn open(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = OpenOptions::new().create_new(true).write(true).open(path);
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(path),
                made => made,
            }
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_thread_has_the_turn_as_often_as_it_likes_and_no_other_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Turn::wait_at(&path).unwrap();
        let again = Turn::wait_at(&path).unwrap();
        let (says, said) = sync_channel(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let turn = Turn::wait_at(&path).unwrap();
                says.send(()).unwrap();
                drop(turn);
            });
            drop(first);
            let stranger = File::open(&path).unwrap();
            let refused = flock(&stranger, FlockOperation::NonBlockingLockExclusive);
            assert_eq!(refused, Err(rustix::io::Errno::WOULDBLOCK));
            assert!(said.try_recv().is_err());
            drop(again);
            said.recv().unwrap();
        });
    }
}
