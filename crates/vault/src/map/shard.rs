//! Shards: parts of the table of files.

use std::sync::Arc;

use jiff::Timestamp;

use crate::frame::RAW_LENGTH_MAX;
use crate::map::bytes::{
    Bytes, Malformed, Table, VERSION, frame_range, packs, put_count, put_number, put_packs,
    put_signed, put_text,
};
use crate::map::entry::{
    Attributes, Content, EAGER_LENGTH_MAX, EagerRef, EntryKind, FILE_LENGTH_MAX, FileEntry,
    FileOwner, FrameRef, INLINE_LENGTH_MAX, LATE_LENGTH_MAX, LeafRef, leaf_count,
};
use crate::map::path::{FilePath, PATH_LENGTH_MAX};
use crate::pack::PackId;

/// A shard has at most this many entries.
pub(super) const SHARD_ENTRIES_MAX: usize = 4096;

/// A shard is cut before it has more bytes of entries than this. Only a file of many terabytes has a
/// longer entry, and then a shard of its own.
pub(super) const SHARD_LENGTH_MAX: usize = 256 << 10;

/// Longest name of a user or group in bytes.
const OWNER_NAME_LENGTH_MAX: usize = 256;

const DIRECTORY: u8 = 1;
const LINK: u8 = 2;
const INLINE: u8 = 3;
const EAGER: u8 = 4;
const LEAVES: u8 = 5;

/// What the shard's files may hold in themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardKind {
    /// A shard in a map pack.
    Table,
    /// The late files in the root.
    Late,
}

impl ShardKind {
    fn inline_length_max(self) -> usize {
        match self {
            Self::Table => INLINE_LENGTH_MAX,
            Self::Late => LATE_LENGTH_MAX,
        }
    }
}

/// Gathers entries, in order, into shards.
#[derive(Default)]
pub(super) struct ShardWriter {
    data_packs: Table<PackId>,
    map_packs: Table<PackId>,
    owners: Table<FileOwner>,
    frames: Table<FrameRef>,
    rows: Vec<u8>,
    row: Vec<u8>,
    count: usize,
    first: Option<FilePath>,
    last: Option<FilePath>,
}

/// A shard that is complete.
pub(super) struct FinishedShard {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: usize,
    pub(super) first: FilePath,
}

impl ShardWriter {
    /// Adds the next entry; returns the shard before it if that is full by now.
    pub(super) fn add(&mut self, entry: &FileEntry) -> Option<FinishedShard> {
        let row_length_max = self.rows.len() + entry_length_max(entry);
        let cut = self.last.as_ref().is_some_and(ends_shard)
            || self.count == SHARD_ENTRIES_MAX
            || (self.count > 0 && row_length_max > SHARD_LENGTH_MAX);
        let finished = if cut { std::mem::take(self).finish() } else { None };
        self.append(entry);
        finished
    }

    /// The last shard, if there is anything in it.
    pub(super) fn finish(self) -> Option<FinishedShard> {
        let first = self.first?;
        let mut bytes = vec![VERSION];
        put_packs(&mut bytes, &[self.data_packs.rows(), self.map_packs.rows()]);
        put_count(&mut bytes, self.owners.rows().len());
        for owner in self.owners.rows() {
            put_number(&mut bytes, u64::from(owner.user));
            put_number(&mut bytes, u64::from(owner.group));
            put_text(&mut bytes, owner.user_name.as_bytes());
            put_text(&mut bytes, owner.group_name.as_bytes());
        }
        put_count(&mut bytes, self.frames.rows().len());
        // Their packs were put into the table when the frame was, so the index is there.
        let mut data_packs = self.data_packs;
        for frame in self.frames.rows() {
            put_count(&mut bytes, data_packs.index(&frame.pack));
            put_number(&mut bytes, u64::from(frame.range.offset));
            put_number(&mut bytes, u64::from(frame.range.length));
        }
        put_count(&mut bytes, self.count);
        bytes.extend_from_slice(&self.rows);
        Some(FinishedShard { bytes, entries: self.count, first })
    }

