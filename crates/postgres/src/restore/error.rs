//! Why a cluster was not restored.

use std::io;
use std::path::PathBuf;

use soter_vault::ids::BackupId;
use soter_vault::log::LogError;
use soter_vault::map::MapError;
use soter_vault::wal::WalError;
use soter_world::exec::ExecError;

use super::choice::Refusal;
use crate::lsn::{Lsn, Timeline};
use crate::postmaster::PostmasterError;
use crate::server;
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
    /// A restore still works there, or a server that cannot be ended.
    #[error("process {process} still works in {path}")]
    Busy {
        /// The directory.
        path: PathBuf,
        /// The process.
        process: u32,
    },
    /// A restore of this name has brought something else back there, and it may have been written to.
    #[error("{path} holds what the restore {once:?} has brought back to {to}")]
    Otherwise {
        /// The directory.
        path: PathBuf,
        /// The name.
        once: String,
        /// What it was to bring back.
        to: String,
    },
    /// It is not known where a tablespace was, so nothing says where it goes.
    #[error("tablespace {tablespace} needs a place")]
    Tablespace {
        /// Which.
        tablespace: String,
    },
    /// A mapping for a tablespace that there is not.
    #[error("{mapping:?} means no tablespace of the backup")]
    UnknownTablespace {
        /// What was typed.
        mapping: String,
        /// Those that there are.
        known: String,
    },
    /// A tablespace would be in another one, or in the data directory, or around it.
    #[error("tablespace {tablespace} cannot be in {path}, which is another's place")]
    SharedPlace {
        /// Which.
        tablespace: String,
        /// Where.
        path: PathBuf,
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
    /// The operating system does not know a user by this number.
    #[error("the user {user} has no name here")]
    NoUser {
        /// Its number.
        user: u32,
        /// Why.
        #[source]
        source: ExecError,
    },
    /// The server cannot be started, or has ended.
    #[error("the restored server does not run")]
    Postmaster(#[from] PostmasterError),
    /// The restored server accepts connections, but not ours.
    #[error("cannot connect to the restored server as {to}")]
    Connect {
        /// As whom, and where.
        to: String,
        /// Why.
        #[source]
        source: postgres::Error,
    },
    /// The restored server does not do what it is told.
    #[error("the restored server does not do what it is told")]
    Server(#[from] server::Error),
    /// The server has not replayed what the plan said.
    #[error(
        "the server was to replay up to {expected}, and has replayed up to {reached}; its log ends: \
         {log}"
    )]
    Astray {
        /// Where it should stand.
        expected: String,
        /// Where it stands.
        reached: String,
        /// Its last words.
        log: String,
    },
    /// We were asked to end. The server is stopped, the directory is marked as unfinished.
    #[error("interrupted; the restored server is stopped")]
    Interrupted,
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
            Self::NotEmpty { path, unfinished: true } => format!(
                "name another directory, or stop the server there, if one runs (postmaster.pid), and \
                 empty {}",
                path.display()
            ),
            Self::NotEmpty { path, .. } => format!(
                "name another directory (for a tablespace: --tablespace OLD=NEW), or empty {} if nothing in it is needed",
                path.display()
            ),
            Self::Busy { .. } => {
                "wait until it has ended, or end it, and run this again".to_owned()
            }
            Self::Otherwise { .. } => {
                "name another directory: what is there may be needed, and is not touched".to_owned()
            }
            Self::Tablespace { .. } | Self::SharedPlace { .. } => {
                "give it a directory of its own with --tablespace OLD=NEW".to_owned()
            }
            Self::UnknownTablespace { known, .. } if known.is_empty() => {
                "the backup has none".to_owned()
            }
            Self::UnknownTablespace { known, .. } => {
                format!("name it by number, name or directory: {known}")
            }
            Self::Postmaster(error) => return error.hint(),
            Self::Connect { .. } => "name a superuser of the cluster: --role NAME".to_owned(),
            Self::Astray { .. } => {
                "it is stopped and its directory kept; restore into another directory, from another \
                 vault or to an earlier target"
                    .to_owned()
            }
            Self::Interrupted => "empty the directory, or name another, and begin again".to_owned(),
            Self::Contents(MapError::Damaged(_)) => {
                "nothing of what is damaged was written; try another backup or vault".to_owned()
            }
            _ => return None,
        })
    }
}
