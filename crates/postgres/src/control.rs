//! `global/pg_control`: what a cluster says about itself, and the guard of a copied one.
//!
//! The file holds PostgreSQL's `ControlFileData` as it lies in memory, closed by a CRC-32C. Every
//! field is checked before it is believed. A file that fails its checksum may have been read while
//! the server wrote it: read it again before calling it damaged.

use jiff::Timestamp;
use thiserror::Error;

use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::little_endian::{u32_at, u64_at};
use crate::lsn::{Lsn, SegmentSize, SegmentSizeError, Timeline};
use crate::page::PageChecksums;

/// The size of the file. What is used lies within its first 512 bytes, one disk sector.
pub const CONTROL_FILE_BYTES: usize = 8192;

/// What pgBackRest writes for the same purpose: a position at which a record could be, but never
/// is, because clusters begin in segment 1.
const CHECKPOINT_NOWHERE: u64 = 0xDEAD;

/// What PostgreSQL stores to prove that both sides mean the same by a floating point number.
const FLOAT_FORMAT: f64 = 1_234_567.0;

const CHECKPOINT_AT: usize = 32;

/// The contents of `pg_control`, as far as protection and recovery need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Which cluster this is.
    pub system_identifier: SystemIdentifier,
    /// The version that wrote the data directory.
    pub version: MajorVersion,
    /// What the cluster was doing when the file was written.
    pub state: ClusterState,
    /// When the file was written.
    pub modified: Timestamp,
    /// The last checkpoint.
    pub checkpoint: Checkpoint,
    /// Replay must reach this before the cluster is consistent; none unless recovering.
    pub min_recovery_point: Option<Lsn>,
    /// The timeline of `min_recovery_point`.
    pub min_recovery_timeline: Option<Timeline>,
    /// Where the base backup began that is being recovered.
    pub backup_start: Option<Lsn>,
    /// Where the base backup of a standby ended that is being recovered.
    pub backup_end: Option<Lsn>,
    /// Whether recovery must see a record of the backup's end before it is consistent.
    pub backup_end_required: bool,
    /// How much the WAL tells.
    pub wal_level: WalLevel,
    /// Whether hint bits are logged even without checksums.
    pub wal_log_hints: bool,
    /// Settings that a hot standby needs at least as high.
    pub standby_settings: StandbySettings,
    /// Whether commit times are kept.
    pub track_commit_timestamp: bool,
    /// Bytes in a page of a relation; nearly always 8192.
    pub block_size_bytes: u32,
    /// Pages in a file of a relation, before the next file `.1` begins; nearly always 131072.
    pub relation_segment_blocks: u32,
    /// Bytes in a page of WAL; nearly always 8192.
    pub wal_block_size_bytes: u32,
    /// The size of WAL segment files.
    pub wal_segment_size: SegmentSize,
    /// Zero: pages carry no checksum. One: they carry the checksum of [`crate::page`].
    pub data_checksum_version: u32,
}

/// Where recovery would begin without a backup label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position of the checkpoint's record.
    pub lsn: Lsn,
    /// Where replay from this checkpoint begins.
    pub redo: Lsn,
    /// The timeline of the checkpoint.
    pub timeline: Timeline,
    /// The timeline before, if the checkpoint began a new one; else the same.
    pub previous_timeline: Timeline,
    /// When the checkpoint was made.
    pub time: Timestamp,
}

/// Settings whose values on a standby must not be below those of the cluster that wrote the WAL:
/// otherwise the server refuses to start with `hot_standby`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in postgresql.conf")]
pub struct StandbySettings {
    pub max_connections: u32,
    pub max_worker_processes: u32,
    pub max_wal_senders: u32,
    pub max_prepared_transactions: u32,
    pub max_locks_per_transaction: u32,
}

/// What the cluster was doing when it wrote the file: `DBState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of pg_controldata")]
pub enum ClusterState {
    StartingUp,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
}

/// How much the WAL tells: the setting `wal_level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WalLevel {
    /// Not enough to recover a backup from.
    Minimal,
    /// Enough for recovery and standbys.
    Replica,
    /// Also enough for logical decoding.
    Logical,
}

impl WalLevel {
    pub(crate) fn from_stored(value: u32) -> Option<Self> {
        match value {
            0 => Some(Self::Minimal),
            1 => Some(Self::Replica),
            2 => Some(Self::Logical),
            _ => None,
        }
    }
}

