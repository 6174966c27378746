//! Why a cluster was not restored.

use std::io;
use std::path::PathBuf;

use soter_vault::ids::BackupId;
use soter_vault::log::LogError;
use soter_vault::map::MapError;
use soter_vault::wal::WalError;

use super::choice::Refusal;
use crate::lsn::{Lsn, Timeline};
use crate::timeline::HistoryError;

/// Why a cluster was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store has no backup.
    #[error("the vault holds no backup of this store")]
    NothingThere,
    /// The target cannot be reached; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log cannot be read.
    #[error("the vault's log cannot be read")]
    Log(#[from] LogError),
    /// WAL cannot be read.
    #[error("the vault's WAL cannot be read")]
    Wal(#[from] WalError),
    /// Contents cannot be read or written.
    #[error("the contents cannot be restored")]
    Contents(#[from] MapError),
    /// The record of a backup is not understood.
    #[error("the record of backup {backup} cannot be read")]
    Record {
        /// Which.
        backup: BackupId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The record names a segment size no cluster has.
    #[error("the backup's segment size is not one that a cluster has")]
    SegmentSize,
    /// The history of a timeline is missing.
    #[error("the history file of timeline {timeline} is not in the vault")]
    NoHistory {
        /// Which.
        timeline: Timeline,
    },
    /// A history file is not understood.
    #[error("a timeline's history cannot be read")]
    History(#[from] HistoryError),
    /// Something is in the target directory already.
    #[error("{path} is not empty{}", if *unfinished { ": an unfinished restore is in it" } else { "" })]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// Whether a restore was broken off there.
        unfinished: bool,
    },
    /// A tablespace needs a place of its own.
    #[error("tablespace {oid} needs a place of its own")]
    Tablespace {
        /// Its OID.
        oid: String,
    },
    /// A file of the target cannot be written.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// WAL that was there a moment ago is not.
    #[error("the WAL ends at {at}, before the target")]
    WalEnds {
        /// Where.
        at: Lsn,
    },
}

impl RestoreError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NothingThere => "take one with `soter backup`".to_owned(),
            Self::Refused(refusal) => refusal.hint(),
            Self::NotEmpty { path, .. } => format!(
                "name another directory, or empty {} if nothing in it is needed",
                path.display()
            ),
            Self::Tablespace { .. } => "give it with --tablespace OLD=NEW".to_owned(),
            Self::Contents(MapError::Damaged(_)) => {
                "nothing of what is damaged was written; try another backup or vault".to_owned()
            }
            _ => return None,
        })
    }
}
