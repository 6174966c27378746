//! What can go wrong with the contents of a backup, and exactly where.

use std::fmt;
use std::io;

use crate::frame::FrameError;
use crate::ids::{BackupId, SessionId, StoreId};
use crate::keys::{ErrorKind, KeyError};
use crate::map::bytes::Malformed;
use crate::map::path::FilePath;
use crate::objects::{ObjectError, ObjectErrorKind};

/// Why contents were not written or read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The list of files cannot be made into a backup.
    #[error("{path} cannot be backed up: {reason}")]
    Plan {
        /// The file.
        path: FilePath,
        /// Why.
        reason: &'static str,
    },
    /// The backup has more than a map or a session can name.
    #[error("the backup is too large: {0}")]
    TooLarge(&'static str),
    /// The source cannot be read.
    #[error("cannot read {path} at byte {offset}")]
    Source {
        /// The file.
        path: FilePath,
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The target of a restore cannot be written.
    #[error("cannot write {path}")]
    Sink {
        /// The file.
        path: FilePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The vault's store cannot be read or written.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// Ten strangers' objects have a pack's name and all its repairs' names.
    #[error("the name {name} is taken by other objects")]
    Taken {
        /// The name.
        name: String,
    },
    /// What was stored is not what was written.
    #[error(transparent)]
    Damaged(Box<Damage>),
    /// Contents of a session cannot be opened with this identity.
    #[error("cannot open the contents of session {session}")]
    Key {
        /// The session.
        session: SessionId,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
}

impl MapError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Plan { .. } | Self::TooLarge(_) => ErrorKind::Input,
            Self::Source { .. } | Self::Sink { .. } | Self::Taken { .. } | Self::Stopped => {
                ErrorKind::Failed
            }
            Self::Store(error) => match error.kind() {
                ObjectErrorKind::Retry => ErrorKind::Retry,
                ObjectErrorKind::NotFound => ErrorKind::NotFound,
                ObjectErrorKind::Input => ErrorKind::Input,
                _ => ErrorKind::Failed,
            },
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::Key { source, .. } => source.kind(),
        }
    }
}

/// A part of a backup that is not what was written, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The store.
    pub store: StoreId,
    /// The backup.
    pub backup: BackupId,
    /// Which part of it.
    pub part: Part,
    /// The object and the byte offset in it; none for the root, which is in the log entry.
    pub place: Option<(String, u64)>,
    /// What is wrong.
    pub cause: DamageCause,
}

/// A part of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The root of its map.
    Root,
    /// The part of its table of files that begins with this path.
    Shard(FilePath),
    /// An entry that does not fit to those before it.
    Entry(FilePath),
    /// The leaf that describes 128 MiB of a file.
    Leaf(FilePath, u64),
    /// The hashes of a leaf.
    LeafHashes(FilePath, u64),
    /// A block of a file.
    Block(FilePath, u64),
    /// A small file.
    SmallFile(FilePath),
}

/// What is wrong with a part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageCause {
    /// The object is not there: look for it in another vault.
    #[error("the object is missing")]
    Missing,
    /// No entry of the log describes the pack.
    #[error("no log entry describes the pack")]
    Unknown,
    /// The frame does not open: fetch the object from another vault.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The frame opens and is not what a writer makes.
    #[error("what it says makes no sense: {0}")]
    Malformed(#[from] Malformed),
    /// The frame opens, and other bytes are in it than were backed up.
    #[error("its content is not what was backed up")]
    OtherContent,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, backup, part, place, cause } = self;
        write!(f, "{part} in backup {backup} of store {store} is damaged: {cause}")?;
        match place {
            Some((object, offset)) => write!(f, " (object {object}, offset {offset})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Damage {}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the root of the map"),
            Self::Shard(first) => write!(f, "the table of files from {first} on"),
            Self::Entry(path) => write!(f, "the entry {path}"),
            Self::Leaf(path, leaf) => write!(f, "map part {leaf} of {path}"),
            Self::LeafHashes(path, leaf) => write!(f, "the hashes of map part {leaf} of {path}"),
            Self::Block(path, block) => write!(f, "block {block} of {path}"),
            Self::SmallFile(path) => write!(f, "{path}"),
        }
    }
}
