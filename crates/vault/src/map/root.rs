//! The root of a map: which shards there are, and the files that could be read only at the end.

use crate::frame::RAW_LENGTH_MAX;
use crate::ids::ContentId;
use crate::map::bytes::{
    Bytes, Malformed, VERSION, frame_range, packs, put_count, put_number, put_packs, put_text,
};
use crate::map::entry::{Content, EntryKind, FileEntry, FrameRef};
use crate::map::path::{FilePath, PATH_LENGTH_MAX};
use crate::map::shard::{SHARD_ENTRIES_MAX, ShardKind, ShardWriter, parse_shard};
use crate::pack::PackId;

/// Longest root: it must fit into one frame of a log entry.
pub const ROOT_LENGTH_MAX: usize = RAW_LENGTH_MAX;

/// The root of a backup's map, which its log entry carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapRoot {
    /// All map packs of the backup, oldest first.
    pub(super) map_packs: Vec<PackId>,
    /// The shards, in the order of their paths.
    pub(super) shards: Vec<ShardRow>,
    /// What is in the shards.
    pub(super) totals: Totals,
    /// Files that could be read only when all others were, in order.
    pub(super) late: Vec<FileEntry>,
}

/// Where a shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardRow {
    pub(super) frame: FrameRef,
    /// The content id of the shard's bytes: a backup that makes the same shard refers to this one.
    pub(super) id: ContentId,
    pub(super) entries: usize,
    pub(super) first: FilePath,
}

/// What a backup contains; late files are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A file that cannot be a late file of this map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} cannot be kept in the root of the map: {reason}")]
pub struct LateFileError {
    /// The file.
    pub path: FilePath,
    /// Why.
    pub reason: &'static str,
}

impl MapRoot {
    /// What the shards contain.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The late files.
    pub fn late_files(&self) -> &[FileEntry] {
        &self.late
    }

    /// Adds a file whose bytes the root itself keeps.
    ///
    /// # Errors
    /// When it is no file, longer than [`LATE_LENGTH_MAX`](crate::map::LATE_LENGTH_MAX), or there
    /// already.
    pub fn add_late_file(&mut self, file: FileEntry) -> Result<(), LateFileError> {
        let reason = match &file.kind {
            EntryKind::File { content: Content::Inline(bytes), size }
                if *size == bytes.len() as u64
                    && bytes.len() <= crate::map::entry::LATE_LENGTH_MAX =>
            {
                match self.late.binary_search_by(|late| late.path.cmp(&file.path)) {
                    Err(place) if self.late.len() < LATE_FILES_MAX => {
                        self.late.insert(place, file);
                        return Ok(());
                    }
                    Err(_) => "there are eight already",
                    Ok(_) => "it is there already",
                }
            }
            _ => "it is no file of up to 64 KiB whose bytes are given",
        };
        Err(LateFileError { path: file.path, reason })
    }

    /// The root's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_packs(&mut bytes, &[&self.map_packs]);
        put_count(&mut bytes, self.shards.len());
        for shard in &self.shards {
            let index = self.map_packs.iter().position(|pack| *pack == shard.frame.pack);
            put_count(&mut bytes, index.expect("the packs of all shards are in the list"));
            put_number(&mut bytes, u64::from(shard.frame.range.offset));
            put_number(&mut bytes, u64::from(shard.frame.range.length));
            bytes.extend_from_slice(&shard.id.0);
            put_count(&mut bytes, shard.entries);
            put_text(&mut bytes, shard.first.as_bytes());
        }
        let Totals { directories, links, files, bytes: length } = self.totals;
        for total in [directories, links, files, length] {
            put_number(&mut bytes, total);
        }
        let mut late = ShardWriter::default();
        for file in &self.late {
            late.append(file);
        }
        put_text(&mut bytes, &late.finish().map(|shard| shard.bytes).unwrap_or_default());
        bytes
    }

    /// Reads a root.
    ///
    /// # Errors
    /// For anything [`MapRoot::to_bytes`] does not make.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > ROOT_LENGTH_MAX {
            return Err(Malformed("it is too long"));
        }
        let mut bytes = Bytes::new(bytes);
        bytes.version()?;
        let [map_packs] = packs(&mut bytes)?;
        let mut shards = Vec::new();
        for _ in 0..bytes.count(usize::MAX)? {
            let pack = map_packs[bytes.index(map_packs.len())?];
            let range = frame_range(bytes.number()?, bytes.number()?)?;
            let id = bytes.content_id()?;
            let entries = bytes.index(SHARD_ENTRIES_MAX + 1)?;
            let first = FilePath::new(bytes.text(PATH_LENGTH_MAX)?);
            let first = first.map_err(|error| Malformed(error.reason))?;
            shards.push(ShardRow { frame: FrameRef { pack, range }, id, entries, first });
        }
        let (directories, links) = (bytes.number()?, bytes.number()?);
        let totals = Totals { directories, links, files: bytes.number()?, bytes: bytes.number()? };
        let late = parse_late(bytes.text(ROOT_LENGTH_MAX)?)?;
        bytes.end()?;
        Ok(Self { map_packs, shards, totals, late })
    }
}

