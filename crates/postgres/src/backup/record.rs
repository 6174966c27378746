//! What a backup's log entry says about the cluster, beside its contents: everything a restore
//! decides and checks by. Stored as JSON, sealed; unknown fields are ignored by older readers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_vault::ids::{BackupId, IncarnationId};

use super::pages::BadPage;
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::lsn::{Lsn, SegmentSize, Timeline};
use crate::server::{DatabaseContent, ServerFacts};

/// Whether a backup shares with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// Everything was read and stored, or was stored already by a session that crashed.
    Full,
    /// What did not change is shared with the base.
    Increment,
}

/// How it was found out what changed since the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Every block was read and its hash compared.
    Hash,
}

/// The record of a backup of a PostgreSQL cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Full or increment.
    pub kind: BackupKind,
    /// The backup it shares with.
    pub base: Option<BackupId>,
    /// When the last full backup before it, or itself, was begun.
    pub full_at: Timestamp,
    /// How changes were found, and why not better.
    pub rung: Rung,
    /// Why this rung.
    pub rung_reason: String,
    /// The life of the cluster.
    pub incarnation: IncarnationId,
    /// The cluster.
    pub system_identifier: SystemIdentifier,
    /// Its major version.
    pub version: MajorVersion,
    /// Timeline of the start position.
    pub timeline: Timeline,
    /// Replay begins here.
    pub start: Lsn,
    /// Consistent from here on.
    pub stop: Lsn,
    /// When it began, by the server's clock.
    pub started_at: Timestamp,
    /// When it ended, by the server's clock.
    pub stopped_at: Timestamp,
    /// Size of WAL segments.
    pub segment_size: SegmentSize,
    /// Whether a standby was the source.
    pub from_standby: bool,
    /// What the server said about itself.
    pub server: ServerFacts,
    /// Extensions and collations, by database.
    pub contents: Vec<(String, DatabaseContent)>,
    /// Where its data directory was.
    pub data_directory: String,
    /// What was done.
    pub counters: RecordCounters,
    /// Pages that were damaged on disk, and were copied as they are.
    pub bad_pages: Vec<BadPage>,
    /// What a person may want to know: links that were followed, special files left out.
    pub remarks: Vec<String>,
}

/// Sizes and counts of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordCounters {
    /// Files in it.
    pub files: u64,
    /// Bytes of these files.
    pub total_bytes: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes of new objects.
    pub stored_bytes: u64,
    /// Blocks shared with the base.
    pub same_blocks: u64,
    /// Blocks stored.
    pub new_blocks: u64,
}

impl BackupRecord {
    /// The bytes for the log entry.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has nothing that JSON cannot say")
    }

    /// Reads the bytes of a log entry.
    ///
    /// # Errors
    /// What serde says: the entry is of another kind of store, or of a newer version.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
