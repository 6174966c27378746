//! The table of files, once it is known where everything is.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::ContentId;
use crate::log::PackRows;
use crate::map::entry::EAGER_LENGTH_MAX;
use crate::map::entry::{Content, EntryKind, FileEntry, FrameRef, LEAF_LENGTH, leaf_count};
use crate::map::error::MapError;
use crate::map::put::{MapPacks, PutPacks};
use crate::map::root::{MapRoot, ROOT_LENGTH_MAX, ShardRow, Totals};
use crate::map::shard::{FinishedShard, ShardWriter};
use crate::map::write::base::BaseFiles;
use crate::map::write::{
    BackupJob, Outcome, SourceFile, SourceKind, WrittenLeaf, WrittenMap, WrittenSmall,
};
use crate::names::PackClass;
use crate::pack::PackId;

/// A table of files that is in the vault.
pub(super) struct Table {
    outcome: Outcome,
    shards: Vec<ShardRow>,
    totals: Totals,
    map_packs: BTreeSet<PackId>,
}

/// Writes all shards and puts the last map pack.
pub(super) fn write(
    job: &BackupJob<'_>,
    base: &BaseFiles,
    packs: MapPacks<'_>,
    mut outcome: Outcome,
) -> Result<Table, MapError> {
    let leaves = std::mem::take(&mut outcome.leaves);
    let small = std::mem::take(&mut outcome.small);
    let mut files = Files { leaves, small };
    let mut writing = TableWriter {
        job,
        packs,
        known: known_shards(job, base),
        table: Table {
            outcome,
            shards: Vec::new(),
            totals: Totals::default(),
            map_packs: BTreeSet::new(),
        },
    };
    let mut shard = ShardWriter::default();
    for (index, file) in job.plan.iter().enumerate() {
        let Some(kind) = files.kind(index, file) else {
            writing.table.outcome.counters.vanished += 1;
            continue;
        };
        writing.count(&kind);
        let (path, attributes) = (file.path.clone(), file.attributes.clone());
        if let Some(finished) = shard.add(&FileEntry { path, attributes, kind }) {
            writing.place(finished)?;
        }
    }
    if let Some(finished) = shard.finish() {
        writing.place(finished)?;
    }
    writing.packs.close()?;
    Ok(writing.table)
}

/// Shards of the base that may be shared, by what is in them.
fn known_shards(job: &BackupJob<'_>, base: &BaseFiles) -> BTreeMap<ContentId, FrameRef> {
    let shards = job.base.as_ref().map_or(&[][..], |base| &base.map.root().shards);
    let shards = shards.iter().filter(|row| base.may_share_map(job, row.frame.pack));
    shards.map(|row| (row.id, row.frame)).collect()
}

/// What became of each file; taken out one after the other, so that memory shrinks as shards grow.
struct Files {
    leaves: BTreeMap<(usize, u64), WrittenLeaf>,
    small: BTreeMap<usize, WrittenSmall>,
}

impl Files {
    /// What the backup says about a file; nothing when it is gone.
    fn kind(&mut self, index: usize, file: &SourceFile) -> Option<EntryKind> {
        match &file.kind {
            SourceKind::Directory => Some(EntryKind::Directory),
            SourceKind::Link { target } => Some(EntryKind::Link { target: target.clone() }),
            SourceKind::File { size } if *size <= EAGER_LENGTH_MAX as u64 => {
                let (size, content) = match self.small.remove(&index)? {
                    WrittenSmall::Gone => return None,
                    WrittenSmall::Inline(bytes) => {
                        (bytes.len() as u64, Content::Inline(bytes.into_vec()))
                    }
                    WrittenSmall::Eager { size, place } => (size, Content::Eager(place)),
                };
                Some(EntryKind::File { size, content })
            }
            SourceKind::File { size } => self.leaves(index, *size),
        }
    }