/// PostgreSQL has three; more would be a mistake.
const LATE_FILES_MAX: usize = 8;

fn parse_late(bytes: &[u8]) -> Result<Vec<FileEntry>, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let late = parse_shard(bytes, ShardKind::Late)?;
    let inline = late
        .iter()
        .all(|file| matches!(file.kind, EntryKind::File { content: Content::Inline(_), .. }));
    if !inline || late.is_empty() || late.len() > LATE_FILES_MAX {
        return Err(Malformed("the late files are not what they must be"));
    }
    Ok(late)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::FrameRange;
    use crate::ids::SessionId;
    use crate::map::entry::{Attributes, LATE_LENGTH_MAX};

    fn late(path: &str, length: usize) -> FileEntry {
        FileEntry {
            path: FilePath::new(path.as_bytes()).unwrap(),
            attributes: Attributes {
                mode: 0o600,
                owner: Arc::default(),
                modified: Timestamp::UNIX_EPOCH,
            },
            kind: EntryKind::File {
                size: length as u64,
                content: Content::Inline(vec![1; length]),
            },
        }
    }

    fn root(shards: u8) -> MapRoot {
        let pack = |n: u8| PackId { session: SessionId([n / 3; 8]), number: u32::from(n) };
        let shard = |n: u8| ShardRow {
            frame: FrameRef {
                pack: pack(n),
                range: FrameRange { offset: 64 + u32::from(n), length: 500 },
            },
            id: ContentId([n; 16]),
            entries: usize::from(n),
            first: FilePath::new(format!("dir/{n:03}").as_bytes()).unwrap(),
        };
        let mut root = MapRoot {
            map_packs: (0..shards).map(pack).collect(),
            shards: (0..shards).map(shard).collect(),
            totals: Totals { directories: 1, links: 2, files: 3, bytes: 1 << 50 },
            late: Vec::new(),
        };
        root.add_late_file(late("global/pg_control", 8192)).unwrap();
        root.add_late_file(late("backup_label", 300)).unwrap();
        root
    }

    proptest! {
        #[test]
        fn a_root_is_read_back_as_it_was_written(
            shards: u8,
            cut in any::<proptest::sample::Index>(),
            flip in any::<(proptest::sample::Index, u8)>(),
        ) {
            let root = root(shards);
            let mut bytes = root.to_bytes();
            prop_assert_eq!(MapRoot::parse(&bytes), Ok(root));
            prop_assert!(MapRoot::parse(&bytes[..cut.index(bytes.len())]).is_err());
            let at = flip.0.index(bytes.len());
            bytes[at] ^= flip.1;
            drop(MapRoot::parse(&bytes));
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(MapRoot::parse(&bytes));
        }
    }

    #[test]
    fn a_late_file_is_short_and_comes_once() {
        let mut root = root(1);
        assert!(root.add_late_file(late("backup_label", 1)).is_err());
        assert!(root.add_late_file(late("other", LATE_LENGTH_MAX + 1)).is_err());
        assert_eq!(root.late_files()[0].path.to_string(), "backup_label");
    }
}
