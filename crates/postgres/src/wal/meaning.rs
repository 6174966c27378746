//! What records say beyond the blocks they touch: commits, restore points, checkpoints, timelines.

use jiff::{SignedDuration, Timestamp};

use super::record::{ResourceManager, TransactionId};
use crate::cluster::MajorVersion;
use crate::control::WalLevel;
use crate::little_endian::{u32_at, u64_at};
use crate::lsn::{Lsn, Timeline};

/// 2000-01-01 00:00:00 UTC, from which PostgreSQL counts time, in seconds of Unix time.
const EPOCH_SECONDS: i64 = 946_684_800;

/// Flags in the info of every record are in the lower half; the kind is in the upper.
const KIND_MASK: u8 = 0xF0;

/// The bits of an XACT record's info that tell commit, abort and so on.
const TRANSACTION_KIND_MASK: u8 = 0x70;
/// The record has a word saying which optional parts follow.
const TRANSACTION_HAS_PARTS: u8 = 0x80;

/// What a record says that matters beyond its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// Nothing.
    None,
    /// A transaction was committed.
    Commit(TransactionEnd),
    /// A transaction was rolled back.
    Abort(TransactionEnd),
    /// Somebody gave this position a name.
    RestorePoint {
        /// The name.
        name: &'a str,
        /// When.
        time: Timestamp,
    },
    /// A checkpoint was completed; replay can begin at `redo`.
    Checkpoint(CheckpointRecord),
    /// Recovery ended here without a checkpoint; a new timeline begins.
    EndOfRecovery {
        /// The timeline that begins.
        timeline: Timeline,
        /// The timeline that was left.
        previous_timeline: Timeline,
        /// The `wal_level` from here on; 17 on.
        wal_level: Option<WalLevel>,
    },
    /// Replay from a checkpoint will begin here; 17 on.
    CheckpointRedo {
        /// The `wal_level` from here on.
        wal_level: Option<WalLevel>,
    },
    /// Settings that matter to standbys changed.
    ParameterChange {
        /// The `wal_level` from here on.
        wal_level: Option<WalLevel>,
    },
    /// A backup that began at `start` is consistent from here on.
    BackupEnd {
        /// Where it began.
        start: Lsn,
    },
    /// The rest of the segment is empty.
    Switch,
    /// The unfinished record at `overwritten` is void: the server crashed in the middle of it.
    OverwriteContinuation {
        /// Where it began.
        overwritten: Lsn,
    },
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionEnd {
    /// Which transaction; of a prepared one its own number, not that of the session that ended it.
    pub transaction: TransactionId,
    /// When, by the server's clock. These times do not always grow.
    pub time: Timestamp,
}

/// A checkpoint's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Where replay begins.
    pub redo: Lsn,
    /// Whether the server was shut down with it.
    pub is_shutdown: bool,
    /// The timeline.
    pub timeline: Timeline,
    /// The timeline before, if this checkpoint begins a new one; else the same.
    pub previous_timeline: Timeline,
    /// The `wal_level`; 17 on.
    pub wal_level: Option<WalLevel>,
}

/// A record's own data, or the first part of it where all would be too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct MainData<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_cut: bool,
}

impl<'a> Meaning<'a> {
    /// What a record with this main data says. `None` if it is too short for what it claims to be.
    pub(super) fn read(
        manager: ResourceManager,
        info: u8,
        transaction: TransactionId,
        data: MainData<'a>,
        version: MajorVersion,
    ) -> Option<Self> {
        match manager {
            ResourceManager::XLOG => read_xlog(info & KIND_MASK, data.bytes, version),
            ResourceManager::TRANSACTION => read_transaction(info, transaction, data, version),
            _ => Some(Self::None),
        }
    }
}

