//! The marker that says which life of a cluster a data directory is.
//!
//! A restored cluster has the same system identifier as its parent; were it to write WAL into its
//! parent's history, both would be lost. So a data directory carries a marker with the incarnation
//! its WAL belongs to, backups leave the marker out, and nothing is written to a vault for a
//! directory whose marker is missing or names another incarnation than the log does.

mod seen;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use soter_vault::ids::{IncarnationId, SessionId, StoreId};
use soter_vault::keys::StoreKeys;
use soter_vault::log::{Catalogue, Incarnation, Log, LogError, Opening, Session};
use soter_world::{Disk, Random, durable};

use crate::cluster::{MajorVersion, SystemIdentifier};

pub use seen::{SEEN_NAME, Seen};

/// The marker's name in the data directory.
pub const MARKER_NAME: &str = "soter.incarnation";

/// A marker is one line; a longer file is something else.
const MARKER_LENGTH_MAX: usize = 4096;

/// What a marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The store.
    pub store: StoreId,
    /// The life of the cluster.
    pub incarnation: IncarnationId,
    /// The cluster's system identifier, which clones share.
    pub system_identifier: SystemIdentifier,
}

/// Why a data directory may not write into a store's history.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// The file cannot be read or written.
    #[error("cannot use the marker {path}")]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a marker.
    #[error("{path} is not an incarnation's marker")]
    Malformed {
        /// Where it is.
        path: PathBuf,
    },
    /// The store's history was begun by another data directory: this one was restored or cloned.
    #[error("this data directory has no marker, but the store has a history already")]
    Missing,
    /// The marker is of another store, another life, or another cluster.
    #[error("this data directory belongs to another history: its {0} differs")]
    Other(&'static str),
}

impl MarkerError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "run as the server's user",
            Self::Malformed { .. } => {
                "if you did not write it, remove it and give the directory a history of its own: soter \
                 adopt STORE --data-dir DIR"
            }
            Self::Missing | Self::Other(_) => {
                "a restored cluster gets a history of its own: soter adopt STORE --data-dir DIR; a \
                 clone gets a store of its own in the plan"
            }
        }
    }
}

impl Marker {
    /// Reads the marker of a data directory; `None` when it has none.
    ///
    /// # Errors
    /// See [`MarkerError`].
    pub fn read(disk: &dyn Disk, data_directory: &Path) -> Result<Option<Self>, MarkerError> {
        let path = data_directory.join(MARKER_NAME);
        let bytes = match durable::read(disk, &path, MARKER_LENGTH_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MarkerError::File { path, source }),
        };
        let marker = serde_json::from_slice(&bytes).map_err(|_| MarkerError::Malformed { path })?;
        Ok(Some(marker))
    }

    /// Puts the marker durably where none is, with the data directory's owner. Returns the marker
    /// that counts: this one, or the one that somebody else put there first. So a backup and an
    /// archiver that both begin a history begin the same one.
    ///
    /// # Errors
    /// See [`MarkerError`].
    pub fn create(self, disk: &dyn Disk, data_directory: &Path) -> Result<Self, MarkerError> {
        let path = data_directory.join(MARKER_NAME);
        let text = serde_json::to_string(&self).expect("ids and a number can be written") + "\n";
        let failed = |source| MarkerError::File { path: path.clone(), source };
        let temporary = owned_temporary(disk, &path, text.as_bytes()).map_err(failed)?;
        let linked = disk.link(&temporary, &path);
        // What is left over is never taken for a marker.
        drop(disk.remove_file(&temporary));
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        // The winner may not have come this far yet.
        disk.sync_dir(data_directory).map_err(failed)?;
        Self::read(disk, data_directory)?.ok_or(MarkerError::Missing)
    }

    /// Takes the marker of a data directory away again, if it is still this one: the life it names was
    /// never begun.
    ///
    /// # Errors
    /// See [`MarkerError`].
    pub fn remove(&self, disk: &dyn Disk, data_directory: &Path) -> Result<(), MarkerError> {
        if Self::read(disk, data_directory)? != Some(*self) {
            return Ok(());
        }
        let path = data_directory.join(MARKER_NAME);
        let removed = disk.remove_file(&path).and_then(|()| disk.sync_dir(data_directory));
        removed.map_err(|source| MarkerError::File { path, source })
    }

    /// Decides whether the directory with this marker may continue the history that `expected`
    /// describes.
    ///
    /// # Errors
    /// [`MarkerError::Missing`], [`MarkerError::Other`].
    pub fn check(found: Option<Self>, expected: &Self) -> Result<(), MarkerError> {
        let found = found.ok_or(MarkerError::Missing)?;
        if found.store != expected.store {
            return Err(MarkerError::Other("store"));
        }
        if found.system_identifier != expected.system_identifier {
            return Err(MarkerError::Other("system identifier"));
        }
        if found.incarnation != expected.incarnation {
            return Err(MarkerError::Other("incarnation"));
        }
        Ok(())
    }
}

