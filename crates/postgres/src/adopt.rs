//! Adopting a cluster: it gets a life of its own in its store's history.
//!
//! A restored cluster has its parent's system identifier and must never write into its parent's WAL;
//! without a marker nothing is written for it. Adopting gives it a new incarnation: first the marker
//! in the data directory, durable, then the log's entry, which supersedes whoever protected the
//! parent. A crash in between leaves a marker that the log does not know, and so nothing is written
//! for the directory until `adopt` is run again and takes that marker up. Of two directories that are
//! adopted at once one is refused.

use std::io;
use std::path::{Path, PathBuf};

use soter_vault::frame::Compression;
use soter_vault::ids::IncarnationId;
use soter_vault::keys::StoreKeys;
use soter_vault::log::{Duty, Incarnation, Log, LogError, Opening, TakeOver};
use soter_vault::vault::Vault;
use soter_vault::wal::{
    Archive, Sealer, SegmentSize as VaultSegmentSize, WalBytes, WalError, WalFacts, WalVault,
};
use soter_world::disk::FileKind;
use soter_world::{Disk, durable};

use crate::control::{ClusterState, ControlFile, ControlFileError};
use crate::error::ErrorKind;
use crate::incarnation::{self, Marker, MarkerError, bound_cluster};
use crate::restore::write::UNFINISHED;
use crate::wal::name::WalFileName;

/// The control file is one sector, padded to a page.
const CONTROL_FILE_LENGTH_MAX: usize = 64 << 10;

/// A history file has a line for each timeline.
const HISTORY_LENGTH_MAX: usize = 1 << 20;

/// What is adopted, by whom.
pub struct Adoption<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// The cluster.
    pub data_directory: &'a Path,
    /// The vault.
    pub vault: &'a Vault,
    /// The agent's keys for the store.
    pub keys: &'a StoreKeys,
    /// The agent's name, for people.
    pub agent: &'a str,
    /// Whether an agent with another key may be superseded.
    pub take_over: TakeOver,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The cluster's life.
    pub life: Incarnation,
    /// The one before; none if this was the store's present life already.
    pub replaced: Option<Incarnation>,
    /// Whether the one before was another cluster: not a copy of the same.
    pub is_another_cluster: bool,
}

/// Why a cluster was not adopted. Nothing was changed, unless it is said.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The cluster's control file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The control file is not one of a cluster that can be protected.
    #[error("the data directory is not that of a cluster that can be protected")]
    Control(#[from] ControlFileError),
    /// A restore has not come to its end there.
    #[error("an unfinished restore is in the data directory")]
    Unfinished,
    /// The cluster has not ended its recovery.
    #[error("the cluster is still in recovery ({0:?}): it was not promoted yet")]
    InRecovery(ClusterState),
    /// The store has no history yet.
    #[error("the store has no history yet that a cluster could follow on")]
    NoHistory,
    /// The directory was the store's cluster earlier, and another has followed it.
    #[error(
        "the data directory is an earlier life ({0}) of this store, which another has followed"
    )]
    EarlierLife(IncarnationId),
    /// The marker cannot be used.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The log cannot be written. If it is in doubt whether it was: adopt again.
    #[error("the vault's log cannot be written")]
    Log(#[from] LogError),
    /// The cluster is adopted, but its timeline's history is not in the vault: adopt again.
    #[error("the history of the cluster's timeline cannot be stored")]
    Wal(#[from] WalError),
}

impl AdoptError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Log(LogError::HeldByAnother { .. }) => ErrorKind::Input,
            Self::Log(LogError::Overtaken { .. } | LogError::Superseded { .. }) => {
                ErrorKind::Superseded
            }
            Self::Log(_) | Self::Wal(_) => ErrorKind::Failed,
            _ => ErrorKind::Input,
        }
    }

    /// What to do, in words.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "run as the server's user; --data-dir is the cluster's directory",
            Self::Control(_) => "PostgreSQL 14 to 18 are known",
            Self::Unfinished => "empty the directory and restore again",
            Self::InRecovery(_) => {
                "start it, wait until the replay is where it is to end, SELECT pg_promote(), and \
                 adopt then"
            }
            Self::NoHistory => "start the agent or make a backup: that begins one",
            Self::EarlierLife(_) => {
                "if this one is to go on as a new life, remove soter.incarnation in it and adopt again"
            }
            Self::Marker(error) => error.hint(),
            Self::Log(LogError::HeldByAnother { .. }) => {
                "if that agent is gone for good: --take-over"
            }
            Self::Log(LogError::Overtaken { .. }) => {
                "another directory was adopted at the same moment; look which one it is to be"
            }
            Self::Log(_) | Self::Wal(_) => "adopt again: it goes on where it stopped",
        }
    }
}