    /// Adds the next entry to this shard, however full it is.
    pub(super) fn append(&mut self, entry: &FileEntry) {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let before = self.last.as_ref().map_or(&[][..], FilePath::as_bytes);
        let path = entry.path.as_bytes();
        let shared = before.iter().zip(path).take_while(|(left, right)| left == right).count();
        put_count(&mut row, shared);
        put_text(&mut row, &path[shared..]);
        row.push(match &entry.kind {
            EntryKind::Directory => DIRECTORY,
            EntryKind::Link { .. } => LINK,
            EntryKind::File { content: Content::Inline(_), .. } => INLINE,
            EntryKind::File { content: Content::Eager(_), .. } => EAGER,
            EntryKind::File { content: Content::Leaves(_), .. } => LEAVES,
        });
        put_number(&mut row, u64::from(entry.attributes.mode));
        put_count(&mut row, self.owners.index(&entry.attributes.owner));
        put_time(&mut row, entry.attributes.modified);
        self.append_kind(&mut row, &entry.kind);
        self.rows.extend_from_slice(&row);
        self.row = row;
        self.count += 1;
        self.first.get_or_insert_with(|| entry.path.clone());
        self.last = Some(entry.path.clone());
    }

    fn append_kind(&mut self, row: &mut Vec<u8>, kind: &EntryKind) {
        match kind {
            EntryKind::Directory => {}
            EntryKind::Link { target } => put_text(row, target),
            EntryKind::File { content: Content::Inline(bytes), .. } => put_text(row, bytes),
            EntryKind::File { size, content: Content::Eager(eager) } => {
                self.data_packs.index(&eager.frame.pack);
                put_number(row, *size);
                put_count(row, self.frames.index(&eager.frame));
                put_number(row, u64::from(eager.offset));
                row.extend_from_slice(&eager.id.0);
            }
            EntryKind::File { size, content: Content::Leaves(leaves) } => {
                put_number(row, *size);
                for leaf in leaves {
                    put_count(row, self.map_packs.index(&leaf.frame.pack));
                    put_number(row, u64::from(leaf.frame.range.offset));
                    put_number(row, u64::from(leaf.frame.range.length));
                    put_number(row, u64::from(leaf.hashes_length));
                }
            }
        }
    }
}

/// An upper bound of the bytes an entry takes, its rows in the tables included.
fn entry_length_max(entry: &FileEntry) -> usize {
    let content = match &entry.kind {
        EntryKind::Directory => 0,
        EntryKind::Link { target } => target.len() + 2,
        EntryKind::File { content: Content::Inline(bytes), .. } => bytes.len() + 3,
        EntryKind::File { content: Content::Eager(_), .. } => 64,
        EntryKind::File { content: Content::Leaves(leaves), .. } => 10 + 15 * leaves.len(),
    };
    let owner = &entry.attributes.owner;
    entry.path.as_bytes().len() + owner.user_name.len() + owner.group_name.len() + content + 48
}

/// Whether a shard ends with this path: the same choice whatever lies around it, so that a new file
/// does not move all cuts behind it.
fn ends_shard(path: &FilePath) -> bool {
    let [first, second, ..] = *blake3::hash(path.as_bytes()).as_bytes();
    first == 0 && second >> 5 == 0
}

fn put_time(row: &mut Vec<u8>, time: Timestamp) {
    let nanoseconds = time.as_nanosecond();
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000));
    let rest = u64::try_from(nanoseconds.rem_euclid(1_000_000_000));
    put_signed(row, seconds.expect("jiff's years have four digits"));
    put_number(row, rest.expect("a remainder is not negative"));
}

/// Reads a shard's entries, in order. Only their own bytes are checked; how their paths fit
/// together is the caller's to check.
pub(super) fn parse_shard(bytes: &[u8], kind: ShardKind) -> Result<Vec<FileEntry>, Malformed> {
    let mut bytes = Bytes::new(bytes);
    bytes.version()?;
    let [data_packs, map_packs] = packs(&mut bytes)?;
    let mut owners = Vec::new();
    for _ in 0..bytes.count(SHARD_ENTRIES_MAX)? {
        let (user, group) = (bytes.number_u32()?, bytes.number_u32()?);
        let user_name = bytes.string(OWNER_NAME_LENGTH_MAX)?.to_owned();
        let group_name = bytes.string(OWNER_NAME_LENGTH_MAX)?.to_owned();
        owners.push(Arc::new(FileOwner { user, group, user_name, group_name }));
    }
    let mut frames = Vec::new();
    for _ in 0..bytes.count(SHARD_ENTRIES_MAX)? {
        let pack = data_packs[bytes.index(data_packs.len())?];
        frames.push(FrameRef { pack, range: frame_range(bytes.number()?, bytes.number()?)? });
    }
    let count = bytes.count(SHARD_ENTRIES_MAX)?;
    let tables = Tables { map_packs, owners, frames, kind };
    let mut entries = Vec::with_capacity(count);
    let mut path = Vec::new();
    for _ in 0..count {
        let shared = bytes.index(path.len() + 1)?;
        path.truncate(shared);
        path.extend_from_slice(bytes.text(PATH_LENGTH_MAX)?);
        entries.push(tables.entry(&mut bytes, &path)?);
    }
    bytes.end()?;
    Ok(entries)
}

