//! Which blocks changed: the map an incremental backup is made from, filled from WAL records.
//!
//! The map may say too much, never too little. So it is of use only while it can be trusted: a
//! record that changes files in a way we do not know, WAL written with `wal_level = minimal`, a gap
//! or a map that grew too large make it say "everything", openly and with the reason.
//!
//! Only main forks are mapped. The free space map is not logged; bits of the visibility map are
//! cleared by heap records that do not name its block; init forks are tiny. These are taken whole,
//! as is everything that is not a relation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thiserror::Error;

use super::decoder::RecordPlace;
use super::meaning::{self, Meaning, TransactionParts};
use super::record::{Record, ResourceManager};
use crate::cluster::MajorVersion;
use crate::control::WalLevel;
use crate::little_endian::u32_at;
use crate::lsn::Lsn;
use crate::relation::{BlockNumber, DatabaseId, Fork, RelationFile, RelationNumber, TablespaceId};

/// Blocks in a leaf of a bitmap: 4 MiB of a relation in 64 bytes.
const LEAF_BLOCKS: u32 = 512;
const LEAF_WORDS: usize = 8;

/// Two million leaves cover 8 TiB of touched areas and take about 200 MiB; with more changes than
/// this reading everything costs hardly more.
const LEAVES_MAX: usize = 2 << 20;

/// A relation takes about 150 bytes even if only one block of it changed.
const RELATIONS_MAX: usize = 2 << 20;

/// The record may change files in a way that its blocks do not show.
const SPECIAL_UPDATE: u8 = 0x01;

/// The truncation's record cuts the main fork, not only the others.
const TRUNCATES_MAIN: u32 = 0x01;

/// Which blocks a stretch of WAL changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMap {
    version: MajorVersion,
    relations: HashMap<RelationFile, RelationChanges>,
    databases: BTreeSet<(TablespaceId, DatabaseId)>,
    leaves: usize,
    covered: Option<Covered>,
    distrust: Option<Distrust>,
}

/// The records a map is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Covered {
    /// What the first record says is before it: the map that goes before must end with that.
    previous: Lsn,
    first_start: Lsn,
    last: RecordPlace,
}

/// Why a map says "everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the WAL at {lsn} does not tell all changes: {reason}")]
pub struct Distrust {
    /// The record from which on it is so.
    pub lsn: Lsn,
    /// Why.
    pub reason: DistrustReason,
}

/// Why a record makes a map useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DistrustReason {
    /// A newer server or an extension changes files in a way of its own.
    #[error("{manager} changed files by a record of unknown kind {info:02X}")]
    UnknownRecord {
        /// Whose record.
        manager: ResourceManager,
        /// Its kind.
        info: u8,
    },
    /// A record is not as long as its kind needs.
    #[error("a record of {manager} of kind {info:02X} is too short or too long to be read")]
    Unreadable {
        /// Whose record.
        manager: ResourceManager,
        /// Its kind.
        info: u8,
    },
    /// With this setting changes bypass the WAL.
    #[error("wal_level was minimal")]
    WalLevelMinimal,
    /// WAL is missing before this record.
    #[error("records before it are missing")]
    Gap,
    /// The changes take more memory than they are worth.
    #[error("more changed than a map may hold")]
    TooLarge,
}

/// What a map says of one fork of one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes<'a> {
    /// No block of it.
    None,
    /// These blocks of it.
    Blocks(&'a RelationChanges),
    /// Any block may have changed: read all.
    Everything,
}

/// The changed blocks of a relation's main fork.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationChanges {
    /// The relation was cut off here, or created (zero): what is behind is new.
    limit: Option<BlockNumber>,
    /// Changed blocks below the limit.
    leaves: BTreeMap<u32, [u64; LEAF_WORDS]>,
}

impl RelationChanges {
    /// From this block on everything is new. Zero: the relation was created or replaced.
    pub fn limit(&self) -> Option<BlockNumber> {
        self.limit
    }

    /// Whether the block may have changed.
    pub fn contains(&self, block: BlockNumber) -> bool {
        if self.limit.is_some_and(|limit| block >= limit) {
            return true;
        }
        let (leaf, word, bit) = place(block);
        self.leaves.get(&leaf).is_some_and(|words| words[word] & bit != 0)
    }

