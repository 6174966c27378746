//! Which state of which file: what a note about a file is bound to.
//!
//! The rule: whoever writes to a file, copies it or gives it another name changes its identity. The
//! contents are not read.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use soter_world::Disk;
use soter_world::disk::FileKind;

/// Which file, and which state of it: one that was written to, copied or given another name since
/// has another identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: Timestamp,
    pub(crate) changed: Timestamp,
}

impl Identity {
    /// That of the regular file at this path.
    pub(crate) fn of(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let found = disk.metadata(path)?;
        if found.kind != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            device: found.device,
            inode: found.inode,
            size_bytes: found.size,
            modified: found.modified,
            changed: found.changed,
        })
    }
}
