//! What the entry of a backup says about an etcd: everything that a restore is decided and verified by.
//! JSON, described in `docs/format/vault.md`; unknown fields are ignored by older readers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_vault::ids::BackupId;

use crate::etcd::Census;

/// Where the snapshot is in a backup.
pub const SNAPSHOT_FILE: &str = "snapshot.db";

/// What the paths of files that were taken along begin with.
pub const TAKEN_PREFIX: &str = "files";

/// The word for an etcd in a record.
pub const KIND: &str = "etcd";

/// The record of a backup of an etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdRecord {
    /// What kind of store it is: [`KIND`]. The records of PostgreSQL clusters have no such field.
    pub store: String,
    /// Whether it shares with the backup before.
    pub kind: Sharing,
    /// The backup it shares with.
    pub base: Option<BackupId>,
    /// When the last full backup before it, or itself, was begun.
    pub full_at: Timestamp,
    /// When it was begun, by the clock of who took it.
    pub started_at: Timestamp,
    /// When the snapshot had arrived.
    pub taken_at: Timestamp,
    /// The member that was asked.
    pub endpoint: String,
    /// Version of its program.
    pub version: String,
    /// The cluster, 16 hex digits.
    pub cluster: String,
    /// The member, 16 hex digits.
    pub member: String,
    /// All members.
    pub members: Vec<MemberRecord>,
    /// Length of the snapshot: database and hash.
    pub snapshot_bytes: u64,
    /// SHA-256 of the database, by the server, 64 hex digits.
    pub sha256: String,
    /// Everything up to this revision is in it.
    pub revision: u64,
    /// Nothing behind this revision is in it: the server wrote on while the snapshot began.
    pub revision_max: u64,
    /// The keys at `revision`, counted by the server.
    pub keys: Census,
    /// Files that were taken along.
    pub files: Vec<TakenFile>,
    /// What was done.
    pub counters: Counters,
    /// What a person may want to know.
    pub remarks: Vec<String>,
}

/// Whether a backup shares with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Everything was stored, or had been by a session that crashed.
    Full,
    /// Blocks that had not changed are shared.
    Increment,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Its number, 16 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where other members reached it.
    pub peer_urls: Vec<String>,
}

/// A file that was taken along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFile {
    /// Where it was, from the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Whose it was, by number.
    pub user: u32,
    /// Its group, by number.
    pub group: u32,
    /// How long it was.
    pub bytes: u64,
}

/// Sizes and counts of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes that were read, of the snapshot and of files.
    pub read_bytes: u64,
    /// Bytes of new objects.
    pub stored_bytes: u64,
    /// Blocks shared with the base.
    pub same_blocks: u64,
    /// Blocks stored.
    pub new_blocks: u64,
    /// Blocks of zeros, which take nothing.
    pub zero_blocks: u64,
}

/// An entry's content is not the record of an etcd.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is of another kind of store.
    #[error("it is a backup of {found}, not of an etcd")]
    OtherKind {
        /// Which.
        found: String,
    },
    /// It cannot be read: a newer Soter may have written it.
    #[error("the record cannot be read")]
    Json(#[from] serde_json::Error),
}

/// What kind of store the content of a backup's entry is of, as far as it says: the records of
/// PostgreSQL clusters do not.
#[must_use]
pub fn kind_of(content: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        store: Option<String>,
    }
    serde_json::from_slice::<Kind>(content).ok()?.store
}

impl EtcdRecord {
    /// The bytes for the log entry.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has nothing that JSON cannot say")
    }

    /// Reads the bytes of a log entry.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn parse(content: &[u8]) -> Result<Self, RecordError> {
        match kind_of(content).as_deref() {
            Some(KIND) => Ok(serde_json::from_slice(content)?),
            Some(other) => Err(RecordError::OtherKind { found: other.to_owned() }),
            None => Err(RecordError::OtherKind { found: "a PostgreSQL cluster".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the format page has it.
    const ON_THE_PAGE: &str = include_str!("../../../../docs/format/vault.md");

    #[test]
    fn the_record_on_the_format_page_is_read_and_written_so() {
        let (_, rest) = ON_THE_PAGE.split_once("```etcd-record\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let record = EtcdRecord::parse(text.as_bytes()).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&record.to_bytes()).unwrap();
        let page: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(written, page);
        assert_eq!(kind_of(text.as_bytes()).as_deref(), Some(KIND));
    }

    #[test]
    fn a_record_of_another_store_is_named() {
        for (content, named) in [
            (&br#"{"kind":"full","version":15}"#[..], "a PostgreSQL cluster"),
            (br#"{"store":"bucket"}"#, "bucket"),
            (b"", "a PostgreSQL cluster"),
        ] {
            let error = EtcdRecord::parse(content).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(matches!(EtcdRecord::parse(br#"{"store":"etcd"}"#), Err(RecordError::Json(_))));
    }
}