    /// The changed blocks below the limit, in order.
    pub fn blocks(&self) -> impl Iterator<Item = BlockNumber> + '_ {
        self.leaves.iter().flat_map(|(leaf, words)| {
            let bits = words.iter().zip(0_u32..).flat_map(|(&word, index)| {
                (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| index * 64 + bit)
            });
            bits.map(move |bit| BlockNumber(leaf * LEAF_BLOCKS + bit))
        })
    }

    /// Adds a block and says how many leaves that took.
    fn add(&mut self, block: BlockNumber) -> usize {
        if self.limit.is_some_and(|limit| block >= limit) {
            return 0;
        }
        let leaves_before = self.leaves.len();
        let (leaf, word, bit) = place(block);
        self.leaves.entry(leaf).or_default()[word] |= bit;
        self.leaves.len() - leaves_before
    }

    /// Cuts the relation off and says how many leaves that freed.
    fn cut(&mut self, limit: BlockNumber) -> usize {
        if self.limit.is_some_and(|known| known <= limit) {
            return 0;
        }
        self.limit = Some(limit);
        let leaves_before = self.leaves.len();
        let (leaf, word, bit) = place(limit);
        let first_gone = if limit.0.is_multiple_of(LEAF_BLOCKS) { leaf } else { leaf + 1 };
        self.leaves.split_off(&first_gone);
        if let Some(words) = self.leaves.get_mut(&leaf) {
            words[word] &= bit - 1;
            words[word + 1..].fill(0);
            if *words == [0; LEAF_WORDS] {
                self.leaves.remove(&leaf);
            }
        }
        leaves_before - self.leaves.len()
    }
}

/// Leaf, word in it, bit in that.
fn place(block: BlockNumber) -> (u32, usize, u64) {
    let in_leaf = block.0 % LEAF_BLOCKS;
    let word = usize::try_from(in_leaf / 64).expect("below eight");
    (block.0 / LEAF_BLOCKS, word, 1 << (in_leaf % 64))
}

impl ChangeMap {
    /// An empty map for WAL of this version.
    pub fn new(version: MajorVersion) -> Self {
        Self {
            version,
            relations: HashMap::new(),
            databases: BTreeSet::new(),
            leaves: 0,
            covered: None,
            distrust: None,
        }
    }

    /// The records in the map: from the start of the first to the end of the last. Changes outside
    /// are not in it.
    pub fn covered(&self) -> Option<RecordPlace> {
        let place =
            |covered: Covered| RecordPlace { start: covered.first_start, end: covered.last.end };
        self.covered.map(place)
    }

    /// Whether the map tells all changes, and if not, why.
    pub fn distrust(&self) -> Option<Distrust> {
        self.distrust
    }