/// The bytes are not a `pg_control` that Soter can use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ControlFileError {
    /// The file was cut off.
    #[error("pg_control has only {length} bytes")]
    Short {
        /// How many there are.
        length: usize,
    },
    /// The cluster belongs to a machine with the other byte order.
    #[error("pg_control was written by a big-endian machine")]
    ForeignByteOrder,
    /// A version that is not supported, or not a `pg_control` at all.
    #[error("pg_control is of an unsupported PostgreSQL (layout {layout}, catalogue {catalogue})")]
    Version {
        /// `pg_control_version`.
        layout: u32,
        /// `catalog_version_no`.
        catalogue: u32,
    },
    /// Torn or damaged; read it again, and if it stays so, do not use it.
    #[error("pg_control fails its checksum (found {found:08X}, expected {expected:08X})")]
    Checksum {
        /// What the file says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// The checksum fits but a value is impossible; this is not a usable cluster.
    #[error("pg_control says {field} = {value}, which cannot be")]
    Field {
        /// As `pg_controldata` calls it.
        field: &'static str,
        /// What was found.
        value: i64,
    },
    /// The segment size is impossible.
    #[error("pg_control says an impossible WAL segment size")]
    SegmentSize(#[source] SegmentSizeError),
    /// The cluster computes with other floating point numbers.
    #[error("pg_control was written by a machine with another floating point format")]
    FloatFormat,
}

impl ControlFile {
    /// Reads the file's bytes, checksum and all.
    pub fn parse(file: &[u8]) -> Result<Self, ControlFileError> {
        let version = version(file)?;
        check_crc(file, version)?;
        let fields = Fields { file };
        if fields.u64(208)? != FLOAT_FORMAT.to_bits() {
            return Err(ControlFileError::FloatFormat);
        }
        Ok(Self {
            system_identifier: SystemIdentifier(fields.u64(0)?),
            version,
            state: fields.state()?,
            modified: fields.time("time", 24)?,
            checkpoint: fields.checkpoint()?,
            min_recovery_point: fields.lsn_option(136)?,
            min_recovery_timeline: Some(Timeline(fields.u32(144)?)).filter(|t| t.0 != 0),
            backup_start: fields.lsn_option(152)?,
            backup_end: fields.lsn_option(160)?,
            backup_end_required: fields.flag("end-of-backup record required", 168)?,
            wal_level: fields.wal_level()?,
            wal_log_hints: fields.flag("wal_log_hints", 176)?,
            standby_settings: fields.standby_settings()?,
            track_commit_timestamp: fields.flag("track_commit_timestamp", 200)?,
            block_size_bytes: fields.block_size("block size", 216)?,
            relation_segment_blocks: fields.not_zero("blocks per segment", 220)?,
            wal_block_size_bytes: fields.block_size("WAL block size", 224)?,
            wal_segment_size: SegmentSize::new(fields.u32(228)?)
                .map_err(ControlFileError::SegmentSize)?,
            data_checksum_version: fields.u32(252)?,
        })
    }

    /// Whether pages carry a checksum.
    pub fn page_checksums(&self) -> PageChecksums {
        if self.data_checksum_version == 0 { PageChecksums::Off } else { PageChecksums::On }
    }
}

/// Makes the `pg_control` of a backup useless without the backup's `backup_label`.
///
/// A server that finds no label starts from the checkpoint named here. In a backup that is a later
/// one than the label's, so the cluster would start, miss changes and show it to nobody. With a
/// checkpoint that does not exist it refuses to start instead; with the label this field is never
/// looked at.
pub fn require_backup_label(file: &mut [u8]) -> Result<(), ControlFileError> {
    let version = version(file)?;
    check_crc(file, version)?;
    let checkpoint = file.get_mut(CHECKPOINT_AT..).and_then(<[u8]>::first_chunk_mut);
    *checkpoint.expect("check_crc saw more bytes") = CHECKPOINT_NOWHERE.to_le_bytes();
    let (body, rest) = file.split_at_mut(crc_at(version));
    let crc = rest.first_chunk_mut().expect("check_crc read it");
    *crc = crc32c::crc32c(body).to_le_bytes();
    Ok(())
}

fn version(file: &[u8]) -> Result<MajorVersion, ControlFileError> {
    let fields = Fields { file };
    let (layout, catalogue) = (fields.u32(8)?, fields.u32(12)?);
    let known = MajorVersion::ALL.into_iter().find(|version| {
        version.catalog_version() == catalogue && layout_version(*version) == layout
    });
    match known {
        Some(version) => Ok(version),
        None if layout != 0 && layout.trailing_zeros() >= 16 => {
            Err(ControlFileError::ForeignByteOrder)
        }
        None => Err(ControlFileError::Version { layout, catalogue }),
    }
}

fn layout_version(version: MajorVersion) -> u32 {
    match version {
        MajorVersion::V14 | MajorVersion::V15 | MajorVersion::V16 => 1300,
        MajorVersion::V17 => 1700,
        MajorVersion::V18 => 1800,
    }
}

/// Where the checksum is. All layouts agree up to the checksum version of the pages; 18 put the
/// signedness of `char` between that and the nonce of 32 bytes before the checksum.
fn crc_at(version: MajorVersion) -> usize {
    if version >= MajorVersion::V18 { 292 } else { 288 }
}

fn check_crc(file: &[u8], version: MajorVersion) -> Result<(), ControlFileError> {
    let at = crc_at(version);
    let found = Fields { file }.u32(at)?;
    let body = file.get(..at).ok_or(ControlFileError::Short { length: file.len() })?;
    let expected = crc32c::crc32c(body);
    if found == expected { Ok(()) } else { Err(ControlFileError::Checksum { found, expected }) }
}

/// Fields by their offset in the structure.
struct Fields<'a> {
    file: &'a [u8],
}

