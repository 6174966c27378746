//! A restore with a name: begun again by the same name, it takes up what was cut off, and does not do
//! again what is done.
//!
//! ```text
//!  soter.restoring  writing     the files come from the vault; no server has run on them
//!                   recovering  a server replays, and lets nobody in
//!                   promoting   clients may get in from here on, and may have written
//!  soter.restored               it is done, and this came of it
//! ```
//!
//! The rule it keeps: what nobody ever got into is all in the vault, and is made anew. From *promoting*
//! on nothing is removed: a server is brought up on it, and says what has become of it. What another
//! restore made is not touched, nor what one of this name made that still runs.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use soter_world::disk::{Entry, FileKind};
use soter_world::exec::Identity;
use soter_world::{Disk, Machine, durable};

use super::error::RestoreError;
use super::write::UNFINISHED;
use crate::lsn::Lsn;

/// Says that a restore is done, whose it was, and what came of it.
pub const RESTORED: &str = "soter.restored";

/// Longest file that is read of these: a report is a page.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Whose a restore is, and what it is to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its name.
    pub once: String,
    /// The store.
    pub store: String,
    /// The vault.
    pub vault: String,
    /// To which moment, and which life of the cluster.
    pub to: String,
}

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Files are written.
    Writing,
    /// A server replays, and lets nobody in.
    Recovering,
    /// It is being promoted, or has been: clients may have written.
    Promoting,
}

/// What is in a directory, as a restore of some name sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing of its own: it begins, if the directory is free.
    Nothing,
    /// An earlier try, into which nobody ever got: it can be made anew.
    Begun,
    /// An earlier try, into which somebody may have got.
    Promoting {
        /// Up to where it had replayed.
        end_reached: Option<Lsn>,
    },
    /// It is done, with this report.
    Done(serde_json::Value),
}

#[derive(Debug, Serialize, Deserialize)]
struct Restoring {
    #[serde(flatten)]
    claim: Claim,
    stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_reached: Option<String>,
    process: u32,
    start_ticks: u64,
    boot: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Restored {
    #[serde(flatten)]
    claim: Claim,
    report: serde_json::Value,
}

impl Claim {
    /// What is in a directory.
    ///
    /// # Errors
    /// When it cannot be read, when a restore still works there, and when one of this name was to
    /// bring something else back and cannot be made anew.
    pub fn find(&self, disk: &dyn Disk, directory: &Path) -> Result<Found, RestoreError> {
        let entries = entries(disk, directory)?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        if has(UNFINISHED) {
            return self.found_unfinished(disk, directory);
        }
        if has(RESTORED) {
            let restored: Option<Restored> = read(disk, &directory.join(RESTORED))?;
            return match restored {
                Some(Restored { claim, report }) if claim == *self => Ok(Found::Done(report)),
                Some(Restored { claim, .. }) if claim.once == self.once => {
                    Err(self.other(directory, claim))
                }
                _ => Ok(Found::Nothing),
            };
        }
        // Cut off between the directory and the file that says whose it is.
        let is_left_over = |entry: &Entry| durable::is_temporary(&entry.name);
        let is_begun = !entries.is_empty() && entries.iter().all(is_left_over);
        Ok(if is_begun { Found::Begun } else { Found::Nothing })
    }

    fn found_unfinished(&self, disk: &dyn Disk, path: &Path) -> Result<Found, RestoreError> {
        let Some(restoring) = read::<Restoring>(disk, &path.join(UNFINISHED))? else {
            return Ok(Found::Nothing);
        };
        if restoring.claim.once != self.once {
            return Ok(Found::Nothing);
        }
        let worker = Identity { process: restoring.process, start_ticks: restoring.start_ticks };
        let is_ours = Identity::this().is_ok_and(|this| this == worker);
        if !is_ours && boot(path)? == restoring.boot && worker.is_alive() {
            let (path, process) = (path.to_owned(), worker.process);
            return Err(RestoreError::Busy { path, process });
        }
        match restoring.stage {
            Stage::Writing | Stage::Recovering => Ok(Found::Begun),
            Stage::Promoting if restoring.claim == *self => {
                let end_reached = restoring.end_reached.and_then(|text| text.parse().ok());
                Ok(Found::Promoting { end_reached })
            }
            Stage::Promoting => Err(self.other(path, restoring.claim)),
        }
    }