fn read_xlog(kind: u8, data: &[u8], version: MajorVersion) -> Option<Meaning<'_>> {
    // Only from 17 on do these records say it; the bytes are padding before.
    let level_since_17 = |at| match version {
        MajorVersion::V14 | MajorVersion::V15 | MajorVersion::V16 => Some(None),
        MajorVersion::V17 | MajorVersion::V18 => Some(WalLevel::from_stored(u32_at(data, at)?)),
    };
    Some(match kind {
        0x00 | 0x10 => Meaning::Checkpoint(CheckpointRecord {
            redo: Lsn(u64_at(data, 0)?),
            is_shutdown: kind == 0,
            timeline: Timeline(u32_at(data, 8)?),
            previous_timeline: Timeline(u32_at(data, 12)?),
            wal_level: level_since_17(20)?,
        }),
        0x40 => Meaning::Switch,
        0x50 => Meaning::BackupEnd { start: Lsn(u64_at(data, 0)?) },
        0x60 => Meaning::ParameterChange { wal_level: WalLevel::from_stored(u32_at(data, 20)?) },
        0x70 => {
            let name = data.get(8..)?.split(|&byte| byte == 0).next()?;
            // The server lets any bytes through; a name that is no text cannot be asked for.
            let name = std::str::from_utf8(name).unwrap_or_default();
            Meaning::RestorePoint { name, time: time_at(data, 0)? }
        }
        0x90 => Meaning::EndOfRecovery {
            timeline: Timeline(u32_at(data, 8)?),
            previous_timeline: Timeline(u32_at(data, 12)?),
            wal_level: level_since_17(16)?,
        },
        0xD0 => Meaning::OverwriteContinuation { overwritten: Lsn(u64_at(data, 0)?) },
        0xE0 => Meaning::CheckpointRedo { wal_level: WalLevel::from_stored(u32_at(data, 0)?) },
        _ => Meaning::None,
    })
}

fn read_transaction(
    info: u8,
    transaction: TransactionId,
    data: MainData<'_>,
    version: MajorVersion,
) -> Option<Meaning<'static>> {
    let Some(kind) = TransactionKind::of(info) else { return Some(Meaning::None) };
    let prepared = match TransactionParts::read(info, data.bytes, version) {
        Some(parts) => parts.prepared,
        // The number stands behind lists of which one was cut off.
        None if data.is_cut => None,
        None => return None,
    };
    let transaction = prepared.unwrap_or(transaction);
    let end = TransactionEnd { transaction, time: time_at(data.bytes, 0)? };
    Some(match kind {
        TransactionKind::Commit => Meaning::Commit(end),
        TransactionKind::Abort => Meaning::Abort(end),
    })
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransactionKind {
    Commit,
    Abort,
}

impl TransactionKind {
    fn of(info: u8) -> Option<Self> {
        match info & TRANSACTION_KIND_MASK {
            0x00 | 0x30 => Some(Self::Commit), // directly, or of a prepared one
            0x20 | 0x40 => Some(Self::Abort),
            _ => None,
        }
    }
}

/// Whether the record ends a transaction, and so may list files it removes.
pub(super) fn ends_transaction(info: u8) -> bool {
    TransactionKind::of(info).is_some()
}

/// The optional parts of a commit's or abort's record, in their order, as far as we need them.
pub(super) struct TransactionParts<'a> {
    /// The relations whose files it removes, twelve bytes each.
    pub(super) removed_files: &'a [u8],
    prepared: Option<TransactionId>,
}

impl<'a> TransactionParts<'a> {
    /// `None` if the record is too short for what it announces.
    pub(super) fn read(info: u8, data: &'a [u8], version: MajorVersion) -> Option<Self> {
        let mut parts = Self { removed_files: &[], prepared: None };
        if info & TRANSACTION_HAS_PARTS == 0 {
            return Some(parts);
        }
        let flags = u32_at(data, 8)?;
        let has = |bit: u32| flags & (1 << bit) != 0;
        let mut at = 12;
        if has(0) {
            at += 8; // database and tablespace
        }
        if has(1) {
            at = list(data, at, 4)?.1; // subtransactions
        }
        if has(2) {
            (parts.removed_files, at) = list(data, at, 12)?;
        }
        if has(8) && version >= MajorVersion::V15 {
            let item = if version >= MajorVersion::V18 { 16 } else { 12 };
            at = list(data, at, item)?.1; // statistics to drop
        }
        if has(3) {
            at = list(data, at, 16)?.1; // cache invalidations
        }
        if has(4) {
            parts.prepared = Some(TransactionId(u32_at(data, at)?));
        }
        Some(parts)
    }
}

/// A count and so many items: the items, and where the list ends.
fn list(data: &[u8], at: usize, item_bytes: usize) -> Option<(&[u8], usize)> {
    let count = usize::try_from(u32_at(data, at)?).ok()?;
    let start = at.checked_add(4)?;
    let end = start.checked_add(count.checked_mul(item_bytes)?)?;
    Some((data.get(start..end)?, end))
}

/// PostgreSQL's times reach further than ours; what is beyond becomes the last we have.
fn time_at(data: &[u8], at: usize) -> Option<Timestamp> {
    let micros = u64_at(data, at)?.cast_signed();
    let since_epoch = SignedDuration::from_micros(micros);
    let epoch = Timestamp::from_second(EPOCH_SECONDS).expect("the year 2000 is within range");
    let beyond = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Some(epoch.checked_add(since_epoch).unwrap_or(beyond))
}