impl Fields<'_> {
    fn u32(&self, at: usize) -> Result<u32, ControlFileError> {
        u32_at(self.file, at).ok_or(ControlFileError::Short { length: self.file.len() })
    }

    fn u64(&self, at: usize) -> Result<u64, ControlFileError> {
        u64_at(self.file, at).ok_or(ControlFileError::Short { length: self.file.len() })
    }

    fn lsn_option(&self, at: usize) -> Result<Option<Lsn>, ControlFileError> {
        Ok(Some(Lsn(self.u64(at)?)).filter(|lsn| lsn.is_valid()))
    }

    fn flag(&self, field: &'static str, at: usize) -> Result<bool, ControlFileError> {
        match self.u32(at)?.to_le_bytes() {
            [0, ..] => Ok(false),
            [1, ..] => Ok(true),
            [other, ..] => Err(ControlFileError::Field { field, value: i64::from(other) }),
        }
    }

    /// A count of something: stored signed, never negative.
    fn count(&self, field: &'static str, at: usize) -> Result<u32, ControlFileError> {
        let value = self.u32(at)?;
        let value_signed = value.cast_signed();
        if value_signed >= 0 {
            Ok(value)
        } else {
            Err(ControlFileError::Field { field, value: i64::from(value_signed) })
        }
    }

    fn not_zero(&self, field: &'static str, at: usize) -> Result<u32, ControlFileError> {
        match self.u32(at)? {
            0 => Err(ControlFileError::Field { field, value: 0 }),
            value => Ok(value),
        }
    }

    fn block_size(&self, field: &'static str, at: usize) -> Result<u32, ControlFileError> {
        let value = self.u32(at)?;
        if value.is_power_of_two() && (1024..=65_536).contains(&value) {
            Ok(value)
        } else {
            Err(ControlFileError::Field { field, value: i64::from(value) })
        }
    }

    fn time(&self, field: &'static str, at: usize) -> Result<Timestamp, ControlFileError> {
        let value = self.u64(at)?.cast_signed();
        Timestamp::from_second(value).map_err(|_| ControlFileError::Field { field, value })
    }

    fn state(&self) -> Result<ClusterState, ControlFileError> {
        match self.u32(16)? {
            0 => Ok(ClusterState::StartingUp),
            1 => Ok(ClusterState::ShutDown),
            2 => Ok(ClusterState::ShutDownInRecovery),
            3 => Ok(ClusterState::ShuttingDown),
            4 => Ok(ClusterState::InCrashRecovery),
            5 => Ok(ClusterState::InArchiveRecovery),
            6 => Ok(ClusterState::InProduction),
            other => {
                Err(ControlFileError::Field { field: "cluster state", value: i64::from(other) })
            }
        }
    }

    fn wal_level(&self) -> Result<WalLevel, ControlFileError> {
        let value = self.u32(172)?;
        let field = "wal_level";
        WalLevel::from_stored(value)
            .ok_or(ControlFileError::Field { field, value: i64::from(value) })
    }

    fn checkpoint(&self) -> Result<Checkpoint, ControlFileError> {
        Ok(Checkpoint {
            lsn: Lsn(self.u64(CHECKPOINT_AT)?),
            redo: Lsn(self.u64(40)?),
            timeline: Timeline(self.not_zero("checkpoint's timeline", 48)?),
            previous_timeline: Timeline(self.not_zero("checkpoint's previous timeline", 52)?),
            time: self.time("time of latest checkpoint", 104)?,
        })
    }

    fn standby_settings(&self) -> Result<StandbySettings, ControlFileError> {
        Ok(StandbySettings {
            max_connections: self.count("max_connections", 180)?,
            max_worker_processes: self.count("max_worker_processes", 184)?,
            max_wal_senders: self.count("max_wal_senders", 188)?,
            max_prepared_transactions: self.count("max_prepared_xacts", 192)?,
            max_locks_per_transaction: self.count("max_locks_per_xact", 196)?,
        })
    }
}

#[cfg(test)]
mod tests;