    /// A file that became shorter ends where a leaf first came to its end; what was read behind that,
    /// before it was cut off, is not the file's any more.
    fn leaves(&mut self, index: usize, listed: u64) -> Option<EntryKind> {
        let (mut size, mut leaves) = (0, Vec::new());
        for number in 0..leaf_count(listed) {
            match self.leaves.remove(&(index, number)) {
                Some(WrittenLeaf::There { length, leaf }) if size == number * LEAF_LENGTH => {
                    size += length;
                    leaves.extend(leaf);
                }
                Some(WrittenLeaf::There { .. }) => {}
                Some(WrittenLeaf::Gone) | None if number == 0 => return None,
                Some(WrittenLeaf::Gone) | None => {}
            }
        }
        Some(EntryKind::File { size, content: Content::Leaves(leaves) })
    }
}

struct TableWriter<'t> {
    job: &'t BackupJob<'t>,
    packs: MapPacks<'t>,
    known: BTreeMap<ContentId, FrameRef>,
    table: Table,
}

impl TableWriter<'_> {
    fn count(&mut self, kind: &EntryKind) {
        let totals = &mut self.table.totals;
        match kind {
            EntryKind::Directory => totals.directories += 1,
            EntryKind::Link { .. } => totals.links += 1,
            EntryKind::File { size, content } => {
                totals.files += 1;
                totals.bytes += size;
                if let Content::Leaves(leaves) = content {
                    self.table.map_packs.extend(leaves.iter().map(|leaf| leaf.frame.pack));
                }
            }
        }
    }

    /// Stores a shard, or takes the base's if it is the same.
    fn place(&mut self, shard: FinishedShard) -> Result<(), MapError> {
        let FinishedShard { bytes, entries, first } = shard;
        let id = self.job.target.content_ids.id(&bytes);
        let frame = match self.known.get(&id) {
            Some(frame) => {
                self.table.outcome.counters.same_shards += 1;
                *frame
            }
            None => self.packs.add_shard(&bytes)?,
        };
        self.table.map_packs.insert(frame.pack);
        self.table.shards.push(ShardRow { frame, id, entries, first });
        Ok(())
    }
}

impl Table {
    /// Gathers what the log entry must say.
    pub(super) fn finish(
        self,
        job: &BackupJob<'_>,
        base: BaseFiles,
        put: PutPacks,
    ) -> Result<WrittenMap, MapError> {
        let Self { outcome, shards, totals, map_packs } = self;
        let Outcome { mut referenced, mut counters, mut findings, unseen, .. } = outcome;
        let mut rows = PackRows::default();
        let mut put_map_packs = BTreeSet::new();
        for (class, number, row) in put.into_rows() {
            let pack = PackId { session: job.target.session, number };
            rows.insert(class, pack, row);
            counters.stored_bytes += u64::from(row.length);
            if class == PackClass::Map {
                put_map_packs.insert(pack);
            }
        }
        for (pack, row) in job.adopted.iter().flat_map(|adopted| adopted.packs()) {
            if referenced.contains(PackClass::Data, *pack) {
                rows.insert(PackClass::Data, *pack, *row);
            }
        }
        referenced.extend(map_packs.iter().map(|pack| (PackClass::Map, *pack)));
        let of_base = job.base.as_ref().map(|base| base.map);
        if let Some(map) = of_base
            && unseen
        {
            referenced.add(&map.access().packs);
        }
        referenced.remove(&rows.packs());
        let of_base = of_base.map_or(&[][..], |map| &map.root().map_packs);
        let older = of_base.iter().filter(|pack| map_packs.contains(pack)).copied();
        let newer = map_packs.iter().filter(|pack| put_map_packs.contains(pack)).copied();
        let root =
            MapRoot { map_packs: older.chain(newer).collect(), shards, totals, late: Vec::new() };
        if root.to_bytes().len() > ROOT_LENGTH_MAX - LATE_ROOM {
            return Err(MapError::TooLarge("it has too many files for one map"));
        }
        counters.files = totals.files;
        findings.extend(base.findings);
        Ok(WrittenMap { root, rows, referenced, counters, findings })
    }
}

/// What is kept free in a root for late files: eight of 64 KiB.
const LATE_ROOM: usize = (8 * crate::map::entry::LATE_LENGTH_MAX) + (64 << 10);
