//! Why a base backup was not made, and what to do about it.

use std::io;
use std::path::PathBuf;

use soter_vault::keys as vault_keys;
use soter_vault::log::LogError;
use soter_vault::map::{LateFileError, MapError, PathError};
use soter_vault::objects::ObjectError;

use super::tree::TreeError;
use crate::cluster::SystemIdentifier;
use crate::control::ControlFileError;
use crate::error::ErrorKind;
use crate::incarnation::MarkerError;
use crate::lsn::Lsn;
use crate::server;
use crate::server::checks::Finding;

/// Why a base backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The server cannot be reached, or did not answer.
    #[error("the server cannot be asked")]
    Connect(#[source] postgres::Error),
    /// The server refused something.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The server is not set up for base backups.
    #[error("{}: {}", .0.what, .0.why)]
    Prevented(Box<Finding>),
    /// The directory is of another cluster than the server: correct the plan.
    #[error("the server is cluster {server}, the data directory is of cluster {directory}")]
    OtherCluster {
        /// What the server says.
        server: SystemIdentifier,
        /// What `pg_control` says.
        directory: SystemIdentifier,
    },
    /// The role may not know where something is.
    #[error("the server does not say where {what} is")]
    HiddenPath {
        /// What.
        what: String,
    },
    /// A file of the cluster cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The control file is not one this version knows.
    #[error("the control file cannot be used")]
    Control(#[from] ControlFileError),
    /// The server's clock says something impossible.
    #[error("the server's clock is out of range")]
    ServerClock,
    /// The data directory may not write into this history.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The cluster cannot be walked.
    #[error("the cluster's files cannot be listed")]
    Tree(#[from] TreeError),
    /// A path that cannot be in a backup.
    #[error("a file cannot be backed up")]
    Path(#[from] PathError),
    /// A late file was refused.
    #[error("the backup's own files do not fit")]
    Late(#[from] LateFileError),
    /// Reading, or writing to the vault, failed.
    #[error("the contents cannot be stored")]
    Contents(#[from] MapError),
    /// The log failed or refused.
    #[error("the vault's log cannot be used")]
    Log(#[from] LogError),
    /// The vault's place failed.
    #[error("the vault cannot be used")]
    Store(#[from] ObjectError),
    /// The backup is complete but for its WAL.
    #[error(
        "the WAL up to {needed} did not arrive in the vault{}",
        reached.map(|lsn| format!("; it reaches {lsn}")).unwrap_or_default()
    )]
    WalMissing {
        /// The stop position.
        needed: Lsn,
        /// What is there.
        reached: Option<Lsn>,
    },
    /// The vault does not say whether it has the WAL.
    #[error("nobody can say whether the WAL of the backup is in the vault")]
    WalUnknown(#[source] soter_vault::wal::WalError),
    /// Asked to stop.
    #[error("stopped before the backup was complete")]
    Stopped,
}

impl BackupError {
    pub(super) fn connect(error: postgres::Error) -> Self {
        Self::Connect(error)
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Server(error) => error.kind(),
            Self::Prevented(_)
            | Self::OtherCluster { .. }
            | Self::HiddenPath { .. }
            | Self::Marker(_)
            | Self::Path(_)
            | Self::Late(_) => ErrorKind::Input,
            Self::Connect(_) => ErrorKind::Retry,
            Self::Contents(MapError::Stopped) | Self::Stopped => ErrorKind::Stopped,
            Self::Log(error) => match error.kind() {
                vault_keys::ErrorKind::Superseded => ErrorKind::Superseded,
                vault_keys::ErrorKind::Retry => ErrorKind::Retry,
                vault_keys::ErrorKind::Input => ErrorKind::Input,
                vault_keys::ErrorKind::Damaged => ErrorKind::Damaged,
                vault_keys::ErrorKind::NotFound | vault_keys::ErrorKind::Failed => {
                    ErrorKind::Failed
                }
            },
            _ => ErrorKind::Failed,
        }
    }

    /// Advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Prevented(finding) => return Some(finding.remedy()),
            Self::Connect(_) => "is it running? `soter doctor` checks the connection",
            Self::OtherCluster { .. } => "correct connection or data_directory in the plan",
            Self::HiddenPath { .. } => "grant the role pg_read_all_settings, or use a superuser",
            Self::Marker(error) => error.hint(),
            Self::File { .. } | Self::Tree(_) => "run as the server's user",
            Self::WalMissing { .. } => {
                "run `soter agent`, or set archive_command to 'soter wal push %p'; then try again"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