    fn other(&self, path: &Path, claim: Self) -> RestoreError {
        RestoreError::Otherwise { path: path.to_owned(), once: claim.once, to: claim.to }
    }

    /// Says how far it has come. The file is there durably when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        stage: Stage,
        end_reached: Option<Lsn>,
    ) -> Result<(), RestoreError> {
        let path = directory.join(UNFINISHED);
        let failed = |source| RestoreError::File { path: path.clone(), source };
        let this = Identity::this().map_err(failed)?;
        let restoring = Restoring {
            claim: self.clone(),
            stage,
            end_reached: end_reached.map(|end| end.to_string()),
            process: this.process,
            start_ticks: this.start_ticks,
            boot: boot(directory)?,
        };
        write(disk, &path, &restoring)
    }

    /// Says that it is done, and what came of it, before [`RestoreTarget::finish`] takes away what says
    /// that it is unfinished.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// [`RestoreTarget::finish`]: super::write::RestoreTarget::finish
    pub fn done(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        report: serde_json::Value,
    ) -> Result<(), RestoreError> {
        let restored = Restored { claim: self.clone(), report };
        write(disk, &directory.join(RESTORED), &restored)
    }

    /// Empties the directories of an earlier try that was [begun](Found::Begun): the data directory,
    /// which says whose they are, last. No server may run there.
    ///
    /// # Errors
    /// When something cannot be removed, or is not of this name; then it is left.
    pub fn clear(&self, disk: &dyn Disk, directories: &[&Path]) -> Result<(), RestoreError> {
        for directory in directories.iter().rev() {
            if self.find(disk, directory)? != Found::Begun {
                continue;
            }
            let failed = |source| RestoreError::File { path: (*directory).to_owned(), source };
            let (marks, rest): (Vec<_>, Vec<_>) =
                entries(disk, directory)?.into_iter().partition(|entry| entry.name == UNFINISHED);
            for entry in rest {
                let path = directory.join(&entry.name);
                let removed = match entry.kind {
                    FileKind::Directory => durable::remove_tree(disk, &path),
                    _ => disk.remove_file(&path),
                };
                removed.map_err(|source| RestoreError::File { path, source })?;
            }
            disk.sync_dir(directory).map_err(failed)?;
            // Whatever cuts this off, what is left says until now whose it is.
            for mark in marks {
                disk.remove_file(&directory.join(mark.name)).map_err(failed)?;
            }
            disk.sync_dir(directory).map_err(failed)?;
        }
        Ok(())
    }
}

fn entries(disk: &dyn Disk, directory: &Path) -> Result<Vec<Entry>, RestoreError> {
    match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => {
            listed.map_err(|source| RestoreError::File { path: directory.to_owned(), source })
        }
    }
}

/// What is in a file; none if somebody else wrote it.
fn read<T: for<'de> Deserialize<'de>>(
    disk: &dyn Disk,
    path: &Path,
) -> Result<Option<T>, RestoreError> {
    let bytes = durable::read(disk, path, FILE_BYTES_MAX)
        .map_err(|source| RestoreError::File { path: path.to_owned(), source })?;
    Ok(serde_json::from_slice(&bytes).ok())
}

fn write(disk: &dyn Disk, path: &Path, value: &impl Serialize) -> Result<(), RestoreError> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other);
    bytes
        .and_then(|bytes| durable::write_durable(disk, path, &bytes))
        .map_err(|source| RestoreError::File { path: PathBuf::from(path), source })
}

fn boot(path: &Path) -> Result<String, RestoreError> {
    let machine = Machine::this();
    let failed = |source| RestoreError::File { path: path.to_owned(), source };
    machine.map(|machine| machine.boot).map_err(failed)
}

#[cfg(test)]
mod tests {
    use soter_world::OsDisk;

    use super::*;

    fn claim(to: &str) -> Claim {
        let own = str::to_owned;
        Claim { once: own("run/step"), store: own("orders"), vault: own("v"), to: own(to) }
    }

    fn put(directory: &Path, name: &str) {
        OsDisk.create(&directory.join(name)).unwrap().write_at(0, b"x").unwrap();
    }

