//! What a backup contains: which files, and where each of their blocks is.
//!
//! A map has three levels: the root, which the backup's log entry carries, names shards; a shard
//! holds a part of the table of files; a leaf says where the blocks of 128 MiB of a file are. What
//! did not change since the backup before is shared with it, so that a restore never replays
//! increments and a backup that goes breaks no other. The bytes are described in
//! `docs/format/vault.md`.

mod adopt;
mod bytes;
mod contents;
mod entry;
mod error;
mod fetch;
mod leaf;
mod path;
mod progress;
mod put;
mod read;
mod restore;
mod root;
mod shard;
mod write;

pub use adopt::Adopted;
pub use bytes::Malformed;
pub use contents::SessionKeys;
pub use entry::{
    Attributes, BLOCK_LENGTH, Content, EAGER_LENGTH_MAX, EagerRef, EntryKind, FILE_LENGTH_MAX,
    FileEntry, FileOwner, FrameRef, INLINE_LENGTH_MAX, LATE_LENGTH_MAX, LEAF_BLOCKS, LEAF_LENGTH,
    LeafRef, PAGE_LENGTH, PAGES_PER_BLOCK, block_length, leaf_blocks, leaf_count,
};
pub use error::{Damage, DamageCause, MapError, Part};
pub use fetch::PackLookup;
pub use leaf::{Block, Leaf, PAGE_FRAMES_MAX, PageRef, PlacedPage, UNKNOWN_ID};
pub use path::{FilePath, PATH_LENGTH_MAX, PathError};
pub use progress::{NoProgress, Progress, Step};
pub use put::PackTarget;
pub use read::{Files, LoadedMap, MapAccess};
pub use restore::{RestoreOptions, Restored, Sink, SinkFile, restore, verify_contents};
pub use root::{LateFileError, MapRoot, ROOT_LENGTH_MAX, Totals};
pub use write::{
    BackupJob, Base, Counters, READ_LENGTH, Sharing, Source, SourceFile, SourceKind, SourceReader,
    WriteOptions, WrittenMap, write_backup,
};

#[cfg(test)]
mod testing;