/// Writes a file for a data directory, synced and with the directory's owner, under a temporary name:
/// before it has its own, whoever loses a race for that must be able to read it.
fn owned_temporary(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let (temporary, file) = durable::create_temporary(disk, path)?;
    let fill = || {
        file.write_at(0, bytes)?;
        let owner = disk.metadata(durable::parent(path))?.owner;
        if disk.metadata(&temporary)?.owner != owner {
            disk.set_owner(&temporary, owner)?;
        }
        file.sync()
    };
    match fill() {
        Ok(()) => Ok(temporary),
        Err(error) => {
            // What is left over is never taken for the file.
            drop(disk.remove_file(&temporary));
            Err(error)
        }
    }
}

/// The incarnation that a store's log is at: the one that was begun last. A writer of an earlier one
/// that comes late does not bring it back.
pub fn current(catalogue: &Catalogue) -> Option<Incarnation> {
    all(catalogue).pop()
}

/// The incarnations of a store in the order in which they were begun.
pub fn all(catalogue: &Catalogue) -> Vec<Incarnation> {
    let mut sessions: Vec<_> = catalogue.sessions().collect();
    sessions.sort_unstable_by_key(|session| session.sequence);
    let mut lives: Vec<Incarnation> = Vec::new();
    for life in sessions.into_iter().filter_map(|session| session.incarnation.as_ref()) {
        if lives.iter().all(|known| known.id != life.id) {
            lives.push(life.clone());
        }
    }
    lives
}

/// Opens a session for a life that was chosen by what `log` says, unless another life was begun
/// meanwhile: of two that begin one at the same time, one is refused.
///
/// # Errors
/// [`LogError::Overtaken`]; what opening a session can fail with.
pub fn open_session(log: Log, keys: &StoreKeys, opening: Opening) -> Result<Session, LogError> {
    let id = SessionId::random(&*log.vault().random);
    open_session_as(id, log, keys, opening)
}

/// The same under an id that the caller has chosen; see [`Session::open_as`].
///
/// # Errors
/// As for [`open_session`].
pub fn open_session_as(
    session: SessionId,
    log: Log,
    keys: &StoreKeys,
    opening: Opening,
) -> Result<Session, LogError> {
    let id = |life: Incarnation| life.id;
    let seen = current(log.catalogue()).map(id);
    let chosen = opening.incarnation.as_ref().map(|life| life.id);
    let still = |catalogue: &Catalogue| {
        let now = current(catalogue).map(id);
        now == seen || now == chosen
    };
    Session::open_as(session, log, keys, opening, &still)
}

/// What an incarnation is bound to in the log.
pub fn binding(system_identifier: SystemIdentifier, version: MajorVersion) -> String {
    format!("postgres {version} {system_identifier}")
}

/// The cluster that a [`binding`] names; `None` for anything that it would not have made.
pub fn bound_cluster(binding: &str) -> Option<(SystemIdentifier, MajorVersion)> {
    let mut words = binding.strip_prefix("postgres ")?.split(' ');
    let version: u16 = words.next()?.parse().ok()?;
    let identifier = words.next()?.parse().ok()?;
    words.next().is_none().then_some((identifier, MajorVersion::try_from(version).ok()?))
}