    /// What changed in a fork. A fork that is mapped nowhere has not changed.
    pub fn changes(&self, file: RelationFile, fork: Fork) -> Changes<'_> {
        let is_new_database = self.databases.contains(&(file.tablespace, file.database));
        if fork != Fork::Main || is_new_database || self.distrust.is_some() {
            return Changes::Everything;
        }
        match self.relations.get(&file) {
            None => Changes::None,
            Some(changes) if changes.limit == Some(BlockNumber(0)) => Changes::Everything,
            Some(changes) => Changes::Blocks(changes),
        }
    }

    /// All relations with changes, unless everything may have changed.
    pub fn relations(&self) -> impl Iterator<Item = (&RelationFile, &RelationChanges)> {
        self.relations.iter()
    }

    /// Databases whose directories were created, replaced or removed.
    pub fn databases(&self) -> impl Iterator<Item = (TablespaceId, DatabaseId)> + '_ {
        self.databases.iter().copied()
    }

    /// Adds a record, which must be the one after the last.
    pub fn note(&mut self, record: &Record<'_>) {
        let place = RecordPlace { start: record.start, end: record.end };
        let previous = record.previous;
        let first = Covered { previous, first_start: record.start, last: place };
        if self.covered.is_some_and(|covered| covered.last.start != previous) {
            self.give_up(record.start, DistrustReason::Gap);
        }
        self.covered = Some(Covered { last: place, ..self.covered.unwrap_or(first) });
        if self.distrust.is_some() {
            return;
        }
        for block in record.blocks {
            if block.fork == Fork::Main {
                self.leaves += self.relations.entry(block.file).or_default().add(block.block);
            }
        }
        if let Err(reason) = self.note_beyond_blocks(record) {
            self.give_up(record.start, reason);
        }
        self.check_size(record.start);
    }

    /// Adds the map of the WAL that follows.
    pub fn append(&mut self, later: &Self) {
        let Some(theirs) = later.covered else { return };
        if let Some(ours) = self.covered {
            let follows = theirs.previous == ours.last.start || theirs.first_start < ours.last.end;
            if !follows {
                self.give_up(theirs.first_start, DistrustReason::Gap);
            }
        }
        let first = self.covered.unwrap_or(theirs);
        self.covered = Some(Covered { last: theirs.last, ..first });
        if let Some(Distrust { lsn, reason }) = later.distrust {
            self.give_up(lsn, reason);
        }
        if self.distrust.is_some() {
            return;
        }
        self.databases.extend(&later.databases);
        for (file, changes) in &later.relations {
            let mine = self.relations.entry(*file).or_default();
            if let Some(limit) = changes.limit {
                self.leaves -= mine.cut(limit);
            }
            for block in changes.blocks() {
                self.leaves += mine.add(block);
            }
        }
        self.check_size(theirs.first_start);
    }

    fn check_size(&mut self, lsn: Lsn) {
        if self.leaves > LEAVES_MAX || self.relations.len() > RELATIONS_MAX {
            self.give_up(lsn, DistrustReason::TooLarge);
        }
    }

    /// From here on the map says "everything"; the first reason stays.
    fn give_up(&mut self, lsn: Lsn, reason: DistrustReason) {
        self.distrust.get_or_insert(Distrust { lsn, reason });
        self.relations = HashMap::new();
        self.databases = BTreeSet::new();
        self.leaves = 0;
    }

    fn cut(&mut self, file: RelationFile, limit: BlockNumber) {
        self.leaves -= self.relations.entry(file).or_default().cut(limit);
    }

    /// Creation, truncation and removal of files, which no block reference shows.
    fn note_beyond_blocks(&mut self, record: &Record<'_>) -> Result<(), DistrustReason> {
        if is_minimal(&record.meaning) {
            return Err(DistrustReason::WalLevelMinimal);
        }
        let (manager, info) = (record.resource_manager, record.info);
        let kind = info & 0xF0;
        let noted = match manager {
            ResourceManager::STORAGE => match kind {
                0x10 => self.note_create(record.main_data),
                0x20 => self.note_truncate(record.main_data),
                _ => return Err(DistrustReason::UnknownRecord { manager, info }),
            },
            ResourceManager::DATABASE => {
                let is_drop = match (kind, self.version) {
                    (0x00, _) => false,
                    (0x10, version) => version == MajorVersion::V14,
                    (0x20, version) if version > MajorVersion::V14 => true,
                    _ => return Err(DistrustReason::UnknownRecord { manager, info }),
                };
                self.note_database(record.main_data, is_drop)
            }
            ResourceManager::TRANSACTION if meaning::ends_transaction(info) => {
                if record.is_main_data_cut {
                    return Err(DistrustReason::Unreadable { manager, info });
                }
                self.note_removed(info, record.main_data)
            }
            _ if info & SPECIAL_UPDATE != 0 => {
                return Err(DistrustReason::UnknownRecord { manager, info });
            }
            _ => Some(()),
        };
        noted.ok_or(DistrustReason::Unreadable { manager, info })
    }

    /// A new file; its number may have been that of another before.
    fn note_create(&mut self, data: &[u8]) -> Option<()> {
        let file = file_at(data, 0)?;
        if u32_at(data, 12)? == u32::from(Fork::Main.number()) {
            self.cut(file, BlockNumber(0));
        }
        Some(())
    }

    fn note_truncate(&mut self, data: &[u8]) -> Option<()> {
        let (limit, file) = (BlockNumber(u32_at(data, 0)?), file_at(data, 4)?);
        if u32_at(data, 16)? & TRUNCATES_MAIN != 0 {
            self.cut(file, limit);
        }
        Some(())
    }

    /// A database's directory was copied from another, or removed.
    fn note_database(&mut self, data: &[u8], is_drop: bool) -> Option<()> {
        let database = DatabaseId(u32_at(data, 0)?);
        if !is_drop {
            self.databases.insert((TablespaceId(u32_at(data, 4)?), database));
            return Some(());
        }
        let count = usize::try_from(u32_at(data, 4)?).ok()?;
        let tablespaces = data.get(8..8_usize.checked_add(count.checked_mul(4)?)?)?;
        for tablespace in tablespaces.as_chunks::<4>().0 {
            self.databases.insert((TablespaceId(u32::from_le_bytes(*tablespace)), database));
        }
        Some(())
    }

    /// Files removed at the end of a transaction; another relation may get their numbers.
    fn note_removed(&mut self, info: u8, data: &[u8]) -> Option<()> {
        let parts = TransactionParts::read(info, data, self.version)?;
        for file in parts.removed_files.as_chunks::<12>().0 {
            self.cut(file_at(file, 0)?, BlockNumber(0));
        }
        Some(())
    }
}

fn is_minimal(meaning: &Meaning<'_>) -> bool {
    let level = match meaning {
        Meaning::ParameterChange { wal_level }
        | Meaning::CheckpointRedo { wal_level }
        | Meaning::EndOfRecovery { wal_level, .. } => *wal_level,
        Meaning::Checkpoint(checkpoint) => checkpoint.wal_level,
        _ => None,
    };
    level == Some(WalLevel::Minimal)
}

fn file_at(data: &[u8], at: usize) -> Option<RelationFile> {
    Some(RelationFile {
        tablespace: TablespaceId(u32_at(data, at)?),
        database: DatabaseId(u32_at(data, at + 4)?),
        relation: RelationNumber(u32_at(data, at + 8)?),
    })
}

#[cfg(test)]
mod tests;