    #[test]
    fn what_an_earlier_try_left_is_told_by_its_stage() {
        let place = tempfile::tempdir().unwrap();
        let directory = &place.path().join("data");
        let found = |claim: &Claim| claim.find(&OsDisk, directory);
        let latest = claim("latest");
        assert_eq!(found(&latest).unwrap(), Found::Nothing);
        OsDisk.create_dir(directory).unwrap();
        assert_eq!(found(&latest).unwrap(), Found::Nothing);
        put(directory, ".soter.restoring.77-0.new");
        assert_eq!(found(&latest).unwrap(), Found::Begun);
        put(directory, "PG_VERSION");
        assert_eq!(found(&latest).unwrap(), Found::Nothing, "somebody else's");
        // A restore without a name has an empty mark: nobody may take that up.
        OsDisk.create(&directory.join(UNFINISHED)).unwrap();
        assert_eq!(found(&latest).unwrap(), Found::Nothing);
        for stage in [Stage::Writing, Stage::Recovering] {
            latest.write(&OsDisk, directory, stage, None).unwrap();
            assert_eq!(found(&latest).unwrap(), Found::Begun);
            assert_eq!(found(&claim("time:x")).unwrap(), Found::Begun, "nothing of it was seen");
            let other = Claim { once: "another".to_owned(), ..latest.clone() };
            assert_eq!(found(&other).unwrap(), Found::Nothing);
        }
        let end = Some(Lsn(0x1234));
        latest.write(&OsDisk, directory, Stage::Promoting, end).unwrap();
        assert_eq!(found(&latest).unwrap(), Found::Promoting { end_reached: end });
        let error = found(&claim("time:x")).unwrap_err().to_string();
        assert!(error.contains("brought back to latest"), "{error}");
        latest.done(&OsDisk, directory, serde_json::json!({"bytes": 7})).unwrap();
        assert!(matches!(found(&latest).unwrap(), Found::Promoting { .. }), "not finished yet");
        OsDisk.remove_file(&directory.join(UNFINISHED)).unwrap();
        let done = Found::Done(serde_json::json!({"bytes": 7}));
        assert_eq!(found(&latest).unwrap(), done);
        assert!(found(&claim("time:x")).is_err());
    }

    #[test]
    fn only_what_is_of_this_name_and_was_never_let_anybody_in_is_cleared() {
        let place = tempfile::tempdir().unwrap();
        let (data, space) = (place.path().join("data"), place.path().join("space"));
        let latest = claim("latest");
        let outside = place.path().join("outside");
        put(place.path(), "outside");
        for directory in [&data, &space] {
            OsDisk.create_dir(directory).unwrap();
            latest.write(&OsDisk, directory, Stage::Recovering, None).unwrap();
            OsDisk.create_dir(&directory.join("base")).unwrap();
            put(&directory.join("base"), "1");
            OsDisk.symlink(place.path(), &directory.join("base/link")).unwrap();
        }
        let foreign = place.path().join("foreign");
        OsDisk.create_dir(&foreign).unwrap();
        put(&foreign, "kept");
        latest.clear(&OsDisk, &[&data, &space, &foreign]).unwrap();
        for directory in [&data, &space] {
            assert_eq!(OsDisk.list(directory).unwrap(), []);
        }
        assert!(outside.exists() && foreign.join("kept").exists());
        latest.write(&OsDisk, &data, Stage::Promoting, None).unwrap();
        put(&data, "base");
        latest.clear(&OsDisk, &[&data]).unwrap();
        assert!(data.join("base").exists(), "somebody may have written there");
    }

    #[test]
    fn one_that_still_works_is_not_taken_up() {
        let place = tempfile::tempdir().unwrap();
        let latest = claim("latest");
        // This process lives, and is another than the one that looks.
        let parent = Identity::of(soter_world::exec::parent_process()).unwrap();
        let restoring = Restoring {
            claim: latest.clone(),
            stage: Stage::Writing,
            end_reached: None,
            process: parent.process,
            start_ticks: parent.start_ticks,
            boot: boot(place.path()).unwrap(),
        };
        write(&OsDisk, &place.path().join(UNFINISHED), &restoring).unwrap();
        let error = latest.find(&OsDisk, place.path()).unwrap_err();
        assert!(matches!(error, RestoreError::Busy { .. }), "{error}");
        let earlier = Restoring { boot: "another boot".to_owned(), ..restoring };
        write(&OsDisk, &place.path().join(UNFINISHED), &earlier).unwrap();
        assert_eq!(latest.find(&OsDisk, place.path()).unwrap(), Found::Begun);
    }
}