/// The incarnation whose history a data directory continues. The first time, when the log knows
/// none, it is begun and the directory marked; a marker that a crash left before anything was
/// logged, or that another process has just put there, is taken up.
///
/// # Errors
/// See [`MarkerError`].
pub fn establish(
    disk: &dyn Disk,
    data_directory: &Path,
    catalogue: &Catalogue,
    cluster: (SystemIdentifier, MajorVersion),
    random: &dyn Random,
) -> Result<Incarnation, MarkerError> {
    let store = catalogue.place().store;
    let (system_identifier, version) = cluster;
    let found = Marker::read(disk, data_directory)?;
    let bound_to = binding(system_identifier, version);
    if let Some(current) = current(catalogue) {
        let expected = Marker { store, incarnation: current.id, system_identifier };
        Marker::check(found, &expected)?;
        return Ok(Incarnation { id: current.id, bound_to });
    }
    let marker = match found {
        Some(marker) => marker,
        None => {
            let incarnation = IncarnationId::random(random);
            Marker { store, incarnation, system_identifier }.create(disk, data_directory)?
        }
    };
    let expected = Marker { store, incarnation: marker.incarnation, system_identifier };
    Marker::check(Some(marker), &expected)?;
    Ok(Incarnation { id: marker.incarnation, bound_to })
}

#[cfg(test)]
mod tests {
    use soter_world::OsDisk;
    use soter_world::sim::SimDisk;

    use super::*;

    fn marker() -> Marker {
        Marker {
            store: StoreId([1; 8]),
            incarnation: IncarnationId([2; 8]),
            system_identifier: SystemIdentifier(7_300_000_000_000_000_003),
        }
    }

    #[test]
    fn a_marker_is_read_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(&OsDisk, directory.path()).unwrap(), None);
        assert_eq!(marker().create(&OsDisk, directory.path()).unwrap(), marker());
        assert_eq!(Marker::read(&OsDisk, directory.path()).unwrap(), Some(marker()));
        let later = Marker { incarnation: IncarnationId([3; 8]), ..marker() };
        assert_eq!(later.create(&OsDisk, directory.path()).unwrap(), marker(), "the first stays");
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays");
    }

    #[test]
    fn all_who_begin_a_history_at_once_begin_the_same_one() {
        for _ in 0..50 {
            let directory = tempfile::tempdir().unwrap();
            let begin = |number: u8| {
                let own = Marker { incarnation: IncarnationId([number; 8]), ..marker() };
                own.create(&OsDisk, directory.path()).unwrap()
            };
            let begun: Vec<Marker> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || begin(n))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(begun.iter().all(|marker| *marker == begun[0]), "{begun:?}");
        }
    }

    #[test]
    fn a_crash_at_any_step_leaves_a_whole_marker_or_none() {
        let data = Path::new("/data");
        for operation in 0..20 {
            let disk = SimDisk::new(7);
            durable::create_dir_all_durable(&disk, data).unwrap();
            disk.crash_at(disk.operations() + operation);
            let said = marker().create(&disk, data);
            disk.reboot();
            let found = Marker::read(&disk, data).unwrap();
            assert!(found.is_none() || found == Some(marker()), "operation {operation}: {found:?}");
            assert!(said.is_err() || found.is_some(), "operation {operation}: lost");
            let later = Marker { incarnation: IncarnationId([3; 8]), ..marker() };
            assert_eq!(later.create(&disk, data).unwrap(), found.unwrap_or(later));
        }
    }

    #[test]
    fn a_damaged_marker_is_not_overlooked() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::File::create(directory.path().join(MARKER_NAME)).unwrap();
        let outcome = Marker::read(&OsDisk, directory.path());
        assert!(matches!(outcome, Err(MarkerError::Malformed { .. })));
    }

    #[test]
    fn only_the_same_life_of_the_same_cluster_may_continue() {
        let says = |found: Option<Marker>| match Marker::check(found, &marker()) {
            Ok(()) => "yes".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(says(Some(marker())), "yes");
        assert!(says(None).contains("no marker"));
        let other = Marker { incarnation: IncarnationId([9; 8]), ..marker() };
        assert!(says(Some(other)).contains("incarnation"));
        let other = Marker { system_identifier: SystemIdentifier(1), ..marker() };
        assert!(says(Some(other)).contains("system identifier"));
        let other = Marker { store: StoreId([9; 8]), ..marker() };
        assert!(says(Some(other)).contains("store"));
    }
}
