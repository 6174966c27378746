//! Bringing a backup of an etcd back: a new directory with the snapshot, what was taken along and, if
//! wished, the data directories of new members.
//!
//! The rule it keeps: the directory appears whole or not at all. Everything is made beside it under
//! another name, compared, made durable, and then renamed to where nothing was.

mod sink;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_vault::contents::with_map;
use soter_vault::ids::BackupId;
use soter_vault::keys::ReaderKeys;
use soter_vault::log::{Log, LogError};
use soter_vault::map::{MapError, Progress, RestoreOptions, restore};
use soter_world::disk::{FileKind, Owner};
use soter_world::exec::ExecError;
use soter_world::{Disk, DiskFile, Stop, durable};

use crate::etcd::bump::{self, Bump};
use crate::etcd::members::{self, NewCluster};
use crate::etcd::{EtcdRecord, SNAPSHOT_FILE, TAKEN_PREFIX, check_snapshot};
use sink::DirectorySink;

/// What lies in a directory that was restored and says of what.
pub const RESTORED_FILE: &str = "restored.json";

/// Where the data directories of new members are.
pub const MEMBERS_DIRECTORY: &str = "members";

/// Longest [`RESTORED_FILE`].
const RESTORED_LENGTH_MAX: usize = 1 << 20;

/// Which backup is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The newest.
    Latest,
    /// This one.
    Backup(BackupId),
    /// The newest that was taken at or before this time.
    Time(Timestamp),
}

/// A text that names no backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no backup of an etcd: latest, backup:ID, or time:2026-11-23T08:30:00+01:00"
)]
pub struct TargetError {
    /// What was read.
    pub text: String,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "latest" => Ok(Self::Latest),
            Some(("backup", id)) => id.parse().map(Self::Backup).map_err(|_| wrong()),
            Some(("time", at)) => at.parse().map(Self::Time).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Backup(id) => write!(f, "backup:{id}"),
            Self::Time(at) => write!(f, "time:{at}"),
        }
    }
}

impl Target {
    /// The backup that is meant, of those there are, oldest first.
    ///
    /// # Errors
    /// [`RestoreError::NothingThere`], [`RestoreError::NoSuch`] with the nearest.
    pub fn choose<'r, R>(
        &self,
        backups: &'r [(R, EtcdRecord)],
        id: impl Fn(&R) -> BackupId,
    ) -> Result<&'r (R, EtcdRecord), RestoreError> {
        let (Some(oldest), Some(newest)) = (backups.first(), backups.last()) else {
            return Err(RestoreError::NothingThere);
        };
        let found = match self {
            Self::Latest => Some(newest),
            Self::Backup(wanted) => backups.iter().find(|(row, _)| id(row) == *wanted),
            Self::Time(at) => backups.iter().rev().find(|(_, record)| record.taken_at <= *at),
        };
        let (oldest, newest) = (oldest.1.taken_at, newest.1.taken_at);
        found.ok_or(RestoreError::NoSuch { target: *self, oldest, newest })
    }
}

/// What is restored, and where to.
pub struct RestoreTarget<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// The directory to make: absent or empty.
    pub directory: &'a Path,
    /// Who wants it, such as a run and its step: the same asking again finds what is there, and takes
    /// away what an attempt that was cut off has left.
    pub mark: Option<&'a str>,
    /// Where files that were taken along are put, too: the root that their paths count from.
    pub files_to: Option<&'a Path>,
    /// New members that are made of it.
    pub cluster: Option<&'a NewCluster>,
    /// How far revisions are moved on, in the members, or without any in the snapshot itself: for K3s,
    /// which makes its members of that and knows no such thing.
    pub bump: Option<&'a Bump>,
    /// Whose the data of members is to be; none: ours.
    pub owner: Option<Owner>,
    /// Whether files keep their owners: only root can give them.
    pub keeps_owners: bool,
}

/// What was restored, as [`RESTORED_FILE`] says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The backup.
    pub backup: BackupId,
    /// Who wanted it.
    pub mark: Option<String>,
    /// Where.
    pub directory: PathBuf,
    /// The snapshot.
    pub snapshot: PathBuf,
    /// Everything up to this revision is in it.
    pub revision: u64,
    /// By how much revisions were moved on in what is there, with everything before marked as compacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bumped_by: Option<u64>,
    /// Keys at that revision, as they were counted when the snapshot was taken.
    pub keys: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The cluster it was taken of.
    pub cluster: String,
    /// Members that were made.
    pub members: Vec<MadeMember>,
    /// Files that were taken along, where they are now.
    pub files: Vec<PathBuf>,
}