impl Adoption<'_> {
    /// Adopts the cluster. `log` is the store's, just opened.
    ///
    /// # Errors
    /// See [`AdoptError`].
    pub fn run(&self, log: Log) -> Result<Adopted, AdoptError> {
        let control = self.control()?;
        self.check_state(&control)?;
        let present = incarnation::current(log.catalogue()).ok_or(AdoptError::NoHistory)?;
        let trust = log.trust().clone();
        let adopted = self.begin_life(log, &control, present)?;
        let segment_size = VaultSegmentSize::new(control.wal_segment_size.bytes());
        let segment_size = segment_size.expect("PostgreSQL's segment sizes are the vault's");
        let (store, incarnation) = (self.keys.store, adopted.life.id);
        let archive = Archive { store, incarnation, segment_size };
        let (store, clock) = (&*self.vault.objects, &*self.vault.clock);
        self.store_histories(&WalVault { store, clock, trust: &trust, archive })?;
        Ok(adopted)
    }

    fn begin_life(
        &self,
        log: Log,
        control: &ControlFile,
        present: Incarnation,
    ) -> Result<Adopted, AdoptError> {
        let (disk, data) = (self.disk, self.data_directory);
        let system_identifier = control.system_identifier;
        let found = Marker::read(disk, data)?;
        let expected =
            Marker { store: self.keys.store, incarnation: present.id, system_identifier };
        let marker = match found {
            Some(found) if found == expected => {
                // A former run came this far.
                return Ok(Adopted { life: present, replaced: None, is_another_cluster: false });
            }
            Some(found) => {
                let other = Marker { incarnation: found.incarnation, ..expected };
                Marker::check(Some(found), &other)?;
                let lives = incarnation::all(log.catalogue());
                if lives.iter().any(|life| life.id == found.incarnation) {
                    return Err(AdoptError::EarlierLife(found.incarnation));
                }
                // A former run was cut off before the log's entry.
                found
            }
            None => {
                let incarnation = IncarnationId::random(&*self.vault.random);
                Marker { incarnation, ..expected }.create(disk, data)?
            }
        };
        let bound_to = incarnation::binding(system_identifier, control.version);
        let life = Incarnation { id: marker.incarnation, bound_to };
        let content =
            serde_json::json!({ "reason": "adopted", "replaces": present.id.to_string() });
        let opening = Opening {
            duty: Duty::Wal,
            agent: self.agent.to_owned(),
            incarnation: Some(life.clone()),
            take_over: self.take_over,
            content: content.to_string().into_bytes(),
        };
        match incarnation::open_session(log, self.keys, opening) {
            Ok(_) => {}
            Err(error @ (LogError::Overtaken { .. } | LogError::HeldByAnother { .. })) => {
                // Nothing was logged. The directory is as it was.
                marker.remove(disk, data)?;
                return Err(error.into());
            }
            // The entry may be there: the marker stays for the next run.
            Err(error) => return Err(error.into()),
        }
        let before = bound_cluster(&present.bound_to).map(|(identifier, _)| identifier);
        let is_another_cluster = before.is_some_and(|before| before != system_identifier);
        Ok(Adopted { life, replaced: Some(present), is_another_cluster })
    }

    fn control(&self) -> Result<ControlFile, AdoptError> {
        let path = self.data_directory.join("global/pg_control");
        let bytes = durable::read(self.disk, &path, CONTROL_FILE_LENGTH_MAX)
            .map_err(|source| AdoptError::File { path, source })?;
        Ok(ControlFile::parse(&bytes)?)
    }

    fn check_state(&self, control: &ControlFile) -> Result<(), AdoptError> {
        let unfinished = self.data_directory.join(UNFINISHED);
        if self.disk.metadata(&unfinished).is_ok() {
            return Err(AdoptError::Unfinished);
        }
        match control.state {
            ClusterState::InProduction | ClusterState::ShutDown | ClusterState::ShuttingDown => {
                Ok(())
            }
            // After a crash of a cluster that had been promoted it is in production.
            state => Err(AdoptError::InRecovery(state)),
        }
    }

    /// Stores the histories of the timelines the cluster went through. With `archive_mode` off while
    /// it was promoted, its server would never archive them, and no restore could go there.
    fn store_histories(&self, wal: &WalVault<'_>) -> Result<(), AdoptError> {
        let directory = self.data_directory.join("pg_wal");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AdoptError::File { path, source }
        };
        let sealer = Sealer::new(self.keys, &*self.vault.random, Compression::Zstd(3), 1);
        let size = crate::lsn::SegmentSize::new(wal.archive.segment_size.bytes());
        let size = size.expect("the vault's segment sizes are PostgreSQL's");
        for entry in self.disk.list(&directory).map_err(failed(&directory))? {
            let Some(name) = entry.name.to_str().filter(|_| entry.kind == FileKind::File) else {
                continue;
            };
            let Ok(WalFileName::History(_)) = WalFileName::parse(name, size) else { continue };
            let Some(file) = wal.archive.file(name) else { continue };
            let path = directory.join(name);
            let bytes = durable::read(self.disk, &path, HISTORY_LENGTH_MAX);
            let bytes = bytes.map_err(failed(&path))?;
            let mut source = WalBytes { bytes: &bytes, facts: WalFacts::default() };
            wal.push(&sealer, &file, &mut source)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