struct Tables {
    map_packs: Vec<PackId>,
    owners: Vec<Arc<FileOwner>>,
    frames: Vec<FrameRef>,
    kind: ShardKind,
}

impl Tables {
    fn entry(&self, bytes: &mut Bytes<'_>, path: &[u8]) -> Result<FileEntry, Malformed> {
        let path = FilePath::new(path).map_err(|error| Malformed(error.reason))?;
        let kind = bytes.byte()?;
        let mode = bytes.number_u32()?;
        if mode > 0o7777 {
            return Err(Malformed("a mode has unknown bits"));
        }
        let owner = Arc::clone(&self.owners[bytes.index(self.owners.len())?]);
        let modified = time(bytes.signed()?, bytes.number()?)?;
        let kind = match kind {
            DIRECTORY => EntryKind::Directory,
            LINK => EntryKind::Link { target: link_target(bytes)? },
            INLINE => {
                let content = bytes.text(self.kind.inline_length_max())?.to_vec();
                EntryKind::File { size: content.len() as u64, content: Content::Inline(content) }
            }
            EAGER => self.eager(bytes)?,
            LEAVES => self.leaves(bytes)?,
            _ => return Err(Malformed("an entry is of an unknown kind")),
        };
        Ok(FileEntry { path, attributes: Attributes { mode, owner, modified }, kind })
    }

    fn eager(&self, bytes: &mut Bytes<'_>) -> Result<EntryKind, Malformed> {
        let size = bytes.number()?;
        let frame = self.frames[bytes.index(self.frames.len())?];
        let offset = bytes.number_u32()?;
        if size > EAGER_LENGTH_MAX as u64 || u64::from(offset) + size > RAW_LENGTH_MAX as u64 {
            return Err(Malformed("a small file lies outside its frame"));
        }
        let id = bytes.content_id()?;
        Ok(EntryKind::File { size, content: Content::Eager(EagerRef { frame, offset, id }) })
    }

    fn leaves(&self, bytes: &mut Bytes<'_>) -> Result<EntryKind, Malformed> {
        let size = bytes.number()?;
        if size > FILE_LENGTH_MAX {
            return Err(Malformed("a file is too long"));
        }
        let mut leaves = Vec::new();
        for _ in 0..leaf_count(size) {
            let pack = self.map_packs[bytes.index(self.map_packs.len())?];
            let range = frame_range(bytes.number()?, bytes.number()?)?;
            let hashes_length = bytes.number_u32()?;
            if hashes_length > 0 {
                frame_range(u64::from(range.offset + range.length), u64::from(hashes_length))?;
            }
            leaves.push(LeafRef { frame: FrameRef { pack, range }, hashes_length });
        }
        Ok(EntryKind::File { size, content: Content::Leaves(leaves) })
    }
}

fn link_target(bytes: &mut Bytes<'_>) -> Result<Vec<u8>, Malformed> {
    let target = bytes.text(PATH_LENGTH_MAX)?;
    if target.is_empty() || target.contains(&0) {
        return Err(Malformed("a link points to what cannot be a path"));
    }
    Ok(target.to_vec())
}

fn time(seconds: i64, nanoseconds: u64) -> Result<Timestamp, Malformed> {
    let nanoseconds = i32::try_from(nanoseconds).ok().filter(|rest| *rest < 1_000_000_000);
    nanoseconds
        .and_then(|rest| Timestamp::new(seconds, rest).ok())
        .ok_or(Malformed("a time is out of range"))
}

#[cfg(test)]
mod tests;