/// A member that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeMember {
    /// Its name.
    pub name: String,
    /// Its data directory.
    pub data_directory: PathBuf,
    /// What it is started with.
    pub start: String,
}

/// Why a backup of an etcd was not brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is no backup.
    #[error("there is no backup of it")]
    NothingThere,
    /// There is none as it is wanted.
    #[error("there is no backup {target}: they are of {oldest} to {newest}")]
    NoSuch {
        /// What was wanted.
        target: Target,
        /// When the oldest was taken.
        oldest: Timestamp,
        /// When the newest was taken.
        newest: Timestamp,
    },
    /// Something is there: nothing is restored over anything.
    #[error("{path} is not empty")]
    NotEmpty {
        /// Where.
        path: PathBuf,
    },
    /// What a restore that was cut off has left, or one that is under way.
    #[error("{path} is of another restore to this place, which was cut off or is under way")]
    Unfinished {
        /// Where.
        path: PathBuf,
    },
    /// A file is there, and is another one than was taken along.
    #[error("{path} is there, and is not what was taken along")]
    FileThere {
        /// Which.
        path: PathBuf,
    },
    /// A file or directory cannot be made.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What came out of the vault is not what the server had hashed.
    #[error("the snapshot is not what the server sent: {0}")]
    Snapshot(String),
    /// The log cannot be read.
    #[error("the vault's log cannot be used")]
    Log(#[from] LogError),
    /// The contents cannot be read.
    #[error("the contents cannot be read")]
    Contents(#[from] MapError),
    /// etcd's own tool did not do it.
    #[error("etcdutl cannot move the revisions of the snapshot on")]
    Bump(#[source] ExecError),
    /// etcd's own tool did it otherwise.
    #[error("the revisions of the snapshot were to be moved on to {expected} at least: {said}")]
    Unmoved {
        /// Where they were to be.
        expected: u64,
        /// What etcd's tool says of it.
        said: String,
    },
    /// etcd's own tool did not do it.
    #[error("etcdutl cannot make the member {member}")]
    Member {
        /// Which.
        member: String,
        /// What it says.
        #[source]
        source: ExecError,
    },
}

impl RestoreError {
    /// Whether another argument helps.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::NoSuch { .. }
                | Self::NotEmpty { .. }
                | Self::Unfinished { .. }
                | Self::FileThere { .. }
        ) || self.is_tool_missing()
    }

    fn is_tool_missing(&self) -> bool {
        matches!(
            self,
            Self::Member { source: ExecError::Start { .. }, .. }
                | Self::Bump(ExecError::Start { .. })
        )
    }

    /// Advice, where there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NothingThere | Self::NoSuch { .. } => "`soter backups` lists them".to_owned(),
            Self::NotEmpty { .. } => "nothing is restored over anything: name a new directory".to_owned(),
            Self::Unfinished { path } => format!(
                "if none is under way: rm -r {}; or name another directory",
                path.display()
            ),
            Self::FileThere { .. } => {
                "move it away, or leave --files-to out: the files are in the new directory in any case"
                    .to_owned()
            }
            Self::Snapshot(_) => {
                "`soter verify` says which objects are damaged; restore another backup".to_owned()
            }
            _ if self.is_tool_missing() => {
                "install etcdutl (it comes with etcd), or name its directory with --bin-dir".to_owned()
            }
            Self::Bump(_) | Self::Unmoved { .. } => {
                "etcdutl must be of etcd 3.5.14 or newer; without --bump-revision restart whatever \
                 watches the etcd"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

impl RestoreTarget<'_> {
    /// Everything that is in the way, before anything is written.
    ///
    /// # Errors
    /// The first of [`RestoreTarget::obstacles`].
    pub fn check(&self, record: &EtcdRecord) -> Result<(), RestoreError> {
        self.obstacles(record).into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that is in the way.
    #[must_use]
    pub fn obstacles(&self, record: &EtcdRecord) -> Vec<RestoreError> {
        let mut found = Vec::new();
        let is_done = matches!(self.done(), Ok(Some(_)));
        if !is_done && !is_absent_or_empty(self.disk, self.directory) {
            found.push(RestoreError::NotEmpty { path: self.directory.to_owned() });
        }
        let partial = self.partial();
        if self.mark.is_none() && self.disk.metadata(&partial).is_ok() {
            found.push(RestoreError::Unfinished { path: partial });
        }
        for file in &record.files {
            let Some(place) = self.place_of(&file.path) else { continue };
            // Whether it is the same is known when it is there to be compared with.
            let is_other = self
                .disk
                .metadata(&place)
                .is_ok_and(|there| there.kind != FileKind::File || there.size != file.bytes);
            if is_other {
                found.push(RestoreError::FileThere { path: place });
            }
        }
        found
    }

    /// Restores a backup.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn write(
        &self,
        (log, keys): (&Log, &ReaderKeys),
        (backup, record): (BackupId, &EtcdRecord),
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Restored, RestoreError> {
        let done = match self.done()? {
            Some(done) => done,
            None => {
                self.check(record)?;
                let partial = self.partial();
                self.prepare(&partial)?;
                let sink = DirectorySink::new(self, &partial);
                let options = RestoreOptions { workers: 2, select: &|_| true };
                with_map(log, keys, backup, |map, session_keys| {
                    Ok::<_, RestoreError>(restore(
                        map,
                        session_keys,
                        &sink,
                        options,
                        progress,
                        stop,
                    )?)
                })?;
                sink.finish().map_err(|source| self.failed(&partial, source))?;
                self.check_snapshot(&partial.join(SNAPSHOT_FILE), record)?;
                if let Some(cluster) = self.cluster {
                    members::make(cluster, self.bump, &partial, self.owner)?;
                    self.let_through(&partial).map_err(|source| self.failed(&partial, source))?;
                } else if let Some(bump) = self.bump {
                    bump::snapshot(self.disk, bump, &partial, record.revision)?;
                }
                self.appear(&partial, backup, record)?
            }
        };
        self.put_files(record)?;
        Ok(done)
    }

    /// Whether all of it is there already, because the same was asked for.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn is_done(&self) -> Result<bool, RestoreError> {
        self.done().map(|done| done.is_some())
    }

    /// What is there already, if the same was asked for.
    fn done(&self) -> Result<Option<Restored>, RestoreError> {
        let Some(mark) = self.mark else { return Ok(None) };
        let path = self.directory.join(RESTORED_FILE);
        match durable::read(self.disk, &path, RESTORED_LENGTH_MAX) {
            Ok(bytes) => {
                let found = serde_json::from_slice::<Restored>(&bytes).ok();
                Ok(found.filter(|found| found.mark.as_deref() == Some(mark)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RestoreError::File { path, source }),
        }
    }

    /// Where it is made: beside its place, so that it can be renamed.
    fn partial(&self) -> PathBuf {
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        self.directory.with_file_name(format!(".{name}.soter-restoring"))
    }

    fn prepare(&self, partial: &Path) -> Result<(), RestoreError> {
        if self.mark.is_some() && self.disk.metadata(partial).is_ok() {
            // Whoever has a mark has seen to it that the attempt before has ended.
            remove_all(self.disk, partial).map_err(|source| self.failed(partial, source))?;
        }
        let above = durable::parent(partial);
        durable::create_dir_all_durable(self.disk, above)
            .and_then(|()| self.disk.create_dir(partial))
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => {
                    RestoreError::Unfinished { path: partial.to_owned() }
                }
                _ => self.failed(partial, source),
            })
    }

    fn check_snapshot(&self, path: &Path, record: &EtcdRecord) -> Result<(), RestoreError> {
        let file = self.disk.open(path).map_err(|source| self.failed(path, source))?;
        let checked = check_snapshot(Whole { file, position: 0 })
            .map_err(|source| self.failed(path, source))?
            .map_err(RestoreError::Snapshot)?;
        let found = hex::encode(checked.sha256);
        if found == record.sha256 && checked.bytes == record.snapshot_bytes {
            return Ok(());
        }
        let words = format!("its hash is {found}, that of the record {}", record.sha256);
        Err(RestoreError::Snapshot(words))
    }

    /// Lets the members' owner through to them; the snapshot stays closed.
    fn let_through(&self, partial: &Path) -> io::Result<()> {
        if self.owner.is_some() {
            self.disk.set_mode(partial, 0o711)?;
            self.disk.set_mode(&partial.join(MEMBERS_DIRECTORY), 0o711)?;
        }
        Ok(())
    }

    /// Says what it is, makes it durable and gives it its name.
    fn appear(
        &self,
        partial: &Path,
        backup: BackupId,
        record: &EtcdRecord,
    ) -> Result<Restored, RestoreError> {
        let inside =
            |path: &str| self.directory.join(TAKEN_PREFIX).join(path.trim_start_matches('/'));
        let restored = Restored {
            backup,
            mark: self.mark.map(str::to_owned),
            directory: self.directory.to_owned(),
            snapshot: self.directory.join(SNAPSHOT_FILE),
            revision: record.revision,
            bumped_by: self.bump.map(|bump| bump.by),
            keys: record.keys.keys,
            taken_at: record.taken_at,
            cluster: record.cluster.clone(),
            members: self.cluster.map(|it| it.made(self.directory)).unwrap_or_default(),
            files: record
                .files
                .iter()
                .map(|file| self.place_of(&file.path).unwrap_or_else(|| inside(&file.path)))
                .collect(),
        };
        let bytes = serde_json::to_vec_pretty(&restored).expect("texts and numbers are JSON");
        let finish = || {
            durable::write_durable(self.disk, &partial.join(RESTORED_FILE), &bytes)?;
            self.disk.sync_filesystem(partial)?;
            // An empty directory makes way; one that has got something meanwhile does not.
            match self.disk.remove_dir(self.directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.disk.rename_noreplace(partial, self.directory)?;
            self.disk.sync_dir(durable::parent(self.directory))
        };
        finish().map_err(|source| self.failed(self.directory, source))?;
        Ok(restored)
    }

    /// Where a file that was taken along is put besides the new directory.
    fn place_of(&self, path: &str) -> Option<PathBuf> {
        self.files_to.map(|root| root.join(path.trim_start_matches('/')))
    }

    /// Puts what was taken along where it is wanted. What is there and the same, stays.
    fn put_files(&self, record: &EtcdRecord) -> Result<(), RestoreError> {
        for file in &record.files {
            let Some(to) = self.place_of(&file.path) else { continue };
            let from = self.directory.join(TAKEN_PREFIX).join(file.path.trim_start_matches('/'));
            let length = usize::try_from(file.bytes).unwrap_or(usize::MAX);
            let failed = |source| RestoreError::File { path: to.clone(), source };
            let wanted = durable::read(self.disk, &from, length).map_err(failed)?;
            match durable::read(self.disk, &to, length) {
                Ok(found) if found == wanted => continue,
                Ok(_) => return Err(RestoreError::FileThere { path: to }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Err(RestoreError::FileThere { path: to });
                }
                Err(source) => return Err(failed(source)),
            }
            self.put_file(&to, &wanted, (file.mode, Owner { user: file.user, group: file.group }))
                .map_err(|source| match source.kind() {
                    io::ErrorKind::AlreadyExists => RestoreError::FileThere { path: to.clone() },
                    _ => RestoreError::File { path: to.clone(), source },
                })?;
        }
        Ok(())
    }

    fn put_file(&self, to: &Path, bytes: &[u8], (mode, owner): (u32, Owner)) -> io::Result<()> {
        durable::create_dir_all_durable(self.disk, durable::parent(to))?;
        let (temporary, file) = durable::create_temporary(self.disk, to)?;
        let fill = || {
            file.write_at(0, bytes)?;
            if self.keeps_owners {
                self.disk.set_owner(&temporary, owner)?;
            }
            self.disk.set_mode(&temporary, mode)?;
            file.sync()?;
            self.disk.link(&temporary, to)
        };
        let linked = fill();
        drop(self.disk.remove_file(&temporary));
        linked?;
        self.disk.sync_dir(durable::parent(to))
    }

    fn failed(&self, path: &Path, source: io::Error) -> RestoreError {
        RestoreError::File { path: path.to_owned(), source }
    }
}

fn is_absent_or_empty(disk: &dyn Disk, path: &Path) -> bool {
    match disk.list(path) {
        Ok(entries) => entries.is_empty(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Takes a directory away that a restore of ours had begun.
pub(super) fn remove_all(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    for entry in disk.list(directory)? {
        let path = directory.join(&entry.name);
        match entry.kind {
            FileKind::Directory => {
                // Some of them let nobody in.
                disk.set_mode(&path, 0o700)?;
                remove_all(disk, &path)?;
            }
            _ => disk.remove_file(&path)?,
        }
    }
    disk.remove_dir(directory)
}

/// A file from its beginning to its end.
struct Whole {
    file: Box<dyn DiskFile>,
    position: u64,
}

impl io::Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(self.position, buffer)?;
        self.position += length as u64;
        Ok(length)
    }
}
