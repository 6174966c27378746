//! What a backup says about one file.

use std::sync::Arc;

use jiff::Timestamp;

use crate::frame::FrameRange;
use crate::ids::ContentId;
use crate::map::path::FilePath;
use crate::pack::PackId;

/// Bytes in a block.
pub const BLOCK_LENGTH: usize = 128 << 10;

/// Bytes in a page.
pub const PAGE_LENGTH: usize = 8 << 10;

/// Pages in a block, and slots in a page frame.
pub const PAGES_PER_BLOCK: usize = BLOCK_LENGTH / PAGE_LENGTH;

/// Blocks in a leaf: 128 MiB of a file.
pub const LEAF_BLOCKS: usize = 1024;

/// Bytes of a file that one leaf describes.
pub const LEAF_LENGTH: u64 = (LEAF_BLOCKS * BLOCK_LENGTH) as u64;

/// Files up to this many bytes are kept in the shard itself.
pub const INLINE_LENGTH_MAX: usize = 512;

/// Files up to this many bytes share frames with their neighbours.
pub const EAGER_LENGTH_MAX: usize = 1 << 20;

/// A late file is kept in the root and has at most this many bytes.
pub const LATE_LENGTH_MAX: usize = 64 << 10;

/// Longest file: its leaf references must fit into one shard.
pub const FILE_LENGTH_MAX: u64 = 4 << 40;

/// One entry of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it was, relative to the top of the backup.
    pub path: FilePath,
    /// Mode, owner, time.
    pub attributes: Attributes,
    /// What it is and holds.
    pub kind: EntryKind,
}

/// What every kind of file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Whose it was.
    pub owner: Arc<FileOwner>,
    /// When its contents last changed, by its file system.
    pub modified: Timestamp,
}

/// User and group of a file, by number and, where known, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileOwner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
    /// User name, empty when unknown.
    pub user_name: String,
    /// Group name, empty when unknown.
    pub group_name: String,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link {
        /// What it says; not checked, since a restore follows none.
        target: Vec<u8>,
    },
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Where its bytes are.
        content: Content,
    },
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Inline(Vec<u8>),
    /// In a frame shared with other small files.
    Eager(EagerRef),
    /// In blocks; one leaf for each begun 128 MiB.
    Leaves(Vec<LeafRef>),
}

/// A small file in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EagerRef {
    /// The frame, in a data pack.
    pub frame: FrameRef,
    /// Where in the frame's content the file begins.
    pub offset: u32,
    /// The content id of the file.
    pub id: ContentId,
}

/// A frame in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    /// The pack.
    pub pack: PackId,
    /// Where in the pack.
    pub range: FrameRange,
}

/// A leaf, in a map pack; the frame with its hashes follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRef {
    /// The leaf's frame.
    pub frame: FrameRef,
    /// Length of the frame with the hashes, 0 when there is none.
    pub hashes_length: u32,
}

impl LeafRef {
    /// The frame with the hashes.
    pub fn hashes(&self) -> Option<FrameRef> {
        let FrameRef { pack, range } = self.frame;
        let hashes = FrameRange { offset: range.offset + range.length, length: self.hashes_length };
        (self.hashes_length > 0).then_some(FrameRef { pack, range: hashes })
    }
}

/// How many leaves a file of this length has.
pub fn leaf_count(size: u64) -> u64 {
    size.div_ceil(LEAF_LENGTH)
}

/// How many blocks leaf `leaf` of a file of this length has.
pub fn leaf_blocks(size: u64, leaf: u64) -> usize {
    let rest = size.saturating_sub(leaf * LEAF_LENGTH).min(LEAF_LENGTH);
    usize::try_from(rest.div_ceil(BLOCK_LENGTH as u64)).expect("a leaf has at most 1024 blocks")
}

/// How many bytes block `block` of a file of this length has.
pub fn block_length(size: u64, block: u64) -> usize {
    let rest = size.saturating_sub(block * BLOCK_LENGTH as u64).min(BLOCK_LENGTH as u64);
    usize::try_from(rest).expect("a block has at most 128 KiB")
}
