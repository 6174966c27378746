//! What a server says about itself, as one value: for the checks, for a backup's record, for a
//! restore that has to be the same again.
//!
//! Only settings that are named here are read: others may hold secrets. What the role may not see is
//! `None`, not an error, so that the checks can say which privilege is missing.

mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use postgres::Client;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::lsn::{Lsn, SegmentSize, Timeline};
use crate::relation::{DatabaseId, TablespaceId};

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// The major version, one that can be protected.
    pub version: MajorVersion,
    /// All the server says of its version, compiler and machine.
    pub build: String,
    /// Which cluster it is.
    pub system_identifier: SystemIdentifier,
    /// The database we are connected to; privileges on functions are its own.
    pub database: String,
    /// The timeline it is on.
    pub timeline: Timeline,
    /// Whether it replays WAL instead of writing it.
    pub in_recovery: bool,
    /// How much goes into WAL.
    pub wal_level: WalLevel,
    /// The size of WAL segment files.
    pub wal_segment_size: SegmentSize,
    /// The size of a page.
    pub block_size: u32,
    /// Whether pages have checksums.
    pub data_checksums: bool,
    /// Settings by name, in the units of `pg_settings`.
    pub settings: BTreeMap<String, String>,
    /// Where its files are.
    pub files: FileFacts,
    /// Tablespaces besides the two that are inside the data directory.
    pub tablespaces: Vec<TablespaceFacts>,
    /// All replication slots.
    pub slots: Vec<SlotFacts>,
    /// Who receives WAL now.
    pub receivers: Vec<ReceiverFacts>,
    /// Who waits for something else than the rest does: databases and roles with a setting of their
    /// own.
    pub synchronous_commit_overrides: Vec<SynchronousCommitOverride>,
    /// All databases.
    pub databases: Vec<DatabaseFacts>,
    /// The libraries that sort texts: another version may sort otherwise.
    pub libraries: LibraryVersions,
    /// Whom we are logged in as, and what we may do.
    pub role: RoleFacts,
}

/// `wal_level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalLevel {
    /// Not enough for any backup.
    Minimal,
    /// Enough.
    Replica,
    /// More than enough.
    Logical,
}

/// Where files of the server are, as far as we may know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileFacts {
    /// The data directory.
    pub data_directory: Option<PathBuf>,
    /// `postgresql.conf`, on Debian outside the data directory.
    pub config_file: Option<PathBuf>,
    /// `pg_hba.conf`.
    pub hba_file: Option<PathBuf>,
    /// `pg_ident.conf`.
    pub ident_file: Option<PathBuf>,
    /// Every file that any setting or rule comes from, in order of name.
    pub sources: Vec<PathBuf>,
}

/// A tablespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablespaceFacts {
    /// The number its link in `pg_tblspc` has.
    pub id: TablespaceId,
    /// Its name.
    pub name: String,
    /// The directory, or `None` if we may not know.
    pub path: Option<PathBuf>,
}

/// How a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// It never reserved any WAL.
    Idle,
    /// Its WAL is within `max_wal_size`.
    Reserved,
    /// It makes the server keep more than `max_wal_size`.
    Extended,
    /// It holds more than `max_slot_wal_keep_size`: the next checkpoint may remove it.
    Unreserved,
    /// Its WAL is gone: there is a gap. The version decides whether it looks usable all the same.
    Lost,
}

/// A replication slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFacts {
    /// Its name.
    pub name: String,
    /// Whether it is a physical one.
    pub physical: bool,
    /// The process that streams from it.
    pub active_process: Option<u32>,
    /// From where it keeps WAL.
    pub restart: Option<Lsn>,
    /// How it is doing.
    pub state: SlotState,
    /// How much more WAL may be written until it is in danger; `None` if there is no limit, or if it
    /// is lost.
    pub safe_wal_bytes: Option<i64>,
}

/// Someone who receives WAL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverFacts {
    /// What it calls itself.
    pub application_name: String,
    /// `sync`, `potential`, `quorum` or `async`; `None` if we may not know.
    pub sync_state: Option<String>,
}

/// A database or role for which commits wait for something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynchronousCommitOverride {
    /// The database, if not all.
    pub database: Option<String>,
    /// The role, if not all.
    pub role: Option<String>,
    /// What `synchronous_commit` is there.
    pub value: String,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// The number its directory has.
    pub id: DatabaseId,
    /// Its name.
    pub name: String,
    /// Whether one can connect.
    pub connectable: bool,
    /// Its encoding.
    pub encoding: String,
    /// How it sorts.
    pub collate: String,
    /// How it tells letters.
    pub ctype: String,
    /// `c` for the C library, `i` for ICU, `b` for PostgreSQL itself (15 on).
    pub locale_provider: Option<String>,
    /// The locale of ICU or PostgreSQL, if it is one of theirs.
    pub locale: Option<String>,
    /// The version of the sorting library when its indexes were built (15 on).
    pub collation_version: Option<String>,
    /// The version of the sorting library now (15 on). If it is another one, indexes on texts may
    /// be silently wrong.
    pub collation_version_now: Option<String>,
}

/// The versions of the libraries that sort texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LibraryVersions {
    /// The C library.
    pub libc: Option<String>,
    /// ICU's collations.
    pub icu: Option<String>,
}

/// What protecting a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// To stream WAL.
    Replicate,
    /// To see all settings.
    ReadAllSettings,
    /// To start and stop base backups.
    BackUp,
}

/// Whom we are logged in as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleFacts {
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// What it may not do. A superuser lacks nothing.
    pub lacks: Vec<Privilege>,
    /// How many connections it may have; `None` if there is no limit.
    pub connection_limit: Option<u32>,
}

/// What one must connect to a database for to learn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatabaseContent {
    /// Collations whose version is recorded.
    pub collations: Vec<CollationFacts>,
    /// Installed extensions.
    pub extensions: Vec<ExtensionFacts>,
}

/// A collation with a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollationFacts {
    /// Schema and name.
    pub name: String,
    /// The version when it was made or last refreshed.
    pub version: String,
    /// The version of the library now.
    pub version_now: Option<String>,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionFacts {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl DatabaseContent {
    /// Reads what is in the database the connection is to.
    pub fn read(client: &mut Client) -> Result<Self, Error> {
        read::database_content(client)
    }
}

impl ServerFacts {
    /// Reads everything there is to know over one connection, whichever database it is to.
    pub fn read(client: &mut Client) -> Result<Self, Error> {
        read::server_facts(client)
    }

    /// A setting by name, as `pg_settings` has it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// A slot by name.
    pub fn slot(&self, name: &str) -> Option<&SlotFacts> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}

pub(super) use read::{backup_functions, major_version};
